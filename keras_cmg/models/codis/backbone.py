"""Backbone of CODIS: unit features and prototypes."""

from __future__ import annotations

import keras

from keras_cmg.layers.quantizers.prototypes import Prototypes
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.ops import contrastive


@keras.saving.register_keras_serializable("keras_cmg")
class CODISBackbone(SequenceBackbone):
    """General encoders, and prototypes that are learned by gradient.

    General features and prototypes have unit length, so that the nearest prototype is the most
    similar one.

    Args:
        modalities: names.
        num_embeddings: number of prototypes.
        embedding_dim: width of general features and prototypes.
        use_masks: whether `<modality>_mask` of a batch is used.
        encoders: modality to Keras layer that replaces its general encoder.
        general: arguments of `TransformerEncoder`.
        map_general: further arguments of `MapAttention`, for feature maps.
        quantizer: arguments of `Prototypes`; or a layer with its call, `assign_codes` and
            `similarities`.
        seed: of the initial prototypes and of dropout.
        **kwargs: `frozen_layers`, see `Backbone`, and the arguments of every Keras model.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active.

    Returns:
        As `SequenceBackbone`, with features of unit length.

    Raises:
        ValueError: for a quantiser without `similarities`, a batch that misses a modality, or
            features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.CODISBackbone(("audio", "text"), num_embeddings=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["codes"]["audio"].shape)
    (2, 10, 256)

    References:
        Duan et al. (2022), Multi-modal Alignment using Representation Codebook (the codebook).
    """

    quantizer_class = Prototypes

    def set_quantizer(self, quantizer):
        super().set_quantizer(quantizer)
        if not hasattr(self.quantizer, "similarities"):
            raise ValueError(
                f"`quantizer` of {type(self).__name__} must have `similarities` that its codes "
                "learn by, as `keras_cmg.layers.Prototypes` has. "
                f"Received: {type(self.quantizer).__name__}"
            )

    def encode_frames(self, name, x, mask=None, training=False):
        return contrastive.l2_normalize(super().encode_frames(name, x, mask, training))

    def general_features(self, modality, x, level, mask=None):
        general = super().general_features(modality, x, level, mask)
        return general if level == "segment" else contrastive.l2_normalize(general)
