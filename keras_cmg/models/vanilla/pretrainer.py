"""Vanilla: direct alignment of clips by contrast or distillation."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.vanilla import presets
from keras_cmg.ops import code_matching, masking

ALIGNMENTS = ("contrastive", "distillation")


@register_model("vanilla")
@keras.saving.register_keras_serializable("keras_cmg")
class Vanilla(AlignmentPretrainer):
    """Direct alignment of every pair of modalities, without disentangling.

    The comparison "Vanilla" of Huang et al. (2025), who say only that modalities are aligned
    directly. Terms:

    - `alignment`: with `alignment="contrastive"`, InfoNCE between the clips' mean features (van den
      Oord et al., 2018, Eq. 4; Radford et al., 2021, arXiv version, section 2.3); with
      `"distillation"`, the cross-entropy of each modality's distribution over codes with its
      partner's, which receives no gradient (Hinton et al., 2015, section 2, without a trained
      teacher: the partner teaches);
    - `commitment`: ours, since the codes follow the features by moving averages.

    Left open by the source: the level (the clip: aligned wholes), the temperature (the authors'
    InfoNCE, 0.1), whether codes are mixed between modalities (no: MM-EMA is DCID's). Distillation
    alone does not prevent collapse: constant features minimise it.

    Args:
        backbone: a `SequenceBackbone`, or a tuple of modalities for that of the preset
            `"small"`.
        alignment: `"contrastive"` or `"distillation"`.
        **kwargs: the arguments of `AlignmentPretrainer`.

    Raises:
        ValueError: for an unknown `alignment`, a single modality or unknown terms.

    Example:

    >>> model = keras_cmg.models.Vanilla.from_preset("small", modalities=("audio", "text"))
    >>> model.loss_names
    ('alignment', 'commitment')

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization; van den Oord et al. (2018); Radford et al. (2021), Learning Transferable
        Visual Models From Natural Language Supervision.
    """

    presets = presets.PRESETS
    alignment_terms = ("alignment",)

    def __init__(self, backbone: Any, alignment: str = "contrastive", **kwargs):
        super().__init__(backbone, **kwargs)
        if alignment not in ALIGNMENTS:
            raise ValueError(f"`alignment` must be one of {ALIGNMENTS}. Received: {alignment!r}")
        self.alignment = alignment

    def alignment_loss(self, inputs):
        """Contrast or distillation; see the class."""
        if self.alignment == "contrastive":
            return self.infonce_loss(inputs)
        general = inputs.features[self.backbone.quantized_kind]
        losses = [
            self._distillation(inputs, *compared)
            for compared in self.compared_with_codes(general, self.backbone.code_tables())
        ]
        return sum(losses) / len(losses)

    def _distillation(self, inputs, features, codebooks):
        weights = inputs.weights(features)
        # The codes themselves receive no gradient there.
        log_p = {
            name: code_matching.code_log_probabilities(value, codebooks[name], weights.get(name))
            for name, value in features.items()
        }
        losses = []
        for a, b in self.pairs():
            whole = inputs.pair_weights(a, b, log_p[a])
            for student, teacher in ((a, b), (b, a)):
                target = ops.stop_gradient(ops.exp(log_p[teacher]))
                entropies = -ops.sum(target * log_p[student], axis=-1)
                losses.append(masking.weighted_mean(entropies, whole))
        return sum(losses) / 2

    def get_config(self):
        return {**super().get_config(), "alignment": self.alignment}
