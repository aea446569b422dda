"""Backbone of SimMMDG: continuous features in two halves."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.models.base.sequence_backbone import SequenceBackbone


@keras.saving.register_keras_serializable("keras_cmg")
class SimMMDGBackbone(SequenceBackbone):
    """Encoders whose features split into a shared and a specific half; continuous, without codes.

    `encode` returns the shared half. The space has no codebook, so `codebook` is None, and TOC and
    `adapt_codebook` raise an error.

    Args:
        modalities: names.
        embedding_dim: width of each half; the encoders' outputs are twice as wide.
        **kwargs: the arguments of `SequenceBackbone`, without `num_embeddings` and `quantizer`;
            layers in `encoders` return both halves, `(batch, frames, 2 * embedding_dim)`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active.

    Returns:
        Dict of `"general"`, the shared halves, and `"specific"`, each modality to `(batch, frames,
        dim)`.

    Raises:
        ValueError: for settings of a codebook, a batch that misses a modality, or features of
            another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.SimMMDGBackbone(("audio", "text"), embedding_dim=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["general"]["audio"].shape), backbone.codebook is None
    ((2, 10, 8), True)

    References:
        Dong et al. (2023), SimMMDG: A Simple and Effective Framework for Multi-modal Domain
        Generalization (feature splitting).
    """

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        embedding_dim: int = 256,
        **kwargs,
    ):
        refused = sorted({"num_embeddings", "quantizer"} & set(kwargs))
        if refused:
            raise ValueError(
                f"SimMMDG has no codebook: its features are continuous. Received: {refused}"
            )
        super().__init__(modalities, embedding_dim=embedding_dim, **kwargs)

    def set_quantizer(self, quantizer):
        """There is none."""

    def encoder_units(self, name):
        """Twice `embedding_dim`: that of both halves."""
        return 2 * self.embedding_dim

    def call(self, inputs, training=False):
        inputs, masks = self.prepare_inputs(inputs)
        features: dict[str, dict[str, Any]] = {"general": {}, "specific": {}}
        for name in self.modalities:
            both = super().encode_frames(name, inputs[name], masks.get(name), training)
            features["general"][name], features["specific"][name] = ops.split(both, 2, axis=-1)
        return features

    def encode_frames(self, name, x, mask=None, training=False):
        """The shared half of every frame."""
        return super().encode_frames(name, x, mask, training)[..., : self.embedding_dim]

    def get_config(self):
        config = super().get_config()
        return {k: v for k, v in config.items() if k != "num_embeddings"}
