"""Stacked bidirectional LSTMs."""

from __future__ import annotations

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.split_bias_lstm_cell import SplitBiasLSTMCell


@keras.saving.register_keras_serializable("keras_cmg")
class StackedBiLSTM(keras.layers.Layer):
    """Applies stacked LSTMs in both directions over the frames or words of a clip.

    Masks: frames of `frame_mask` zero are skipped: the state and output of the previous frame are
    kept.

    Args:
        units: int, width of one direction.
        num_layers: int, number of layers.
        split_biases: bool, see `SplitBiasLSTMCell`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, frames, dim)`.
        frame_mask: optional `(batch, frames)`, nonzero for frames that are read.

    Returns:
        Float tensor `(batch, frames, 2 * units)`, the forward direction first.

    Raises:
        ValueError: if a size is below 1.

    Example:

    >>> tuple(keras_cmg.layers.StackedBiLSTM(units=3)(np.zeros((2, 7, 5), "float32")).shape)
    (2, 7, 6)

    References:
        Graves and Schmidhuber (2005), Framewise phoneme classification with bidirectional LSTM.
    """

    def __init__(self, units: int = 128, num_layers: int = 2, split_biases: bool = False, **kwargs):
        super().__init__(**kwargs)
        require_sizes(units=units, num_layers=num_layers)
        self.units = units
        self.num_layers = num_layers
        self.split_biases = split_biases

    def build(self, input_shape):
        self.forwards = [self._direction(f"forwards_{i}") for i in range(self.num_layers)]
        self.backwards = [self._direction(f"backwards_{i}") for i in range(self.num_layers)]
        shape = tuple(input_shape)
        for pair in zip(self.forwards, self.backwards, strict=True):
            for layer in pair:
                layer.build(shape)
            shape = (*shape[:-1], 2 * self.units)
        self.built = True

    def _direction(self, name):
        cell_class = SplitBiasLSTMCell if self.split_biases else keras.layers.LSTMCell
        return keras.layers.RNN(
            cell_class(self.units, dtype=self.dtype_policy),
            return_sequences=True,
            unroll=engine.current().UNROLLED,
            dtype=self.dtype_policy,
            name=name,
        )

    def call(self, inputs, frame_mask=None):
        mask = None if frame_mask is None else ops.cast(frame_mask, "bool")
        # Reversed here: on PyTorch, Keras does not unroll backwards over masked frames.
        reversed_mask = None if mask is None else ops.flip(mask, 1)
        for forwards, backwards in zip(self.forwards, self.backwards, strict=True):
            forth = forwards(inputs, mask=mask)
            back = backwards(ops.flip(inputs, 1), mask=reversed_mask)
            inputs = ops.concatenate([forth, ops.flip(back, 1)], axis=-1)
        return inputs

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], 2 * self.units)

    def get_config(self):
        names = "units num_layers split_biases".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
