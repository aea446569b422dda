"""Finite scalar quantisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.quantizers.quantizer import Quantizer
from keras_cmg.ops import finite_scalars
from keras_cmg.types import Tensor

MAX_LEVELS = 1000
"""With more, the margin of `tanh` would reach a level beyond the outermost one."""


@keras.saving.register_keras_serializable("keras_cmg")
class FSQ(Quantizer):
    """Rounds each of a few channels to one of a few levels (finite scalar quantisation).

    A code is a point of a fixed grid: `z_i = round(h_i tanh(x_i + s_i) - o_i) / floor(L_i / 2)` for
    channel i with `L_i` levels, see `keras_cmg.ops.quantize_scalars`. There is nothing to learn, no
    loss to add and no code to die; the gradient is that of the bounded value before rounding.

    When to use: as the first choice where reconstruction matters and 1,000 codes or more are
    wanted: nothing to tune, and nearly all codes in use. When not: where codes have to be compared
    with each other, be initialised from data or follow several modalities, as codes of a grid
    cannot; or below about 500 codes, where the paper finds learned codebooks better.

    The grid has as many channels as `levels` has entries; wrap the layer in a
    `ProjectedQuantizer` for features of other widths. Weights have no effect: there is no state
    and no loss.

    Masks: `weights` have no effect, since nothing is computed over several vectors; padded frames
    get codes all the same.

    Args:
        levels: sequence of ints, number of levels of each channel, 2 to 1000; 2 needs `symmetric`.
            The paper recommends 5 or more: `(8, 5, 5, 5)` for 1,000 codes, `(7, 5, 5, 5, 5)` for
            4,375, `(8, 8, 8, 5, 5, 5)` for 64,000.
        symmetric: bool, whether levels divide [-1, 1] evenly. Even numbers of levels then have no
            level at 0, and the first and the last have equal widths.
        bound: `"tanh"` maps inputs into [-1, 1]; `"clip"` cuts them off, for inputs that lie in
            this range.
        scale: float, or one per channel: the grid covers [-scale, scale].
        dtype: a policy; computation takes the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] channels)`, or a dict of modality to such tensors.
        weights: accepted as by every quantiser, without effect.
        training: without effect.

    Returns:
        As from every `keras_cmg.layers.Quantizer`. Indices are mixed-radix numbers, the first
        channel lowest, computed in integers, hence exact up to 2^31 - 1 codes.

    Raises:
        ValueError: if `levels` is empty or has entries outside 2..1000 or 2 without `symmetric`, if
            there are 2^31 codes or more, or for an unknown `bound` or a `scale` of another length.

    Example:

    >>> quantizer = keras_cmg.layers.FSQ(levels=(3, 5))
    >>> outputs = quantizer(np.array([[0.1, -3.0], [5.0, 0.6]], "float32"))
    >>> outputs["codes"].tolist(), outputs["indices"].tolist()
    ([[0.0, -1.0], [1.0, 0.5]], [1, 11])

    References:
        Mentzer et al. (2023), Finite Scalar Quantization: VQ-VAE Made Simple, arXiv:2309.15505.
    """

    is_grid = True

    def __init__(
        self,
        levels: Sequence[int] = (8, 5, 5, 5),
        symmetric: bool = False,
        bound: str = "tanh",
        scale: float | Sequence[float] = 1.0,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        levels = tuple(int(size) for size in levels)
        if not levels or min(levels) < 2 or max(levels) > MAX_LEVELS:
            raise ValueError(f"`levels` must be numbers from 2 to {MAX_LEVELS}. Received: {levels}")
        if min(levels) == 2 and not symmetric:
            raise ValueError(f"`levels` of 2 must have `symmetric=True`. Received: {levels}")
        if finite_scalars.num_values(levels) >= 2**31:
            raise ValueError(
                f"`levels` must give fewer than 2^31 codes. Received: {levels}, "
                f"{finite_scalars.num_values(levels)} codes"
            )
        if bound not in finite_scalars.BOUNDS:
            raise ValueError(f"`bound` must be one of {finite_scalars.BOUNDS}. Received: {bound!r}")
        scale = scale if isinstance(scale, (int, float)) else tuple(float(s) for s in scale)
        if isinstance(scale, tuple) and len(scale) != len(levels):
            raise ValueError(
                f"`scale` must be a number, or one per channel of {levels}. Received: {scale}"
            )
        self.levels = levels
        self.num_embeddings = finite_scalars.num_values(levels)
        self.embedding_dim = len(levels)
        self.symmetric = symmetric
        self.bound = bound
        self.scale = scale

    def _assign(self, x, training):
        values, digits = self._quantize(x)
        return {
            "quantized": values,
            "codes": ops.stop_gradient(values),
            "indices": finite_scalars.pack_digits(digits, self.levels),
        }

    def _quantize(self, x):
        scaled = self.scale != 1.0
        scale = ops.convert_to_tensor(self.scale, dtype=x.dtype) if scaled else 1.0
        values, digits = finite_scalars.quantize_scalars(
            x / scale if scaled else x, self.levels, self.symmetric, self.bound
        )
        return values * scale if scaled else values, digits

    def encode(self, x: Tensor) -> Tensor:
        """Computes the indices of vectors.

        Args:
            x: float tensor `(..., channels)`.

        Returns:
            int32 tensor `(...)`.

        Example:

        >>> int(keras_cmg.layers.FSQ(levels=(3, 5)).encode(np.array([0.0, 9.0])))
        13
        """
        _, digits = self._quantize(ops.cast(x, self.compute_dtype))
        return finite_scalars.pack_digits(digits, self.levels)

    def decode(self, indices: Tensor) -> Tensor:
        """Computes codes from their indices.

        Args:
            indices: int tensor `(...)`, from 0 to `num_embeddings - 1`.

        Returns:
            Float tensor `(..., channels)`.

        Example:

        >>> keras_cmg.layers.FSQ(levels=(3, 5)).decode(np.array(13)).tolist()
        [0.0, 1.0]
        """
        digits = finite_scalars.unpack_digits(indices, self.levels)
        digits = ops.cast(digits, self.compute_dtype)
        values = finite_scalars.scalar_values(digits, self.levels, self.symmetric)
        return values * ops.convert_to_tensor(self.scale, self.compute_dtype)

    @property
    def distance_units(self) -> list[float]:
        """Largest absolute value of a channel, a list of one."""
        return [max(self.scale) if isinstance(self.scale, tuple) else self.scale]

    def split_by_index(self, x: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
        """Computes bounded vectors, of which the nearest code is the one that a vector gets.

        Args:
            x: float tensor `(..., channels)`.
            tables: as from `code_tables`.

        Returns:
            List of one float tensor `(..., channels)`.
        """
        scale = ops.convert_to_tensor(self.scale, self.compute_dtype)
        x = ops.cast(x, self.compute_dtype) / scale
        return [finite_scalars.bounded_scalars(x, self.levels, self.symmetric, self.bound) * scale]

    def index_similarities(self, x: Tensor) -> list[Tensor]:
        """Computes how near bounded vectors are to all codes, as a list of one.

        That is `1 - |y - c|^2 / 2` of bounded vectors y and codes c, both divided by the root of
        the number of channels: at most 1, and largest for the code that a vector gets. For vectors
        of unit length the same is the cosine.

        Args:
            x: float tensor `(..., channels)`.

        Returns:
            List of one float tensor `(..., num_embeddings)`, with gradient to the vectors.

        Example:

        >>> quantizer, x = keras_cmg.layers.FSQ(levels=(3, 5)), np.array([[0.1, -9.0]])
        >>> int(ops.argmax(quantizer.index_similarities(x)[0][0])), int(quantizer.encode(x)[0])
        (1, 1)
        """
        x = ops.cast(x, self.compute_dtype) / ops.convert_to_tensor(self.scale, self.compute_dtype)
        bounded = finite_scalars.bounded_scalars(x, self.levels, self.symmetric, self.bound)
        digits = finite_scalars.unpack_digits(ops.arange(self.num_embeddings), self.levels)
        codes = finite_scalars.scalar_values(digits, self.levels, self.symmetric)
        codes = ops.cast(codes, self.compute_dtype)
        squares = ops.sum(ops.square(codes), axis=-1) + ops.sum(
            ops.square(bounded), axis=-1, keepdims=True
        )
        distances = squares - 2.0 * ops.matmul(bounded, ops.transpose(codes))
        return [1.0 - distances / (2.0 * len(self.levels))]

    def copy_for_level(self, level: int) -> Quantizer:
        """Creates the quantiser of a level, whose grid covers one cell of the level before.

        Args:
            level: int, from 0.

        Returns:
            `FSQ` with the scale of each channel divided by `levels**level`.

        Example:

        >>> keras_cmg.layers.FSQ(levels=(4, 5)).copy_for_level(1).scale
        (0.25, 0.2)
        """
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,) * len(self.levels)
        scale = [s * float(n) ** -level for s, n in zip(scales, self.levels, strict=True)]
        return self._clone(level, scale=scale if level else self.scale)

    def get_config(self):
        names = "levels symmetric bound scale".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
