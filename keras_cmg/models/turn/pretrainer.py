"""TURN (Zhao et al., 2022), its alignment stream: contrast of adaptively weighted pairs."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_positive
from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.turn import presets
from keras_cmg.ops import adaptive_sampling, contrastive, masking


@register_model("turn")
@keras.saving.register_keras_serializable("keras_cmg")
class TURN(AlignmentPretrainer):
    """A universal discrete space, aligned by contrast with adaptively sampled pairs.

    Of the Two-stream Universal Referring localization Network only the alignment stream applies
    where there is nothing to localise; no public code exists. Terms:

    - `alignment`: InfoNCE between the clips' mean features of each pair of modalities, each pair
      of clips weighted by an adaptive sampling score. The paper trains on two domains, and draws
      more often what a classifier of the domain takes for the other one's. Here all pairs are of
      one domain. Ours is the pair's own loss: `keras_cmg.ops.adaptive_weights` over all pairs of
      clips of all pairs of modalities, the expectation of drawing them in proportion to
      `exp(loss / sampling_temperature)`, so that neither a pair of modalities nor a kind of clip is
      left behind, and no noise is added;
    - `commitment`: keeps features at the codes of the shared space (van den Oord et al., 2017).

    Contrast works on the features before quantisation (ours): on codes, a space that has fallen
    onto few codes would have no gradient out of it. Codes are not mixed between modalities:
    MM-EMA is DCID's. The paper's reconstruction of masked inputs and its several codebooks, one for
    each part of a feature, are left out.

    Args:
        backbone: a `SequenceBackbone`, or a tuple of modalities for that of the preset
            `"small"`.
        sampling_temperature: nats by which a pair's loss must exceed another's to be drawn e times
            as often.
        **kwargs: the arguments of `AlignmentPretrainer`.

    Raises:
        ValueError: for a temperature that is not positive, a single modality or unknown terms.

    Example:

    >>> keras_cmg.models.TURN.from_preset("small", modalities=("audio", "text")).loss_names
    ('alignment', 'commitment')

    References:
        Zhao et al. (2022), Towards Effective Multi-Modal Interchanges in Zero-Resource Sounding
        Object Localization, section 3 (alignment stream, adaptive sampling).
    """

    presets = presets.PRESETS
    alignment_terms = ("alignment",)

    def __init__(self, backbone: Any, sampling_temperature: float = 1.0, **kwargs):
        super().__init__(backbone, **kwargs)
        require_positive(sampling_temperature=sampling_temperature)
        self.sampling_temperature = sampling_temperature

    def alignment_loss(self, inputs):
        """InfoNCE with every pair weighted by its own loss."""
        clips = inputs.clip_features(inputs.features["general"])
        losses, counts = [], []
        for a, b in self.pairs():
            present = inputs.pair_presence(a, b, clips[a])
            logits = contrastive.cosine_logits(clips[a], clips[b], self.temperature)
            loss, whole = contrastive.pair_cross_entropies(logits, present=present)
            if self.symmetric:
                backward, _ = contrastive.pair_cross_entropies(logits, axis=0, present=present)
                loss = (loss + backward) / 2
            losses.append(loss)
            counts.append(whole)
        losses, counts = ops.concatenate(losses), ops.concatenate(counts)
        weights = adaptive_sampling.adaptive_weights(losses, self.sampling_temperature, counts)
        # The mean over pairs of clips, the sum over pairs of modalities, as of InfoNCE.
        return len(self.pairs()) * masking.weighted_mean(losses * weights, counts)

    def get_config(self):
        return {**super().get_config(), "sampling_temperature": self.sampling_temperature}
