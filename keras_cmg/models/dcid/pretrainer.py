"""DCID (Xia et al., 2023), the predecessor of FCID: disentangling frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.layers.event_head import EventHead
from keras_cmg.models.base.feature_layers import feature_decoder
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.dcid import presets
from keras_cmg.models.dcid.backbone import DCIDBackbone


@register_model("dcid")
@keras.saving.register_keras_serializable("keras_cmg")
class DCID(Pretrainer):
    """Dual Cross-modal Information Disentangling.

    The loss is the weighted sum of `reconstruction` (of the input from codes and specific
    features), `commitment`, `cpc` between all modalities, `code_matching`, and `club_<modality>`,
    which bounds the mutual information of codes and specific features (CLUB, their Eq. 5).

    Args:
        backbone: a `DCIDBackbone`, or a tuple of modalities for that of the preset `"small"`.
        loss_weights: term to weight, default 1; a term of weight 0 is not computed.
        commitment_cost: the paper's beta.
        cross_modal_commitment: see `keras_cmg.ops.commitment_loss`.
        code_matching_kind: see `keras_cmg.ops.code_matching_loss`.
        club: arguments of `CLUBEstimator`.
        cpc: arguments of `CPCPredictor`.
        cpc_self_weight: weight of self-predictions; cross-modal ones weigh 1.
        cpc_candidates: see `keras_cmg.ops.cpc_loss`.
        cpc_first_frame: earliest frame that may be the last observed one.
        decoder_channels: inner width of map decoders.
        pre_activation_skip: see `keras_cmg.layers.ResidualUnit`, for map decoders.
        num_event_classes: classes of the `EventHead` that the authors' code has for each modality
            without a loss that trains it; None for no such heads.
        estimator_steps: steps of the estimators per step.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `DCIDBackbone`; an optional entry `"draws"` replaces random draws:
            `"cpc_time"`, an int scalar, and `"club_<modality>"`, permutations.
        training: whether dropout is active and the codebook is updated.

    Returns:
        The features of `DCIDBackbone`.

    Raises:
        ValueError: for unknown terms in `loss_weights`, or an unknown value of an argument.

    Example:

    >>> model = keras_cmg.models.DCID.from_preset("small", modalities=("audio", "text"))
    >>> model.compile(keras.optimizers.Adam(4e-4), keras.optimizers.Adam(1e-3))
    >>> batch = {"audio": np.zeros((4, 10, 128)), "text": np.zeros((4, 10, 64))}
    >>> history = model.fit(batch, epochs=1, verbose=0)
    >>> sorted(model.loss_names)[:2]
    ['club_audio', 'club_text']

    References:
        Xia et al. (2023), Achieving Cross Modal Generalization with Multimodal Unified
        Representation (the DCID module and MM-EMA).
    """

    backbone_class = DCIDBackbone
    presets = presets.PRESETS

    def __init__(
        self,
        backbone: DCIDBackbone | tuple[str, ...],
        loss_weights: Mapping[str, float] | None = None,
        commitment_cost: float = 0.25,
        cross_modal_commitment: bool = True,
        code_matching_kind: str = "symmetric",
        club: Mapping[str, Any] | None = None,
        cpc: Mapping[str, Any] | None = None,
        cpc_self_weight: float = 0.0,
        cpc_candidates: str = "targets",
        cpc_first_frame: int = 0,
        decoder_channels: int = 1024,
        pre_activation_skip: bool = False,
        num_event_classes: int | None = None,
        estimator_steps: int = 5,
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        if estimator_steps < 1:
            raise ValueError(f"`estimator_steps` must be at least 1. Received: {estimator_steps}")
        self.club, self.cpc = dict(club or {}), dict(cpc or {})
        self.num_event_classes = num_event_classes
        self.commitment_cost = commitment_cost
        self.cross_modal_commitment = cross_modal_commitment
        self.code_matching_kind = code_matching_kind
        self.cpc_self_weight = cpc_self_weight
        self.cpc_candidates = cpc_candidates
        self.cpc_first_frame = cpc_first_frame
        self.pre_activation_skip = pre_activation_skip
        self.decoder_channels = decoder_channels
        self.estimator_steps = estimator_steps
        self.set_loss_weights(loss_weights)
        self.decoders: dict[str, Any] = {}
        self.event_heads: dict[str, Any] = {}
        if "cpc" in self.loss_names:
            self.cpc_predictor = CPCPredictor(dtype=self.dtype_policy, name="cpc", **self.cpc)
        self.set_estimators(self.club)

    def default_loss_weights(self):
        names = self.backbone.modalities
        pairs = ("cpc", "code_matching") if len(names) > 1 else ()
        clubs = (f"club_{name}" for name in names)
        return dict.fromkeys(("reconstruction", "commitment", *pairs, *clubs), 1.0)

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Every logged key: the terms, statistics of the codes, fit of estimators and of CPC."""
        names = self.backbone.modalities if "cpc" in self.loss_names else ()
        return (*super().log_keys, *(f"cpc_accuracy_{a}_{b}" for a in names for b in names))

    def build_layers(self):
        backbone, dtype = self.backbone, self.dtype_policy
        frames, codes = (
            {m: (None, backbone.feature_shapes[m][1], width) for m in backbone.modalities}
            for width in (backbone.embedding_dim, backbone.quantized_dim)
        )
        for name in backbone.modalities:
            shape = backbone.encoded_shape(name)
            specific = backbone.specific_encoders[name]
            if "reconstruction" in self.loss_names:
                decoder = self.feature_decoder(name, shape)
                decoder.build(codes[name], specific.compute_output_shape(shape))
                self.decoders[name] = decoder
            if self.num_event_classes:
                head = EventHead(self.num_event_classes, dtype=dtype, name=f"{name}_event_decoder")
                head.build(codes[name])
                self.event_heads[name] = head
            estimator = self.estimators.get(f"club_{name}")
            if estimator is not None and not estimator.built:
                estimator.build(codes[name], specific.summary_shape(shape))
        if "cpc" in self.loss_names:
            self.cpc_predictor.build(frames)

    def feature_decoder(self, name: str, shape: Any) -> keras.Layer:
        """Returns a new decoder of a modality.

        Args:
            name: of the modality.
            shape: of what it reconstructs.

        Returns:
            A layer that takes codes and specific features, not built.

        Example:

        >>> model = keras_cmg.models.DCID(("audio", "text"))
        >>> type(model.feature_decoder("audio", (None, 10, 128))).__name__
        'SequenceDecoder'
        """
        widths = self.decoder_channels, self.pre_activation_skip
        return feature_decoder(shape, *widths, dtype=self.dtype_policy, name=f"{name}_decoder")

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Beside the modalities, features that only decoders use."""
        return (*super().replica_entries, "input", "specific")

    def estimator_pairs(self, inputs):
        quantized, summary = inputs.features["quantized"], inputs.features["summary"]
        names = {term: term.removeprefix("club_") for term in self.estimators}
        return {
            term: (quantized[name], summary[name], inputs.masks.get(name))
            for term, name in names.items()
        }

    def reconstruction_loss(self, inputs):
        """Squared error of the encoders' input, from codes and specific features."""
        own = inputs.own
        target, codes, specific = (own.features[k] for k in ("input", "quantized", "specific"))
        errors = [
            self.decoding_error(
                inputs, decoder, target[m], (codes[m], specific[m]), own.masks.get(m)
            )
            for m, decoder in self.decoders.items()
        ]
        return sum(errors)

    def get_config(self):
        names = (
            "commitment_cost cross_modal_commitment code_matching_kind club cpc cpc_self_weight "
            "cpc_candidates cpc_first_frame decoder_channels pre_activation_skip "
            "num_event_classes estimator_steps"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
