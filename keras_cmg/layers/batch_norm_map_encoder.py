"""A specific encoder of feature maps with batch normalisation (CoDAAR)."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.arguments import require_maps
from keras_cmg.layers.global_batch_normalization import GlobalBatchNormalization
from keras_cmg.layers.patch_convolution import PatchConvolution


@keras.saving.register_keras_serializable("keras_cmg")
class BatchNormMapEncoder(keras.layers.Layer):
    """Encodes modality-specific information of feature maps by two normalised convolutions.

    Each 3x3 convolution, without padding, is followed by `GlobalBatchNormalization` and ReLU: 7 x 7
    positions become 3 x 3. `summarize` averages over positions.

    Masks: frames of `frame_mask` zero are encoded, but have no part in the statistics of the
    normalisation.

    Args:
        hidden_channels: int, width of the first convolution.
        channels: int, width of the output.
        momentum: see `GlobalBatchNormalization`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, height, width, channels)`, at least 5 x 5.
        frame_mask: optional `(batch, frames)`, nonzero for frames that count.
        training: bool, whether the statistics of the batch are used.

    Returns:
        Float tensor `(batch, frames, height - 4, width - 4, channels)`.

    Raises:
        ValueError: if the inputs are not of rank 5, or maps are smaller than 5 x 5.

    Example:

    >>> layer = keras_cmg.layers.BatchNormMapEncoder(hidden_channels=4, channels=8)
    >>> features = layer(np.zeros((2, 10, 7, 7, 6), "float32"))
    >>> tuple(features.shape), tuple(layer.summarize(features).shape)
    ((2, 10, 3, 3, 8), (2, 10, 8))

    References:
        CoDAAR (2026), arXiv:2605.12145, in the form of the authors' code.
    """

    def __init__(
        self, hidden_channels: int = 1024, channels: int = 2048, momentum: float = 0.9, **kwargs
    ):
        super().__init__(**kwargs)
        self.hidden_channels = hidden_channels
        self.channels = channels
        self.momentum = momentum

    def build(self, input_shape):
        require_maps(self.name, input_shape, least=5)
        dtype = self.dtype_policy
        self.convolutions, self.normalizations = [], []
        shape = (None, *input_shape[2:])
        for i, width in enumerate((self.hidden_channels, self.channels)):
            convolution = PatchConvolution(width, 3, dtype=dtype, name=f"conv_{i}")
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
            normalization = GlobalBatchNormalization(self.momentum, dtype=dtype, name=f"norm_{i}")
            normalization.build(shape)
            self.convolutions.append(convolution)
            self.normalizations.append(normalization)
        self.built = True

    def call(self, inputs, frame_mask=None, training=False):
        batch, frames = ops.shape(inputs)[:2]
        x = ops.reshape(inputs, (-1, *inputs.shape[2:]))
        weights = None
        if frame_mask is not None:
            weights = ops.cast(ops.cast(ops.reshape(frame_mask, (-1,)), "bool"), "float32")
        for convolution, normalization in zip(self.convolutions, self.normalizations, strict=True):
            x = ops.relu(normalization(convolution(x), weights=weights, training=training))
        return ops.reshape(x, (batch, frames, *x.shape[1:]))

    def summarize(self, features):
        """Computes the mean over positions.

        Args:
            features: float tensor `(batch, frames, height, width, channels)` from the layer.

        Returns:
            Float tensor `(batch, frames, channels)`.

        Example:

        >>> layer = keras_cmg.layers.BatchNormMapEncoder(hidden_channels=4, channels=8)
        >>> tuple(layer.summarize(np.zeros((1, 2, 3, 3, 8), "float32")).shape)
        (1, 2, 8)
        """
        return ops.mean(features, axis=(2, 3))

    def compute_output_shape(self, input_shape, *_):
        batch, frames, height, width, _ = input_shape
        return (batch, frames, height - 4, width - 4, self.channels)

    def summary_shape(self, input_shape):
        """Computes the shape of `summarize(layer(inputs))` for inputs of `input_shape`."""
        return (*input_shape[:2], self.channels)

    def get_config(self):
        names = "hidden_channels channels momentum".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
