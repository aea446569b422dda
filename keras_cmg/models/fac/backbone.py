"""Backbone of FAC: fine features in time, and coarse features that are quantised."""

from __future__ import annotations

import keras

from keras_cmg.layers.coarse_level import CoarseLevel
from keras_cmg.models.base.sequence_backbone import SequenceBackbone


@keras.saving.register_keras_serializable("keras_cmg")
class FACBackbone(SequenceBackbone):
    """General encoders in time, and a `CoarseLevel` above them whose features are quantised.

    `FCIDBackbone` without specific encoders.

    Training updates the codebook (`Codebook`); inference changes no state.

    Args:
        modalities: names, in the order in which they update the codebook.
        fine: those whose frames are the seconds of a clip; default all but text.
        quantize_level: `"clip"` or `"segment"`, see `FCIDBackbone`.
        **kwargs: the arguments of `SequenceBackbone`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active and the codebook is updated.

    Returns:
        Dict of dicts by modality: `"fine_general"` `(batch, frames, dim)`; `"projected"`,
        `"coarse_general"`, `"quantized"`, `"codes"`, each `(batch, dim)`, or `(batch, frames,
        dim)` where segments are quantised; `"indices"`.

    Raises:
        ValueError: for unknown modalities in `fine`, an unknown level, a batch that misses a
            modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.FACBackbone(("audio", "text"), num_embeddings=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["fine_general"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2,))

    References:
        Alayrac et al. (2020), Self-Supervised MultiModal Versatile Networks (fine and coarse
        spaces).
    """

    quantized_kind = "coarse_general"

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        fine: tuple[str, ...] | None = None,
        quantize_level: str = "clip",
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.coarse_level = CoarseLevel(
            self.modalities,
            fine,
            quantize_level,
            self.embedding_dim,
            dtype=self.dtype_policy,
            name="coarse_level",
        )
        self.fine = self.coarse_level.fine
        self.quantize_level = quantize_level

    def trained_level(self, modality):
        return "segment" if self.coarse_level.keeps_frames(modality) else "clip"

    def build_layers(self):
        super().build_layers()
        frames = (None, None, self.embedding_dim)
        self.coarse_level.build(dict.fromkeys(self.modalities, frames))

    def call(self, inputs, training=False):
        inputs, masks = self.prepare_inputs(inputs)
        general = self.encode_all(inputs, masks, training)
        coarse = self.coarse_level(general, frame_masks=masks)
        codes = self.assign_codes(coarse["coarse_general"], masks, training)
        return {"fine_general": general, **coarse, **codes}

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        frames = self.encode_frames(modality, x, mask)
        return self.coarse_level.general_features(modality, frames, level, mask)

    def get_config(self):
        config = {"fine": self.fine, "quantize_level": self.quantize_level}
        return {**super().get_config(), **config}
