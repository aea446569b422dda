"""MICU (Huang et al., 2025): masked contrast of frames and clips, and jigsaw puzzles of codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_positive
from keras_cmg.models.base import masked_terms
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.dcid import DCID, DCIDBackbone
from keras_cmg.models.micu import presets


@register_model("micu")
@keras.saving.register_keras_serializable("keras_cmg")
class MICU(DCID):
    """Multimodal alignment by masked contrast and jigsaw puzzles, for classes not seen in training.

    The backbone is DCID's. The loss is the weighted sum of

    - `reconstruction` and `commitment`, as in DCID;
    - `masked_frame_infonce` and `masked_clip_infonce`: InfoNCE from general features, of which a
      share of the frames is masked, to complete ones, for all pairs of modalities, each with itself
      included (FCMI: fine and coarse masked multimodal InfoNCE);
    - `jigsaw`: a classifier tells in which order the pieces of a quantised vector are put together,
      each piece from a modality drawn at random (CUJP: cross-modal unified jigsaw puzzles).

    `cpc`, `code_matching` and `club_<modality>` of DCID have weight 0: the authors' code computes
    and logs them, but does not train by them. The authors' code encodes every batch twice, with an
    update of the codebook each time (`num_passes=2`): the contrast and the puzzles use the first
    pass, all other terms the second.

    Args:
        backbone: a `DCIDBackbone`, or a tuple of modalities for that of the preset `"small"`.
        loss_weights: term to weight, default 1, but 0 of DCID's terms above; a term of weight 0 is
            not computed.
        mask_ratio: share of frames that are masked, or modality to share; see
            `keras_cmg.ops.adaptive_mask_ratios`.
        temperature: of the masked contrast, which divides cosine similarities.
        jigsaw: arguments of `JigsawClassifier`.
        num_passes: 1 or 2, how often a training step encodes its batch.
        **kwargs: the arguments of `DCID`.

    Call arguments:
        inputs: a batch, see `DCIDBackbone`; an optional entry `"draws"` replaces random draws:
            `"mask_uniform"`, `(batch, frames)`, of which frames above the mask ratio are kept;
            `"jigsaw_parts"`, `(pieces,)`, positions of modalities; and those of `DCID`.
        training: whether dropout is active and the codebook is updated.

    Returns:
        The features of `DCIDBackbone`; in training with two passes also `"first_general"` and
        `"first_quantized"`, those of the first one.

    Raises:
        ValueError: for unknown terms in `loss_weights`, a `mask_ratio` outside [0, 1), a
            `temperature` that is not positive, other `num_passes`, or an `embedding_dim` that is no
            multiple of the number of pieces.

    Example:

    >>> model = keras_cmg.models.MICU.from_preset("small", modalities=("audio", "text"))
    >>> model.loss_names[:4]
    ('reconstruction', 'commitment', 'masked_frame_infonce', 'masked_clip_infonce')

    References:
        Huang et al. (2025), Open-set Cross Modal Generalization via Multimodal Unified
        Representation.
    """

    backbone_class = DCIDBackbone
    presets = presets.PRESETS

    def __init__(
        self,
        backbone: DCIDBackbone | tuple[str, ...],
        loss_weights: Mapping[str, float] | None = None,
        mask_ratio: masked_terms.MaskRatio = 0.3,
        temperature: float = 0.1,
        jigsaw: Mapping[str, Any] | None = None,
        num_passes: int = 1,
        **kwargs,
    ):
        super().__init__(backbone, loss_weights, **kwargs)
        masked_terms.check_mask_ratio(mask_ratio, self.backbone.modalities)
        require_positive(temperature=temperature)
        if num_passes not in (1, 2):
            raise ValueError(f"`num_passes` must be 1 or 2. Received: {num_passes}")
        self.mask_ratio = mask_ratio
        self.temperature = temperature
        self.jigsaw = dict(jigsaw or {})
        self.num_passes = num_passes
        if "jigsaw" in self.loss_names:
            self.jigsaw_classifier = masked_terms.jigsaw_classifier(self.dtype_policy, self.jigsaw)

    def default_loss_weights(self):
        trained = ("reconstruction", "commitment", "masked_frame_infonce", "masked_clip_infonce")
        weights = dict.fromkeys((*trained, "jigsaw"), 1.0)
        return {**dict.fromkeys(super().default_loss_weights(), 0.0), **weights}

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Every logged key: those of DCID, and the accuracy of the puzzles."""
        puzzles = ("jigsaw_accuracy",) if "jigsaw" in self.loss_names else ()
        return (*super().log_keys, *puzzles)

    def build_layers(self):
        super().build_layers()
        if "jigsaw" in self.loss_names:
            dim = self.backbone.quantized_dim
            self.jigsaw_classifier.build(dict.fromkeys(self.backbone.modalities, (None, None, dim)))

    def call(self, inputs, training=False):
        if not training or self.num_passes == 1:
            return super().call(inputs, training=training)
        first = super().call(inputs, training=training)
        again = {}
        if "code_matching" in self.loss_names:
            again["code_tables"] = tuple(ops.copy(codes) for codes in self.backbone.code_tables())
        again["first_general"], again["first_quantized"] = first["general"], first["quantized"]
        return {**super().call(inputs, training=training), **again}

    @property
    def replica_entries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Beside those of DCID the codes, which are the same on all replicas."""
        return (*super().replica_entries, "code_tables")

    def masked_frame_infonce_loss(self, inputs):
        """InfoNCE from masked to complete features among the frames of each clip (FCMI, fine)."""
        return self._masked_infonce(inputs, "frame")

    def masked_clip_infonce_loss(self, inputs):
        """InfoNCE from masked to complete features among clips (FCMI, coarse)."""
        return self._masked_infonce(inputs, "clip")

    def _masked_infonce(self, inputs, level):
        general = self._first(inputs, "general")
        return masked_terms.masked_infonce(
            inputs, general, self.mask_ratio, self.temperature, level
        )

    @staticmethod
    def _first(inputs, kind):
        """Features of the first pass."""
        return inputs.features.get(f"first_{kind}", inputs.features[kind])

    def jigsaw_loss(self, inputs):
        """Cross-entropy of the order of pieces of quantised features (CUJP)."""
        loss, accuracy = masked_terms.jigsaw_loss(
            inputs, self.jigsaw_classifier, self._first(inputs, "quantized")
        )
        return loss, {"jigsaw_accuracy": accuracy}

    def code_matching_loss(self, inputs):
        """Code matching with the codes that the last pass assigned."""
        features = inputs.features[self.backbone.quantized_kind]
        return self.matching_of(inputs, features, inputs.features.get("code_tables"))

    def get_config(self):
        names = "mask_ratio temperature jigsaw num_passes".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
