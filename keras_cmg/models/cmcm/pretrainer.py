"""CMCM (Liu et al., 2021): contrast and matching of the code distributions of paired clips."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.cmcm import presets
from keras_cmg.ops import code_matching


@register_model("cmcm")
@keras.saving.register_keras_serializable("keras_cmg")
class CMCM(AlignmentPretrainer):
    """Cross-Modal Code Matching over a shared codebook.

    Terms, with the parts of the method of Liu et al. (2021):

    - `contrastive`: InfoNCE between the clips' pooled features of each pair of modalities (the
      cross-modal representation learning paradigm). The paper's loss is the masked margin softmax,
      which is InfoNCE with a margin taken off the true pair's score; ours has no margin and a
      temperature, as all systems here;
    - `fine_matching`: the Cross-Modal Code Matching objective on distributions over codes, of every
      frame and averaged over frames;
    - `pooled_matching`: the same on the pooled features, the paper's high level. The paper has
      separate high-level encoders; here the pooled features are those of the contrastive term;
    - `commitment`: keeps features close to the codes (the shared discrete embedding space). The
      codebook is updated by each modality alone, by plain moving averages: mixtures are DCID's
      addition.

    Matching is off for the first `warm_start_steps` steps (the warm start from a model trained by
    contrast alone). The paper starts from a trained model; we count steps, so that one call of
    `fit` is enough.

    Args:
        backbone: a `SequenceBackbone`, or a tuple of modalities for that of the preset
            `"small"`.
        warm_start_steps: training steps before matching starts.
        code_matching_kind: see `keras_cmg.ops.code_matching_loss`.
        **kwargs: the arguments of `AlignmentPretrainer`.

    Raises:
        ValueError: for negative `warm_start_steps`, an unknown
            `code_matching_kind`, a single modality or unknown
            terms.

    Example:

    >>> model = keras_cmg.models.CMCM.from_preset("small", modalities=("audio", "text"))
    >>> model.loss_names
    ('contrastive', 'fine_matching', 'pooled_matching', 'commitment')

    References:
        Liu et al. (2021), Cross-Modal Discrete Representation Learning.
    """

    presets = presets.PRESETS
    alignment_terms = ("contrastive", "fine_matching", "pooled_matching")
    codebook_terms = ("fine_matching", "pooled_matching")

    def __init__(
        self,
        backbone: Any,
        warm_start_steps: int = 1000,
        code_matching_kind: str = "symmetric",
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        if warm_start_steps < 0:
            raise ValueError(
                f"`warm_start_steps` must not be negative. Received: {warm_start_steps}"
            )
        if code_matching_kind not in code_matching.KINDS:
            raise ValueError(
                f"`code_matching_kind` must be one of {code_matching.KINDS}. "
                f"Received: {code_matching_kind!r}"
            )
        self.warm_start_steps = warm_start_steps
        self.code_matching_kind = code_matching_kind

    def contrastive_loss(self, inputs):
        """InfoNCE of pooled features."""
        return self.infonce_loss(inputs)

    def fine_matching_loss(self, inputs):
        """Code matching of frames, times 0 during the warm start."""
        return self._matching(inputs, inputs.features["general"])

    def pooled_matching_loss(self, inputs):
        """Code matching of pooled features, times 0 during the warm start."""
        return self._matching(inputs, inputs.clip_features(inputs.features["general"]))

    def _matching(self, inputs, features):
        loss = self.matching_of(inputs, features)
        return loss * ops.cast(inputs.step >= self.warm_start_steps, loss.dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "warm_start_steps": self.warm_start_steps,
            "code_matching_kind": self.code_matching_kind,
        }
