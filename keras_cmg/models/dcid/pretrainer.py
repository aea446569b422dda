"""DCID (Xia et al., 2023), the predecessor of FCID: disentangling frame by frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.backend.replicas import own
from keras_cmg.layers.club_estimator import CLUBEstimator
from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.layers.map_decoder import MapDecoder
from keras_cmg.layers.sequence_decoder import SequenceDecoder
from keras_cmg.models.base import terms
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.dcid import presets as dcid_presets
from keras_cmg.models.dcid.backbone import DCIDBackbone
from keras_cmg.ops import code_matching, counter_random, quantization
from keras_cmg.types import Tensor


@register_model("dcid")
@keras.saving.register_keras_serializable("keras_cmg")
class DCID(Pretrainer):
    """Dual Cross-modal Information Disentangling, trained as FCID is.

    The loss is the weighted sum of `reconstruction` (codes and specific features rebuild the
    input), `commitment`, `cpc` between all modalities, `code_matching`, and `club_<modality>`,
    which keeps codes and specific features apart (CLUB, their Eq. 5).

    Args:
        backbone: a `DCIDBackbone`, or a tuple of modalities for the preset `"small"`.
        loss_weights: term to weight; 1 where none is given, 0 leaves a term out of the program.
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
        num_event_classes: classes of the `EventHead` that the authors' code registers for each
            modality and trains with no loss; `None` for none.
        estimator_steps: steps of the estimators per step.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `DCIDBackbone`; an optional entry `"draws"` replaces what would be
            drawn: `"cpc_time"`, an int scalar, and `"club_<modality>"`, permutations.
        training: whether dropout acts and the codebook moves.

    Returns:
        The features of `DCIDBackbone`, and with code matching `"codebook"`, the codes from before
        the update.

    Raises:
        ValueError: for unknown terms in `loss_weights` or unknown switches.

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
    presets = dcid_presets.PRESETS

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
        if not isinstance(backbone, DCIDBackbone):
            backbone = DCIDBackbone.from_preset("small", modalities=backbone)
        super().__init__(backbone, **kwargs)
        if estimator_steps < 1:
            raise ValueError(f"`estimator_steps` must be at least 1. Received: {estimator_steps}")
        self.commitment_cost = commitment_cost
        self.cross_modal_commitment = cross_modal_commitment
        self.code_matching_kind = code_matching_kind
        self.settings = {"club": dict(club or {}), "cpc": dict(cpc or {})}
        self.cpc_self_weight = cpc_self_weight
        self.cpc_candidates = cpc_candidates
        self.cpc_first_frame = cpc_first_frame
        self.decoder_channels = decoder_channels
        self.pre_activation_skip = pre_activation_skip
        self.num_event_classes = num_event_classes
        self._estimator_steps = estimator_steps
        self.weigh(self._all_terms(), loss_weights)
        self.cpc = CPCPredictor(dtype=self.dtype_policy, name="cpc", **self.settings["cpc"])
        self.estimators = {
            name: CLUBEstimator(dtype=self.dtype_policy, name=name, **self.settings["club"])
            for name in self.loss_names
            if name.startswith("club_")
        }
        self.create_trackers()

    def _all_terms(self) -> tuple[str, ...]:
        several = len(self.backbone.modalities) > 1
        return (
            "reconstruction",
            "commitment",
            *(("cpc", "code_matching") if several else ()),
            *(f"club_{name}" for name in self.backbone.modalities),
        )

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Every logged key: the terms, the estimators' fit, and what tells how training goes."""
        keys = [*self.loss_names, "perplexity", "code_usage", "code_agreement"]
        keys += [f"{name}_nll" for name in self.estimators]
        if "cpc" in self.loss_names:
            names = self.backbone.modalities
            keys += [f"cpc_accuracy_{a}_{b}" for a in names for b in names]
        return tuple(keys)

    @property
    def estimator_steps(self) -> int:  # type: ignore[override]
        """Steps of the estimators per step; 0 where no term needs one."""
        return self._estimator_steps if self.estimators else 0

    def build(self, input_shape: Mapping[str, Any]) -> None:
        backbone = self.backbone
        self.build_backbone(input_shape)
        dim = backbone.embedding_dim
        self.decoders, self.event_heads = {}, {}
        for name in backbone.modalities:
            shape = backbone.encoded_shape(name)
            specific = backbone.specific_encoders[name]
            frames = (None, shape[1], dim)
            if "reconstruction" in self.loss_names:
                self.decoders[name] = self._decoder(name, shape)
                self.decoders[name].build(frames, specific.compute_output_shape(shape))
            if self.num_event_classes:
                self.event_heads[name] = EventHead(
                    self.num_event_classes, dtype=self.dtype_policy, name=f"{name}_event_decoder"
                )
                self.event_heads[name].build(frames)
            estimator = self.estimators.get(f"club_{name}")
            if estimator is not None and not estimator.built:
                estimator.build(frames, specific.summary_shape(shape))
        if "cpc" in self.loss_names:
            self.cpc.build(
                {m: (None, backbone.feature_shapes[m][1], dim) for m in backbone.modalities}
            )
        self.draw_counter = self.add_weight(
            name="draw_counter",
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
        )
        self._estimator_ids = {
            id(v) for layer in self.estimators.values() for v in layer.trainable_variables
        }
        self.built = True

    def _decoder(self, name, shape):
        arguments = {"dtype": self.dtype_policy, "name": f"{name}_decoder"}
        if len(shape) == 5:
            return MapDecoder(
                shape[-1], self.decoder_channels, self.pre_activation_skip, **arguments
            )
        return SequenceDecoder(shape[-1], **arguments)

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Beside the modalities, what only decoders look at."""
        return (*super().replica_entries, "input", "specific")

    def is_estimator(self, variable: Any) -> bool:
        return id(variable) in self._estimator_ids

    def call(self, inputs, training=False):
        if "code_matching" not in self.loss_names:
            return self.backbone(inputs, training=training)
        # A copy, because the backbone's call moves the codebook in place on some engines.
        codebook = ops.copy(ops.convert_to_tensor(self.backbone.quantizer.codebook))
        return {**self.backbone(inputs, training=training), "codebook": codebook}

    def estimator_loss(self, x, features):
        masks = self.backbone.frame_masks(x)
        losses = {}
        for term, estimator in self.estimators.items():
            quantized, specific, weights = self._disentangled(term, features, masks)
            losses[f"{term}_nll"] = -estimator.log_likelihood(quantized, specific, weights)
        return losses

    def _disentangled(self, term, features, masks):
        """Codes and specific features that a CLUB term keeps apart, and which frames count."""
        name = term.removeprefix("club_")
        pair = features["quantized"][name], features["summary"][name]
        return *(terms.full_precision(self, value) for value in pair), masks.get(name)

    def main_losses(self, x, features, training):
        features = keras.tree.map_structure(lambda v: terms.full_precision(self, v), features)
        draws = x.get("draws", {})
        counter = self.draw_counter if training else ops.zeros((), dtype="int32")
        masks = self.backbone.frame_masks(x)
        losses: dict[str, Tensor] = {}
        logs: dict[str, Tensor] = {}
        if "reconstruction" in self.loss_names:
            losses["reconstruction"] = sum(
                terms.mean_squared_error(
                    own(features)["input"][name],
                    decoder(*(own(features)[kind][name] for kind in ("quantized", "specific"))),
                    self.backbone.frame_masks(own(x)).get(name),
                )
                for name, decoder in self.decoders.items()
            )
        if "commitment" in self.loss_names:
            losses["commitment"] = sum(
                quantization.commitment_loss(
                    features["general"],
                    features["codes"],
                    self.commitment_cost,
                    self.cross_modal_commitment,
                    terms.level_weights(masks, features["general"]),
                ).values()
            )
        if "cpc" in self.loss_names:
            general = features["general"]
            time = draws.get("cpc_time")
            if time is None:
                steps = self.cpc.num_prediction_steps
                time = terms.cpc_time(counter, general, steps, self.cpc_first_frame)
            losses["cpc"], logs = terms.cpc_terms(
                self.cpc, general, time, self.cpc_self_weight, self.cpc_candidates, masks
            )
        if "code_matching" in self.loss_names:
            losses["code_matching"] = code_matching.code_matching_loss(
                features["general"], features["codebook"], self.code_matching_kind, masks
            )
        for salt, (name, estimator) in enumerate(self.estimators.items()):
            quantized, specific, weights = self._disentangled(name, features, masks)
            permutation = draws.get(name)
            if permutation is None and estimator.negatives != "all":
                permutation = counter_random.random_permutation(
                    counter, ops.shape(quantized)[0], salt=2 + salt
                )
            losses[name] = estimator.club_upper_bound(quantized, specific, permutation, weights)
        if training:
            self.draw_counter.assign(self.draw_counter + 1)
        weights = terms.level_weights(masks, features["general"])
        codes = terms.code_logs(features["indices"], self.backbone.num_embeddings, weights)
        return {"loss": self.total(losses), **losses, **logs, **codes}

    def get_config(self):
        names = (
            "commitment_cost cross_modal_commitment code_matching_kind cpc_self_weight "
            "cpc_candidates cpc_first_frame decoder_channels pre_activation_skip num_event_classes"
        ).split()
        return {
            **super().get_config(),
            **{name: getattr(self, name) for name in names},
            **self.settings,
            "loss_weights": self.given_weights,
            "estimator_steps": self._estimator_steps,
        }


@keras.saving.register_keras_serializable("keras_cmg")
class EventHead(keras.layers.Layer):
    """Class logits of a clip: a dense layer, the maximum over time, a dense layer.

    Args:
        num_classes: number of classes.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.

    Returns:
        Logits `(batch, num_classes)`.

    Example:

    >>> tuple(EventHead(3)(np.zeros((2, 10, 8), "float32")).shape)
    (2, 3)
    """

    def __init__(self, num_classes: int, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def build(self, input_shape):
        dim = input_shape[-1]
        self.inner = keras.layers.Dense(dim, dtype=self.dtype_policy, name="inner")
        self.classifier = keras.layers.Dense(
            self.num_classes, dtype=self.dtype_policy, name="classifier"
        )
        self.inner.build(input_shape)
        self.classifier.build((None, dim))
        self.built = True

    def call(self, inputs):
        return self.classifier(ops.max(self.inner(inputs), axis=1))

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
