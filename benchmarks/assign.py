"""Nearest codes of many vectors, against the matrix product that they need."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops

from keras_cmg.ops import nearest_codes
from recipes.protocol.resource_use import PeakMemory, seconds_in_turns


def run(
    vectors: int = 65_536,
    codes: int = 16_384,
    channels: int = 256,
    rounds: int = 3,
    clock: str = "wall",
) -> dict[str, Any]:
    """Times the assignment, and a product of the same size in blocks that stay in the cache.

    Args:
        vectors: number of vectors.
        codes: number of codes.
        channels: length of each vector.
        rounds: number of times each is timed.
        clock: clock of `recipes.protocol.resource_use.seconds_in_turns`.

    Returns:
        Name to number or text.

    Example:

    >>> run(vectors=64, codes=16, channels=4, rounds=1)["over_product"] > 0
    True
    """
    random = np.random.default_rng(0)
    x = ops.convert_to_tensor(random.standard_normal((vectors, channels), "float32"))
    codebook = ops.convert_to_tensor(random.standard_normal((codes, channels), "float32"))
    transposed = ops.transpose(codebook)
    rows = min(vectors, 2048)

    def product() -> Any:
        for start in range(0, vectors, rows):
            block = ops.matmul(x[start : start + rows], transposed)
        return block

    def assign() -> Any:
        return nearest_codes(x, codebook)

    # Before all others: later calls find memory that the engine has kept.
    with PeakMemory() as memory:
        indices = ops.convert_to_numpy(assign())
    times = seconds_in_turns({"product": product, "assign": assign}, rounds, clock=clock)
    check = random.integers(vectors, size=min(vectors, 50))
    distances = np.square(
        ops.convert_to_numpy(x)[check][:, None] - ops.convert_to_numpy(codebook)[None]
    ).sum(axis=2)
    return {
        "vectors": vectors,
        "codes": codes,
        "channels": channels,
        "product_seconds": times["product"],
        "product_gigaflop_per_second": 2e-9 * vectors * codes * channels / times["product"],
        "assign_seconds": times["assign"],
        "over_product": times["assign"] / times["product"],
        "peak_gigabytes": memory.gigabytes,
        "share_correct": float(np.mean(distances.argmin(axis=1) == indices[check])),
    }
