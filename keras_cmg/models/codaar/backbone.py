"""Backbone of CoDAAR: a row of codes, one of each modality, per frame."""

from __future__ import annotations

import keras

from keras_cmg.layers.batch_norm_map_encoder import BatchNormMapEncoder
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.models.codaar import presets
from keras_cmg.models.dcid.backbone import DCIDBackbone


@keras.saving.register_keras_serializable("keras_cmg")
class CoDAARBackbone(DCIDBackbone):
    """Backbone of CoDAAR: encoders as in DCID, and a codebook of aligned rows.

    Each modality has codes of its own; those of equal index belong together, and a frame is
    replaced by the whole row. `"quantized"` is therefore wider than `"general"`, by the number of
    modalities: `code_dim`. The specific encoder of a feature map reads the map after the channel
    attention of the general one.

    Training updates the codebook (`AlignedCodebook`) and the statistics of `BatchNormMapEncoder`;
    inference changes no state.

    Args:
        modalities: names, in the order of the blocks of a row and of their updates.
        map_specific: arguments of `BatchNormMapEncoder`.
        quantizer: arguments of `AlignedCodebook`; or a layer with its call and `assign_codes`.
        **kwargs: the arguments of `DCIDBackbone`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active and state is updated.

    Returns:
        As `DCIDBackbone`, with `"quantized"` `(batch, frames, code_dim)`.

    Raises:
        ValueError: for a batch that misses a modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.CoDAARBackbone.from_preset(
    ...     "small", modalities=("audio", "text")
    ... )
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 10, 64))})
    >>> tuple(features["general"]["audio"].shape), tuple(features["quantized"]["audio"].shape)
    ((2, 10, 256), (2, 10, 512))

    References:
        CoDAAR (2026), arXiv:2605.12145, in the form of the authors' code.
    """

    presets = presets.PRESETS
    quantizer_class = AlignedCodebook

    def specific_encoder(self, name, shape):
        if len(shape) != 5:
            return super().specific_encoder(name, shape)
        return BatchNormMapEncoder(
            dtype=self.dtype_policy, name=f"{name}_specific", **self.map_specific
        )

    def encode_specific(self, name, x, mask=None, training=False):
        if len(x.shape) != 5:
            return super().encode_specific(name, x, mask, training)
        pooling = getattr(self.general_encoders[name], "map_pooling", None)
        x = x if pooling is None else pooling.gate(x)
        return self.specific_encoders[name](x, frame_mask=mask, training=training)
