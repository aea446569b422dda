"""An LSTM cell with two bias vectors."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_cmg")
class SplitBiasLSTMCell(keras.layers.LSTMCell):
    """An LSTM cell with separate biases of inputs and recurrence, as in PyTorch.

    The sum of the two is the bias of `keras.layers.LSTMCell`, but under an optimiser it moves at
    twice the rate of one vector. For parity with the authors' code.

    Masks: as in `keras.layers.LSTMCell`; `keras.layers.RNN` keeps the state over masked steps.

    Args:
        units: int, width.
        **kwargs: the arguments of `keras.layers.LSTMCell`.

    Example:

    >>> layer = keras.layers.RNN(SplitBiasLSTMCell(4))
    >>> tuple(layer(np.zeros((2, 3, 5), "float32")).shape)
    (2, 4)

    References:
        Hochreiter and Schmidhuber (1997), Long short-term memory.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.recurrent_bias = self.add_weight(
            name="recurrent_bias", shape=(4 * self.units,), initializer="zeros"
        )

    def call(self, inputs, states, training=False):
        hidden, carry = states
        z = ops.matmul(inputs, self.kernel) + ops.matmul(hidden, self.recurrent_kernel)
        z = z + self.bias + self.recurrent_bias
        gate_in, gate_forget, candidate, gate_out = ops.split(z, 4, axis=-1)
        carry = ops.sigmoid(gate_forget) * carry + ops.sigmoid(gate_in) * ops.tanh(candidate)
        hidden = ops.sigmoid(gate_out) * ops.tanh(carry)
        return hidden, [hidden, carry]
