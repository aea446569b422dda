"""The search for the nearest code, in operations that every export format has."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from keras import ops

from keras_cmg.ops import quantization
from keras_cmg.types import Tensor


def nearest_codes(x: Tensor, codebook: Tensor, **sizes: Any) -> Tensor:
    """What `keras_cmg.ops.nearest_codes` gives, without `argmax`.

    Keras' `argmax` handles the sign of zero bit by bit, for which ONNX and LiteRT have no
    operation; `top_k` is everywhere. As TensorFlow, ONNX and LiteRT define it, the lowest index
    wins a tie, as it does in training; PyTorch's leaves that open.

    Args:
        x: float tensor `(..., dim)`; its sizes may be unknown but for the last.
        codebook: float tensor `(num_embeddings, dim)`.
        **sizes: of blocks; all scores are held at once here, and none is used.

    Returns:
        int32 tensor `(...)`.

    Example:

    >>> codes = np.array([[1.0], [2.0], [3.0]], "float32")
    >>> [int(i) for i in nearest_codes(np.array([[0.9], [4.0]], "float32"), codes)]
    [0, 2]
    """
    codebook = ops.convert_to_tensor(codebook)
    x = ops.cast(x, codebook.dtype)
    half_norms = ops.sum(ops.square(codebook), axis=1, keepdims=True) / 2
    columns = ops.transpose(ops.concatenate([codebook, -half_norms], axis=1))
    scores = ops.matmul(ops.concatenate([x, ops.ones_like(x[..., :1])], axis=-1), columns)
    return ops.cast(ops.squeeze(ops.top_k(scores, 1)[1], axis=-1), "int32")


@contextlib.contextmanager
def exportable_look_up() -> Iterator[None]:
    """Inside, every system's codebook looks up its codes by the search above.

    Held while a graph is traced, so that `encode` is exported as the system defines it.

    Example:

    >>> with exportable_look_up():
    ...     quantization.nearest_codes is nearest_codes
    True
    """
    usual = quantization.nearest_codes
    quantization.nearest_codes = nearest_codes  # type: ignore[assignment]
    try:
        yield
    finally:
        quantization.nearest_codes = usual
