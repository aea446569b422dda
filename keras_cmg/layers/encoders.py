"""Encoders of feature maps and sequences: what is general to all senses, what is specific to one.

A general encoder maps `(batch, frames, ...)` to `(batch, frames, units)`. A specific encoder maps
it to features of any shape and has `summarize(features)`, the `(batch, frames, dim)` vectors that
mutual information is measured on. Any Keras layer with these shapes can take their place.
"""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.layers.temporal_attention import TemporalAttention

POOLINGS = ("attention", "sum", "flatten")


@keras.saving.register_keras_serializable("keras_cmg")
class MapPooling(keras.layers.Layer):
    """One vector per frame from a feature map: channel attention, then a choice of pooling.

    Channels are weighted by squeeze-and-excitation, `x (1 + sigmoid(V2 relu(V1 mean(x))))`; then

    - `"attention"`: a weighted mean over the positions, weights from a softmax over positions of
      each one's agreement with the mean;
    - `"sum"`: the plain sum over positions, which is what the authors' code computes (its softmax
      runs over an axis of length one);
    - `"flatten"`: all positions side by side, a dense layer's worth of places; keeps where things
      are, and is affordable for narrow maps only.

    Args:
        pooling: `"attention"`, `"sum"` or `"flatten"`.
        reduction: channels per unit of the squeeze.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, height, width, channels)`.

    Returns:
        Float tensor `(batch, frames, channels)`, for `"flatten"` `(batch, frames,
        height * width * channels)`.

    Raises:
        ValueError: for an unknown pooling, or inputs that are not rank 5.

    Example:

    >>> tuple(MapPooling()(np.zeros((2, 10, 7, 7, 16), "float32")).shape)
    (2, 10, 16)

    References:
        Hu et al. (2018), Squeeze-and-Excitation Networks; Huang et al. (2025), section 3.1.
    """

    def __init__(self, pooling: str = "attention", reduction: int = 8, **kwargs):
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"`pooling` must be one of {POOLINGS}. Received: {pooling!r}")
        self.pooling = pooling
        self.reduction = reduction

    def build(self, input_shape):
        if len(input_shape) != 5:
            raise ValueError(
                f"{self.name}: feature maps must have shape (batch, frames, height, width, "
                f"channels). Received shape {tuple(input_shape)}."
            )
        channels, dtype = input_shape[-1], self.dtype_policy

        def dense(units, name, **kwargs):
            layer = keras.layers.Dense(units, dtype=dtype, name=name, **kwargs)
            layer.build((None, channels))
            return layer

        self.squeeze = dense(
            max(1, channels // self.reduction), "squeeze", activation="relu", use_bias=False
        )
        self.excite = keras.layers.Dense(
            channels, "sigmoid", use_bias=False, dtype=dtype, name="excite"
        )
        self.excite.build((None, self.squeeze.units))
        if self.pooling == "attention":
            width = max(1, channels // 2)
            self.mean_query = dense(width, "mean_query", activation="relu")
            self.position_key = dense(width, "position_key", activation="relu")
            self.position_score = keras.layers.Dense(1, dtype=dtype, name="position_score")
            self.position_score.build((None, width))
        self.built = True

    def call(self, inputs):
        batch, frames = ops.shape(inputs)[:2]
        height, width, channels = inputs.shape[2:]
        x = ops.reshape(inputs, (batch, frames, height * width, channels))
        gate = self.excite(self.squeeze(ops.mean(x, axis=2)))
        x = x * (1 + gate[:, :, None])
        if self.pooling == "sum":
            return ops.sum(x, axis=2)
        if self.pooling == "flatten":
            return ops.reshape(x, (batch, frames, height * width * channels))
        query = self.mean_query(ops.mean(x, axis=2))[:, :, None]
        scores = self.position_score(query * self.position_key(x))
        return ops.sum(x * ops.softmax(scores, axis=2), axis=2)

    def compute_output_shape(self, input_shape):
        batch, frames, height, width, channels = input_shape
        places = height * width if self.pooling == "flatten" else 1
        return (batch, frames, places * channels)

    def get_config(self):
        return {**super().get_config(), "pooling": self.pooling, "reduction": self.reduction}


@keras.saving.register_keras_serializable("keras_cmg")
class MapAttention(TemporalAttention):
    """General encoder of feature maps: `MapPooling`, then `TemporalAttention`.

    Args:
        pooling: see `MapPooling`.
        reduction: see `MapPooling`.
        **kwargs: the arguments of `TemporalAttention`.

    Call arguments:
        inputs: float tensor `(batch, frames, height, width, channels)`.
        frame_mask: optional `(batch, frames)`.
        training: whether dropout acts.

    Returns:
        Float tensor `(batch, frames, units)`.

    Raises:
        ValueError: as its parts.

    Example:

    >>> layer = MapAttention(units=8, num_heads=2, feedforward_units=16)
    >>> tuple(layer(np.zeros((2, 10, 7, 7, 16), "float32")).shape)
    (2, 10, 8)
    """

    def __init__(self, pooling: str = "attention", reduction: int = 8, **kwargs):
        super().__init__(**kwargs)
        self.map_pooling = MapPooling(pooling, reduction, dtype=self.dtype_policy, name="pooling")

    def build(self, input_shape):
        self.map_pooling.build(input_shape)
        super().build(self.map_pooling.compute_output_shape(input_shape))

    def call(self, inputs, frame_mask=None, training=False):
        return super().call(self.map_pooling(inputs), frame_mask=frame_mask, training=training)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:2], self.units)

    def get_config(self):
        config = super().get_config()
        return {
            **config,
            "pooling": self.map_pooling.pooling,
            "reduction": self.map_pooling.reduction,
        }


@keras.saving.register_keras_serializable("keras_cmg")
class SequenceSpecificEncoder(keras.layers.Layer):
    """Specific encoder of a feature sequence: one dense layer with ReLU.

    Args:
        units: width of the output.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.

    Returns:
        Float tensor `(batch, frames, units)`.

    Example:

    >>> tuple(SequenceSpecificEncoder(6)(np.zeros((2, 10, 4), "float32")).shape)
    (2, 10, 6)
    """

    def __init__(self, units: int = 256, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units, "relu", dtype=self.dtype_policy, name="dense")

    def build(self, input_shape):
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.dense(inputs)

    def summarize(self, features):
        """The features themselves, `(batch, frames, units)`.

        Args:
            features: output of the layer.

        Returns:
            The same tensor.

        Example:

        >>> SequenceSpecificEncoder(6).summarize("features")
        'features'
        """
        return features

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.units)

    def summary_shape(self, input_shape):
        """Shape of `summarize(layer(inputs))` for inputs of `input_shape`."""
        return self.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "units": self.units}


@keras.saving.register_keras_serializable("keras_cmg")
class ResidualUnit(keras.layers.Layer):
    """`relu(x + conv1x1(relu(conv3x3(relu(x)))))`, size kept, no biases.

    Args:
        channels: width of input and output.
        activated_skip: the skip path carries `relu(x)`, as in-place activations make it do in the
            authors' code; otherwise x.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> tuple(ResidualUnit(4)(np.zeros((2, 3, 3, 4), "float32")).shape)
    (2, 3, 3, 4)

    References:
        He et al. (2016), Deep Residual Learning; van den Oord et al. (2017), section 4.1.
    """

    def __init__(self, channels: int, activated_skip: bool = False, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.activated_skip = activated_skip
        self.wide = keras.layers.Conv2D(
            channels, 3, padding="same", use_bias=False, activation="relu",
            dtype=self.dtype_policy, name="wide",
        )  # fmt: skip
        self.narrow = keras.layers.Conv2D(
            channels, 1, use_bias=False, dtype=self.dtype_policy, name="narrow"
        )

    def build(self, input_shape):
        self.wide.build(input_shape)
        self.narrow.build((*input_shape[:-1], self.channels))
        self.built = True

    def call(self, inputs):
        activated = ops.relu(inputs)
        skip = activated if self.activated_skip else inputs
        return ops.relu(skip + self.narrow(self.wide(activated)))

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "activated_skip": self.activated_skip,
        }


@keras.saving.register_keras_serializable("keras_cmg")
class MapSpecificEncoder(keras.layers.Layer):
    """Specific encoder of feature maps: convolutions that keep what the general code leaves out.

    Two 3x3 convolutions without padding (7 x 7 becomes 3 x 3), a 1x1 convolution and a residual
    unit. `summarize` averages over positions and projects back to the width of the input.

    Args:
        hidden_channels: width of the first convolution and inside the summary.
        channels: width of the output.
        activated_skip: see `ResidualUnit`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, height, width, channels)`, at least 5 x 5.

    Returns:
        Float tensor `(batch, frames, height - 4, width - 4, channels)`.

    Raises:
        ValueError: for maps smaller than 5 x 5.

    Example:

    >>> layer = MapSpecificEncoder(hidden_channels=4, channels=8)
    >>> features = layer(np.zeros((2, 10, 7, 7, 6), "float32"))
    >>> tuple(features.shape), tuple(layer.summarize(features).shape)
    ((2, 10, 3, 3, 8), (2, 10, 6))
    """

    def __init__(
        self,
        hidden_channels: int = 1024,
        channels: int = 2048,
        activated_skip: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.hidden_channels = hidden_channels
        self.channels = channels
        self.activated_skip = activated_skip

    def build(self, input_shape):
        if len(input_shape) != 5 or min(input_shape[2:4]) < 5:
            raise ValueError(
                f"{self.name}: feature maps must have shape (batch, frames, height, width, "
                f"channels) with height and width of at least 5. "
                f"Received shape {tuple(input_shape)}."
            )
        dtype = self.dtype_policy

        def conv(filters, size, activation, name):
            return keras.layers.Conv2D(filters, size, activation=activation, dtype=dtype, name=name)

        self.stack = [
            conv(self.hidden_channels, 3, "relu", "conv_0"),
            conv(self.channels, 3, "relu", "conv_1"),
            conv(self.channels, 1, None, "conv_2"),
            ResidualUnit(self.channels, self.activated_skip, dtype=dtype, name="residual"),
        ]
        shape = (None, *input_shape[2:])
        for layer in self.stack:
            layer.build(shape)
            shape = layer.compute_output_shape(shape)
        width = input_shape[-1]
        self.summary_hidden = keras.layers.Dense(
            self.hidden_channels, "relu", dtype=dtype, name="summary_hidden"
        )
        self.summary_output = keras.layers.Dense(width, dtype=dtype, name="summary_output")
        self.summary_hidden.build((None, self.channels))
        self.summary_output.build((None, self.hidden_channels))
        self.built = True

    def call(self, inputs):
        batch, frames = ops.shape(inputs)[:2]
        x = ops.reshape(inputs, (-1, *inputs.shape[2:]))
        for layer in self.stack:
            x = layer(x)
        return ops.reshape(x, (batch, frames, *x.shape[1:]))

    def summarize(self, features):
        """Mean over positions, projected to the width of the layer's input.

        Args:
            features: float tensor `(batch, frames, height, width, channels)` from the layer.

        Returns:
            Float tensor `(batch, frames, input_channels)`.

        Example:

        >>> layer = MapSpecificEncoder(hidden_channels=4, channels=8)
        >>> tuple(layer.summarize(layer(np.zeros((1, 2, 5, 5, 6), "float32"))).shape)
        (1, 2, 6)
        """
        return self.summary_output(self.summary_hidden(ops.mean(features, axis=(2, 3))))

    def compute_output_shape(self, input_shape):
        batch, frames, height, width, _ = input_shape
        return (batch, frames, height - 4, width - 4, self.channels)

    def summary_shape(self, input_shape):
        """Shape of `summarize(layer(inputs))` for inputs of `input_shape`."""
        return (*input_shape[:2], input_shape[-1])

    def get_config(self):
        names = "hidden_channels channels activated_skip".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
