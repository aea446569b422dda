"""FAC (Alayrac et al., 2020): audio and video in a fine space, all modalities in a coarse one."""

from __future__ import annotations

from itertools import combinations

import keras

from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.fac import presets
from keras_cmg.models.fac.backbone import FACBackbone


@register_model("fac")
@keras.saving.register_keras_serializable("keras_cmg")
class FAC(AlignmentPretrainer):
    """Fine and coarse spaces by contrast, without estimators and specific encoders.

    Terms, with the parts of the method of Alayrac et al. (2020):

    - `fine`: InfoNCE between fine modalities (audio, video) segment by segment: each segment finds
      its own second of the other modality among that second of the batch's other clips (the NCE
      loss, in the fine audiovisual space). Their clips last a few seconds; ours are one second
      each, so the segment is the sample;
    - `coarse`: InfoNCE between the clip's features in the coarse space, each fine modality with
      each coarse one. The paper contrasts text with vision alone, by MIL-NCE: this
      multiple-instance loss over neighbouring narrations becomes InfoNCE, since a clip has one
      text;
    - `commitment`: ours. FAC has no codes; they are added to the coarse space as in FCID, so that
      it can be probed as the others are.

    Fine and coarse train together, as in the paper: its "first" is an order of spaces, the coarse
    one being a projection of the fine one. With fine modalities alone there is only `fine`, with
    one fine modality or none only `coarse`.

    Args:
        backbone: a `FACBackbone`, or a tuple of modalities for that of the preset `"small"`.
        loss_weights: term to weight, default 1; a term of weight 0 is not computed.
        temperature: of both contrastive terms; the paper's 0.07.
        symmetric: both directions.
        commitment_cost: weight within the commitment term.
        cross_modal_commitment: see `keras_cmg.ops.commitment_loss`.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: for a single modality, unknown terms, or fine modalities with different frames.

    Example:

    >>> keras_cmg.models.FAC.from_preset("small", modalities=("audio", "video", "text")).loss_names
    ('fine', 'coarse', 'commitment')

    References:
        Alayrac et al. (2020), Self-Supervised MultiModal Versatile Networks.
    """

    backbone_class = FACBackbone
    presets = presets.PRESETS

    def default_loss_weights(self):
        applies = {
            "fine": len(self.backbone.fine) > 1,
            "coarse": bool(self.pairs()),
            "commitment": True,
        }
        return {term: 1.0 for term, there in applies.items() if there}

    def pairs(self):
        """Pairs that are aligned in the coarse space: all but those of two fine modalities."""
        fine = self.backbone.fine
        return [(a, b) for a, b in combinations(self.backbone.modalities, 2) if {a, b} - set(fine)]

    def fine_loss(self, inputs):
        """InfoNCE at each segment, the sum over pairs of fine modalities."""
        features = {m: inputs.features["fine_general"][m] for m in self.backbone.fine}
        frames = {name: value.shape[1] for name, value in features.items()}
        if len(set(frames.values())) > 1:
            raise ValueError(
                f"Fine modalities must have the same number of frames. Received frames: {frames}"
            )
        pairs = combinations(features, 2)
        return self.segment_infonce(inputs, features, pairs, self.temperature, self.symmetric)

    def coarse_loss(self, inputs):
        """InfoNCE of clips in the coarse space."""
        return self.infonce_loss(inputs)
