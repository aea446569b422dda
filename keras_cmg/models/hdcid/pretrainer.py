"""H-DCID (Xia et al., 2024, first version): DCID on two levels."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.layers.sequence_decoder import SequenceDecoder
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.dcid.backbone import DCIDBackbone
from keras_cmg.models.dcid.pretrainer import DCID
from keras_cmg.models.hdcid import presets

SECOND_LEVEL_WEIGHT = 0.3
"""Weight of the second level's terms in the authors' code."""
SECOND_SALT = 201


@register_model("hdcid")
@keras.saving.register_keras_serializable("keras_cmg")
class HDCID(DCID):
    """Hierarchical Dual Cross-modal Information Disentangling.

    The first level is DCID. A second level repeats it on the specific features of the first (on the
    summary of those of feature maps): it has general and specific features and a codebook of its
    own. Each term of the first level, `reconstruction`, `commitment`, `cpc` and `club_<modality>`,
    has a counterpart `second_<term>` or `club_second_<modality>` of weight 0.3, which counts from
    `second_level_start_step` on; `second_reconstruction` is of the first level's specific features.
    As in the authors' code, `code_matching`, of the first level, has weight 0.

    Beyond that code: there, each step runs the encoder once per inner step of the estimators and
    updates the codebooks each time, and estimators of the second level do not train before their
    terms count. Here codebooks are updated once per step, and all estimators train from the first.

    Args:
        backbone: a `DCIDBackbone` with `second_level`, or a tuple of modalities for that of the
            preset `"small"`.
        second_level_start_step: training steps before the terms of the second level count.
        **kwargs: the arguments of `DCID`.

    Call arguments:
        inputs: a batch, see `DCIDBackbone`; an optional entry `"draws"` replaces random draws:
            `"cpc_time"` and `"second_cpc_time"`, int scalars, and `"club_<modality>"` and
            `"club_second_<modality>"`, permutations.
        training: whether dropout is active and the codebooks are updated.

    Returns:
        The features of `DCIDBackbone`.

    Raises:
        ValueError: for a backbone without a second level, a negative `second_level_start_step`, or
            as `DCID`.

    Example:

    >>> model = keras_cmg.models.HDCID.from_preset("small", modalities=("audio", "text"))
    >>> [term for term in model.loss_names if "second" in term][:3]
    ['second_reconstruction', 'second_commitment', 'second_cpc']
    >>> model.backbone.code_dim
    512

    References:
        Xia et al. (2024), Achieving Cross Modal Generalization with Multimodal Unified
        Representation, first version of arXiv 2403.05168 (H-DCID).
    """

    backbone_class = DCIDBackbone
    presets = presets.PRESETS

    def __init__(self, backbone: Any, second_level_start_step: int = 1500, **kwargs):
        super().__init__(backbone, **kwargs)
        if not self.backbone.second_level:
            raise ValueError(
                "`backbone` must have `second_level=True`. Received one with a single level."
            )
        if second_level_start_step < 0:
            raise ValueError(
                "`second_level_start_step` must not be negative. "
                f"Received: {second_level_start_step}"
            )
        self.second_level_start_step = second_level_start_step
        self.second_decoders: dict[str, Any] = {}
        if "second_cpc" in self.loss_names:
            self.second_cpc_predictor = CPCPredictor(
                dtype=self.dtype_policy, name="second_cpc", **self.cpc
            )

    def default_loss_weights(self):
        first = super().default_loss_weights()
        if "code_matching" in first:
            first["code_matching"] = 0.0
        second = [
            f"club_second_{term.removeprefix('club_')}" if "club_" in term else f"second_{term}"
            for term in first
            if term != "code_matching"
        ]
        return {**first, **dict.fromkeys(second, SECOND_LEVEL_WEIGHT)}

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Every logged key: those of `DCID`, and the fit of the second level's CPC."""
        names = self.backbone.modalities if "second_cpc" in self.loss_names else ()
        second = (f"second_cpc_accuracy_{a}_{b}" for a in names for b in names)
        return (*super().log_keys, *second)

    def build_layers(self):
        super().build_layers()
        backbone, dtype = self.backbone, self.dtype_policy
        frames = {
            m: (None, backbone.feature_shapes[m][1], backbone.embedding_dim)
            for m in backbone.modalities
        }
        for name in backbone.modalities:
            encoder = backbone.specific_encoders[name]
            summary = encoder.summary_shape(backbone.encoded_shape(name))
            if "second_reconstruction" in self.loss_names:
                decoder = SequenceDecoder(summary[-1], dtype=dtype, name=f"{name}_second_decoder")
                decoder.build(frames[name], summary)
                self.second_decoders[name] = decoder
            estimator = self.estimators.get(f"club_second_{name}")
            if estimator is not None and not estimator.built:
                estimator.build(frames[name], summary)
        if "second_cpc" in self.loss_names:
            self.second_cpc_predictor.build(frames)

    def code_matching_loss(self, inputs):
        """Code matching of the first level."""
        tables = inputs.code_tables[: len(inputs.code_tables) // 2]
        first = self.backbone.quantizer.part(0)
        return self.matching_of(inputs, inputs.features["general"], tables, first)

    def first_indices(self, inputs):
        """Returns one index per vector, of the first level.

        Args:
            inputs: of the step.

        Returns:
            Modality to int tensor `(batch, frames)`.
        """
        first = (..., *(0,) * len(self.backbone.quantizer.part(0).index_shape))
        return {name: index[first] for name, index in inputs.features["indices"].items()}

    def estimator_pairs(self, inputs):
        features = inputs.features
        pairs = {}
        for term in self.estimators:
            name = term.removeprefix("club_")
            kinds = ("quantized", "summary")
            if name not in self.backbone.modalities:
                name = name.removeprefix("second_")
                kinds = ("second_quantized", "second_specific")
            x, y = (features[kind][name] for kind in kinds)
            pairs[term] = (x, y, inputs.masks.get(name))
        return pairs

    def club_loss(self, term, inputs):
        value = super().club_loss(term, inputs)
        first = term.removeprefix("club_") in self.backbone.modalities
        return value if first else self._started(inputs, value)

    def second_reconstruction_loss(self, inputs):
        """Squared error of the first level's specific features, from the second level's."""
        features = inputs.features
        errors = [
            self.squared_error(
                features["summary"][m],
                decoder(features["second_quantized"][m], features["second_specific"][m]),
                inputs.masks.get(m),
            )
            for m, decoder in self.second_decoders.items()
        ]
        return self._started(inputs, sum(errors))

    def second_commitment_loss(self, inputs):
        """Distance of the second level's general features from their codes."""
        loss = self.commitment_of(
            inputs, "second_general", "second_codes", self.cross_modal_commitment
        )
        return self._started(inputs, loss)

    def second_cpc_loss(self, inputs):
        """Predictive coding of the second level's general features."""
        loss, accuracies = self.predictive_coding(
            inputs,
            inputs.features["second_general"],
            self.second_cpc_predictor,
            "second_cpc",
            SECOND_SALT,
        )
        return self._started(inputs, loss), accuracies

    def _started(self, inputs, loss):
        """The loss, or 0 before the second level starts."""
        return loss * ops.cast(inputs.step >= self.second_level_start_step, loss.dtype)

    def get_config(self):
        return {**super().get_config(), "second_level_start_step": self.second_level_start_step}
