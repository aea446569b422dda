"""The search for the nearest code, in operations that every export format supports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops import quantization
from keras_cmg.types import Tensor


def nearest_codes(x: Tensor, codebook: Tensor, **sizes: Any) -> Tensor:
    """Computes what `keras_cmg.ops.nearest_codes` computes, without `argmax` and without loops.

    Keras' `argmax` handles the sign of zero bit by bit, for which ONNX and LiteRT have no
    operation; both have `top_k`. As TensorFlow, ONNX and LiteRT define it, the lowest index wins a
    tie, as in `keras_cmg.ops.nearest_codes`; PyTorch leaves the order of ties open.

    Args:
        x: float tensor `(..., dim)`; all sizes but the last may be unknown.
        codebook: float tensor `(num_embeddings, dim)`.
        **sizes: sizes of blocks, which are ignored: all scores are held at once.

    Returns:
        int32 tensor `(...)`.

    Example:

    >>> codes = np.array([[1.0], [2.0], [3.0]], "float32")
    >>> [int(i) for i in nearest_codes(np.array([[0.9], [4.0]], "float32"), codes)]
    [0, 2]
    """
    codebook = ops.convert_to_tensor(codebook)
    center = quantization.codebook_center(codebook)
    x = ops.cast(x, codebook.dtype) - center
    codes = codebook - center
    half_norms = ops.sum(ops.square(codes), axis=1) / 2
    scores = engine.matmul(x, ops.transpose(codes)) - half_norms
    return ops.cast(ops.squeeze(ops.top_k(scores, 1)[1], axis=-1), "int32")


@contextlib.contextmanager
def convertible_search() -> Iterator[None]:
    """Makes every quantiser search its codes by `nearest_codes` of this module, within the block.

    Held while a graph is traced that will be converted to ONNX or LiteRT, so that `encode` is
    exported as the system defines it.

    Example:

    >>> with convertible_search():
    ...     quantization.nearest_codes is nearest_codes
    True
    """
    usual = quantization.nearest_codes
    quantization.nearest_codes = nearest_codes  # type: ignore[assignment]
    try:
        yield
    finally:
        quantization.nearest_codes = usual
