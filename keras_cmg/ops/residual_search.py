"""Search for sums of codes, one from each of several codebooks, that are near a vector."""

from __future__ import annotations

from collections.abc import Sequence

from keras import ops

from keras_cmg.types import Tensor


def residual_beam_search(x: Tensor, codebooks: Sequence[Tensor], beam_size: int) -> Tensor:
    """Finds codes whose sum is near each vector, and keeps several candidates from level to level.

    From each of the best sums so far, the nearest codes of the next level are tried, and the
    `beam_size` sums nearest to the vector are kept. A beam of 1 is the greedy search. The memory
    taken is that of `vectors x beam_size x codes` distances.

    Args:
        x: float tensor `(vectors, dim)`.
        codebooks: one float tensor `(codes, dim)` for each level.
        beam_size: int, number of sums kept.

    Returns:
        int32 tensor `(vectors, levels)`.

    Example:

    >>> coarse = np.array([[0.0], [3.0]], "float32")
    >>> fine = np.array([[0.0], [-1.9]], "float32")
    >>> x = np.array([[1.2]], "float32")
    >>> [residual_beam_search(x, (coarse, fine), beam)[0].tolist() for beam in (1, 2)]
    [[0, 0], [1, 1]]

    References:
        Babenko and Lempitsky (2014), Additive Quantization for Extreme Vector Compression.
    """
    x = ops.stop_gradient(ops.convert_to_tensor(x))
    dim = x.shape[-1]
    residuals = x[:, None, :]
    paths: list[Tensor] = []
    for codebook in codebooks:
        codebook = ops.stop_gradient(ops.convert_to_tensor(codebook))
        num_codes, beams = codebook.shape[0], residuals.shape[1]
        # |r - e|^2 for every kept residual r and every code e.
        squares = (
            ops.sum(ops.square(residuals), axis=-1, keepdims=True)
            - 2 * ops.matmul(residuals, ops.transpose(codebook))
            + ops.sum(ops.square(codebook), axis=-1)
        )
        squares = ops.reshape(squares, (-1, beams * num_codes))
        kept = min(beam_size, beams * num_codes)
        _, positions = ops.top_k(-squares, kept)
        positions = ops.cast(positions, "int32")
        parents, index = ops.floor_divide(positions, num_codes), ops.mod(positions, num_codes)
        chosen = ops.broadcast_to(parents[..., None], (*ops.shape(parents), dim))
        residuals = ops.take_along_axis(residuals, chosen, axis=1)
        residuals = residuals - ops.take(codebook, index, axis=0)
        paths = [ops.take_along_axis(path, parents, axis=1) for path in paths] + [index]
    # Candidates are in order, the nearest first.
    return ops.stack([path[:, 0] for path in paths], axis=-1)
