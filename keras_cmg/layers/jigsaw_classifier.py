"""A classifier of the order of pieces of vectors of several modalities."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.mlp import MLP
from keras_cmg.layers.precision import variable_dtype
from keras_cmg.ops import jigsaw
from keras_cmg.types import Tensor

MAX_PIECES = 8


@keras.saving.register_keras_serializable("keras_cmg")
class JigsawClassifier(keras.layers.Layer):
    """Predicts in which order the pieces of vectors were put together, each from some modality.

    Vectors of all modalities are cut into pieces, see `keras_cmg.ops.jigsaw_rows`. Only features
    whose pieces mean the same in all modalities let a perceptron tell the order. The layer behaves
    alike in training and inference, and computes in float32 under every mixed-precision policy.

    Masks: none are read; `row_weights` computes the weights of vectors for
    `keras_cmg.ops.jigsaw_loss`.

    Args:
        num_pieces: int, pieces of a vector, from 2 to 8.
        order_indices: sequence of ints, the orders that are told apart, as positions in
            `keras_cmg.ops.jigsaw_orders`; the position in this sequence is the label. None for all.
        hidden_units: int, width of the perceptron.
        dtype: a policy; computation takes the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: dict of modality to float tensor `(batch, [frames,] dim)`; of several numbers of
            frames, the frames that all have.
        parts: optional int tensor `(num_pieces,)`, position of the modality in `inputs` that each
            piece is taken from; default one after the other.

    Returns:
        Logits `(batch, [frames,] orders, orders)`: of each vector in each order, those of all
        orders.

    Raises:
        ValueError: if `num_pieces` is not from 2 to 8, an order does not exist, the last axis is
            not a multiple of `num_pieces`, or the inputs differ in rank.

    Example:

    >>> layer = keras_cmg.layers.JigsawClassifier(num_pieces=2, hidden_units=4)
    >>> x = {"audio": np.ones((3, 10, 8), "float32"), "text": np.ones((3, 10, 8), "float32")}
    >>> tuple(layer(x).shape)
    (3, 10, 2, 2)

    References:
        Huang et al. (2025), Open-set Cross Modal Generalization via Multimodal Unified
        Representation (cross-modal unified jigsaw puzzles).
    """

    def __init__(
        self,
        num_pieces: int = 2,
        order_indices: Sequence[int] | None = None,
        hidden_units: int = 512,
        dtype=None,
        **kwargs,
    ):
        super().__init__(dtype=variable_dtype(dtype), **kwargs)
        require_sizes(hidden_units=hidden_units)
        if not 2 <= num_pieces <= MAX_PIECES:
            raise ValueError(f"`num_pieces` must be from 2 to {MAX_PIECES}. Received: {num_pieces}")
        count = math.factorial(num_pieces)
        if order_indices is not None:
            order_indices = tuple(int(i) for i in order_indices)
            if not order_indices or not all(0 <= i < count for i in order_indices):
                raise ValueError(
                    f"`order_indices` must be from 0 to {count - 1}. Received: {order_indices}"
                )
        self.num_pieces = num_pieces
        self.order_indices = order_indices
        self.hidden_units = hidden_units

    @property
    def orders(self) -> np.ndarray:
        """int array `(orders, num_pieces)`, the orders that are told apart."""
        every = jigsaw.jigsaw_orders(self.num_pieces)
        return every if self.order_indices is None else every[list(self.order_indices)]

    def build(self, input_shape):
        shape = next(iter(input_shape.values()))
        if shape[-1] % self.num_pieces:
            raise ValueError(
                f"{self.name}: inputs must have a last axis that {self.num_pieces} pieces divide. "
                f"Received: {shape[-1]}"
            )
        self.mlp = MLP(len(self.orders), self.hidden_units, dtype=self.dtype_policy, name="mlp")
        self.mlp.build((None, None, shape[-1]))
        self.built = True

    def call(self, inputs, parts=None):
        return self.mlp(self.puzzles(inputs, parts))

    def puzzles(self, inputs: Mapping[str, Tensor], parts: Tensor | None = None) -> Tensor:
        """Computes the vectors whose order is predicted.

        Args:
            inputs: as in a call.
            parts: as in a call.

        Returns:
            Float tensor `(batch, [frames,] orders, dim)`.

        Example:

        >>> layer = keras_cmg.layers.JigsawClassifier()
        >>> layer.puzzles({"a": np.array([[1.0, 2.0]]), "b": np.array([[3.0, 4.0]])}).tolist()
        [[[1.0, 4.0], [4.0, 1.0]]]
        """
        parts = self._parts(parts, len(inputs))
        return jigsaw.jigsaw_rows(ops.stack(self._aligned(inputs, inputs)), parts, self.orders)

    def row_weights(
        self,
        inputs: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        parts: Tensor | None = None,
    ) -> Tensor | None:
        """Computes which vectors have all of their pieces.

        Args:
            inputs: as in a call.
            weights: modality to `(batch, [frames])`, zero for padded frames and missing modalities.
            parts: as in a call.

        Returns:
            Float tensor `(batch, [frames])` of zeros and ones; None without weights.

        Example:

        >>> layer = keras_cmg.layers.JigsawClassifier()
        >>> x = {"audio": np.ones((2, 8)), "text": np.ones((2, 8))}
        >>> layer.row_weights(x, {"text": np.array([1.0, 0.0])}).tolist()
        [1.0, 0.0]
        """
        if not set(weights) & set(inputs):
            return None
        every = {
            name: ops.broadcast_to(ops.cast(weights[name], "float32"), ops.shape(x)[:-1])
            if name in weights
            else ops.ones(ops.shape(x)[:-1], dtype="float32")
            for name, x in inputs.items()
        }
        stacked = ops.stack(self._aligned(every, inputs))
        return ops.min(ops.take(stacked, self._parts(parts, len(inputs)), axis=0), axis=0)

    def _aligned(self, tensors, inputs):
        """Tensors of all modalities, over the frames that all inputs have."""
        tensors = [ops.convert_to_tensor(x) for x in tensors.values()]
        shapes = {name: tuple(x.shape) for name, x in inputs.items()}
        if len({len(shape) for shape in shapes.values()}) > 1:
            raise ValueError(
                f"{self.name}: inputs must be vectors of frames, or of clips, in all modalities. "
                f"Received shapes: {shapes}"
            )
        frames = {shape[1] for shape in shapes.values() if len(shape) == 3}
        if len(frames) < 2 or None in frames:
            return tensors
        return [x[:, : min(frames)] for x in tensors]

    def _parts(self, parts, count):
        if parts is None:
            return ops.arange(self.num_pieces, dtype="int32") % count
        return ops.cast(parts, "int32")

    def compute_output_spec(self, inputs, parts=None):
        shapes = [tuple(x.shape) for x in inputs.values()]
        leading = shapes[0][:1]
        if len(shapes[0]) == 3:
            frames = [shape[1] for shape in shapes]
            leading = (*leading, None if None in frames else min(frames))
        orders = len(self.orders)
        return keras.KerasTensor((*leading, orders, orders), dtype=self.compute_dtype)

    def get_config(self):
        names = "num_pieces order_indices hidden_units".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
