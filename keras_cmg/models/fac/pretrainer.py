"""FAC (Alayrac et al., 2020): sound and picture first, in a fine space; words in a coarse one."""

from __future__ import annotations

from itertools import combinations

import keras
from keras import ops

from keras_cmg.models.base import shared_presets as presets
from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.fine_coarse_backbone import FineCoarseBackbone
from keras_cmg.models.base.registry import register_model
from keras_cmg.ops import contrastive, masking


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
        backbone: a `FineCoarseBackbone`, or a tuple of modalities for the preset `"small"`.
        loss_weights: term to weight; 1 where none is given, 0 leaves a term out of the program.
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

    backbone_class = FineCoarseBackbone
    presets = presets.presets({"temperature": 0.07}, {"temperature": 0.1})

    def term_names(self):
        fine, all_pairs = len(self.backbone.fine), self.pairs()
        names = (("fine",) if fine > 1 else ()) + (("coarse",) if all_pairs else ())
        return (*names, "commitment")

    def pairs(self):
        """Pairs that meet in the coarse space: all but those of two fine modalities."""
        fine = self.backbone.fine
        return [(a, b) for a, b in combinations(self.backbone.modalities, 2) if {a, b} - set(fine)]

    def fine_loss(self, x, features):
        """InfoNCE at each segment, the sum over pairs of fine modalities."""
        masks = self.backbone.frame_masks(x)
        fine = {name: features["fine_general"][name] for name in self.backbone.fine}
        frames = {name: value.shape[1] for name, value in fine.items()}
        if len(set(frames.values())) > 1:
            raise ValueError(
                f"Fine modalities must have the same frames in step. Received frames: {frames}"
            )
        losses = []
        for a, b in combinations(fine, 2):
            logits = contrastive.cosine_logits(
                ops.swapaxes(fine[a], 0, 1), ops.swapaxes(fine[b], 0, 1), self.temperature
            )
            losses.append(_segment_loss(logits, fine, masks, a, b))
            if self.symmetric:
                backward = _segment_loss(ops.swapaxes(logits, 1, 2), fine, masks, b, a)
                losses[-1] = (losses[-1] + backward) / 2
        return sum(losses)

    def coarse_loss(self, x, features):
        """InfoNCE of clips in the coarse space."""
        return self.infonce_loss(x, features)


def _segment_loss(logits, features, masks, a, b):
    """Cross-entropy of finding the segments of b by those of a; logits (frames, batch, batch)."""
    if a not in masks and b not in masks:
        return contrastive.cpc_loss(logits, "predictions")
    rows, columns = (
        ops.transpose(masking.weights_like(masks[name], features[name]))
        if name in masks
        else ops.ones(ops.shape(logits)[:2], dtype="float32")
        for name in (a, b)
    )
    log_p = ops.log_softmax(masking.mask_logits(logits, columns[:, None, :]), axis=2)
    return -masking.weighted_mean(ops.diagonal(log_p, axis1=1, axis2=2), rows * columns)
