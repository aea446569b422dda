"""The projection of the coarse level, of clips."""

from __future__ import annotations

import keras

from keras_cmg.ops.masking import mean_over_time


@keras.saving.register_keras_serializable("keras_cmg")
class CoarseProjector(keras.layers.Layer):
    """Averages the features of a clip over time and applies a dense layer.

    Masks: frames of `frame_mask` zero are left out of the average; a clip without any frame has the
    average zero. With `pool=False`, every frame is projected by itself and the mask is ignored.

    Args:
        units: int, width of the output.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero for frames that are averaged.
        pool: bool, whether frames are averaged.

    Returns:
        Float tensor `(batch, units)`, with `pool=False` `(batch, frames, units)`.

    Raises:
        ValueError: if the inputs are not of rank 3.

    Example:

    >>> layer = keras_cmg.layers.CoarseProjector(4)
    >>> tuple(layer(np.zeros((2, 10, 6), "float32")).shape)
    (2, 4)

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1, the projectors P^va and P^t.
    """

    def __init__(self, units: int = 256, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.dense = keras.layers.Dense(units, dtype=self.dtype_policy, name="dense")

    def build(self, input_shape):
        if len(input_shape) != 3:
            raise ValueError(
                f"{self.name}: features must have shape (batch, frames, dim). "
                f"Received shape {tuple(input_shape)}."
            )
        self.dense.build(input_shape)
        self.built = True

    def call(self, inputs, frame_mask=None, pool=True):
        return self.dense(mean_over_time(inputs, frame_mask) if pool else inputs)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], self.units)

    def compute_output_spec(self, inputs, frame_mask=None, pool=True):
        leading = tuple(inputs.shape[:1] if pool else inputs.shape[:-1])
        return keras.KerasTensor((*leading, self.units), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
