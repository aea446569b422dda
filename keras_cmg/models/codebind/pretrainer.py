"""CodeBind (Chen et al., 2026): compositional codes of shared and specific features."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_positive
from keras_cmg.layers.quantizers.grouped_quantizer import GroupedQuantizer
from keras_cmg.layers.sequence_decoder import SequenceDecoder
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import register_model
from keras_cmg.models.codebind import presets
from keras_cmg.models.codebind.backbone import CodeBindBackbone
from keras_cmg.ops import chunked_codes
from keras_cmg.ops.contrastive import l2_normalize
from keras_cmg.ops.masking import weighted_mean

WEIGHTS = {
    "reconstruction": 1.0,
    "commitment": 50.0,
    "infonce": 1.0,
    "code_matching": 1.0,
    "decomposition": 0.1,
    "uniformity": 1.0,
}
"""Weights of the authors' configuration for sound, pictures and words."""
OF_SPECIFIC = ("reconstruction", "decomposition", "uniformity")
"""Terms of modalities with a specific part."""


@register_model("codebind")
@keras.saving.register_keras_serializable("keras_cmg")
class CodeBind(Pretrainer):
    """CodeBind's objective, on frozen features in place of its pretrained trunks.

    Terms, with the authors' weights, and where this departs from their code:

    - `infonce`: contrast of the clips' quantised shared parts, for each pair with a modality of
      `bridges`: the sum of both directions, the mean over pairs. There, of class tokens, here of
      means over frames;
    - `code_matching`: chunk by chunk, matching of the clips' distributions over shared codes, a
      softmax of cosine similarities; the mean over pairs. Their code computes it without a gradient
      (features and codes are detached); here features receive it;
    - `commitment`: of all chunks to their codes, weight 50. Codes follow by moving averages; where
      their code draws rarely used codes towards random features of every batch, here codes that
      were not used for long are replaced;
    - `decomposition`: `keras_cmg.ops.frame_overlap` of quantised shared and specific parts, the
      mean over modalities;
    - `uniformity`: `keras_cmg.ops.uniformity_loss` of the clips' quantised specific parts, the mean
      over modalities;
    - `reconstruction`: of each modality with a specific part, from both quantised parts. There, of
      pictures and spectrograms, by transformers that also see the trunk's output; here of the
      frozen features, of feature maps their mean over positions, by a `SequenceDecoder`.

    Left out: the terms on codes alone, which have no gradient in their code since codes follow
    moving averages; adapters and heads of the trunks; training on one pair of modalities after the
    other.

    Args:
        backbone: a `CodeBindBackbone`, or a tuple of modalities for that of the preset `"small"`.
        loss_weights: term to weight; others keep the default above. A term of weight 0 is not
            computed.
        temperature: of the contrast, divides cosine similarities.
        bridges: modalities that the others are aligned with; None for all pairs.
        commitment_cost: weight within the commitment term, beta.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: a batch, see `CodeBindBackbone`.
        training: whether dropout is active and the codebooks are updated.

    Returns:
        The features of `CodeBindBackbone`.

    Raises:
        ValueError: for a single modality, unknown `bridges` or terms, parts of different widths
            with `decomposition`, or a temperature that is not positive.

    Example:

    >>> model = keras_cmg.models.CodeBind(("audio", "video", "text"), bridges=("video", "text"))
    >>> model.pairs()
    [('audio', 'video'), ('audio', 'text'), ('video', 'text')]

    References:
        Chen et al. (2026), CodeBind: Decoupled Representation Learning for Multimodal Alignment
        with Unified Compositional Codebook.
    """

    backbone_class = CodeBindBackbone
    presets = presets.PRESETS

    def __init__(
        self,
        backbone: Any,
        loss_weights: Mapping[str, float] | None = None,
        temperature: float = 0.05,
        bridges: tuple[str, ...] | None = None,
        commitment_cost: float = 0.25,
        **kwargs,
    ):
        super().__init__(backbone, **kwargs)
        self.require_several_modalities()
        require_positive(temperature=temperature)
        modalities = self.backbone.modalities
        if bridges is not None and not (bridges and set(bridges) <= set(modalities)):
            raise ValueError(f"`bridges` must name modalities of {modalities}. Received: {bridges}")
        self.temperature = temperature
        self.bridges = None if bridges is None else tuple(bridges)
        self.commitment_cost = commitment_cost
        self.set_loss_weights(loss_weights)
        widths = self.backbone.embedding_dim, self.backbone.specific_dim
        if "decomposition" in self.loss_names and widths[0] != widths[1]:
            raise ValueError(
                "`loss_weights` must be 0 for 'decomposition' where `embedding_dim` and "
                f"`specific_dim` of the backbone differ. Received: {widths}"
            )
        self.decoders: dict[str, Any] = {}

    def default_loss_weights(self):
        specific = bool(self.backbone.specific_quantizers)
        return {
            term: weight for term, weight in WEIGHTS.items() if specific or term not in OF_SPECIFIC
        }

    def pairs(self) -> list[tuple[str, str]]:
        """Returns the pairs of modalities that are aligned.

        Returns:
            List of pairs, each once.

        Example:

        >>> keras_cmg.models.CodeBind(("audio", "video", "text"), bridges=("text",)).pairs()
        [('audio', 'text'), ('video', 'text')]
        """
        pairs = combinations(self.backbone.modalities, 2)
        return [pair for pair in pairs if self.bridges is None or set(pair) & set(self.bridges)]

    def build_layers(self):
        backbone = self.backbone
        names = backbone.specific_quantizers if "reconstruction" in self.loss_names else ()
        for name in names:
            shape = backbone.feature_shapes[name]
            layer = SequenceDecoder(shape[-1], dtype=self.dtype_policy, name=f"{name}_decoder")
            frames = (None, shape[1])
            layer.build((*frames, backbone.embedding_dim), (*frames, backbone.specific_dim))
            self.decoders[name] = layer

    def infonce_loss(self, inputs):
        """Contrast of the clips' quantised shared parts, in both directions."""
        pairs = self.pairs()
        quantized = inputs.features["quantized"]
        # The mean of both directions is half of their sum.
        return 2 * self.pair_infonce(inputs, quantized, pairs, self.temperature, True) / len(pairs)

    def code_matching_loss(self, inputs):
        """Matching of the clips' distributions over the codes of each chunk."""
        clips = inputs.clip_features(inputs.features["general"])
        quantizer, tables = self.backbone.quantizer, inputs.code_tables
        if getattr(quantizer, "shared", False) and isinstance(quantizer, GroupedQuantizer):
            # All chunks have the same codes, and are compared with them at once.
            parts, tables = {name: [x] for name, x in clips.items()}, tables[:1]
        else:
            parts = {name: self.backbone.split_by_index(x, tables) for name, x in clips.items()}
            tables = tuple(l2_normalize(codes) for codes in tables)
        losses = []
        for i, codes in enumerate(tables):
            log_p = {
                name: chunked_codes.chunk_code_log_probabilities(vectors[i], codes)
                for name, vectors in parts.items()
            }
            losses += [
                chunked_codes.chunk_matching_loss(
                    log_p[a], log_p[b], inputs.pair_presence(a, b, clips[a])
                )
                for a, b in self.pairs()
            ]
        return sum(losses) / len(losses)

    def commitment_loss(self, inputs):
        """Distance of both parts from their codes, the sum over modalities."""
        own = self.commitment_of(inputs, "specific", "specific_codes")
        return super().commitment_loss(inputs) + own

    def decomposition_loss(self, inputs):
        """Overlap of the quantised shared and specific parts of each clip."""
        shared, specific = inputs.features["quantized"], inputs.features["specific_quantized"]
        losses = [
            weighted_mean(
                chunked_codes.frame_overlap(shared[name], x, inputs.masks.get(name)),
                inputs.presence.get(name),
            )
            for name, x in specific.items()
        ]
        return sum(losses) / len(losses)

    def uniformity_loss(self, inputs):
        """Spread of the clips' quantised specific parts."""
        clips = inputs.clip_features(inputs.features["specific_quantized"])
        losses = [
            chunked_codes.uniformity_loss(x, inputs.presence.get(name)) for name, x in clips.items()
        ]
        return sum(losses) / len(losses)

    def reconstruction_loss(self, inputs):
        """Squared error of the features, of maps their mean over positions."""
        own = inputs.own
        shared, specific = own.features["quantized"], own.features["specific_quantized"]
        errors = []
        for name, decoder in self.decoders.items():
            target = own.batch[name]
            if len(target.shape) == 5:
                target = ops.mean(target, axis=(2, 3))
            rebuilt = decoder(shared[name], specific[name])
            errors.append(self.squared_error(target, rebuilt, own.masks.get(name)))
        return sum(errors)

    def get_config(self):
        names = "temperature bridges commitment_cost".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
