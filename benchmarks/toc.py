"""TOC on a codebook in memory, and on one of a million codes on disk."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_cmg.ops import channel_scores, select_channels
from recipes.protocol.resource_use import PeakMemory, seconds_in_turns

BLOCK = 2**16


def run(
    codes: int = 1_000_000, channels: int = 512, rounds: int = 3, clock: str = "wall"
) -> dict[str, Any]:
    """Times TOC at 400 x 256 in memory, and streamed against one read of the file.

    Args:
        codes: rows of the codebook on disk.
        channels: its columns.
        rounds: how often each is timed.
        clock: see `seconds_in_turns`.

    Returns:
        Name to number.

    Example:

    >>> results = run(codes=1000, channels=8, rounds=1)
    >>> results["streamed_over_read"] > 0
    True
    """
    random = np.random.default_rng(0)
    small = random.standard_normal((400, 256)).astype("float32")
    actions = {"small": lambda: select_channels(channel_scores(small).importance, 128)}
    results = {"small_milliseconds": 1e3 * seconds_in_turns(actions, 50, 5, clock)["small"]}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "codes.dat"
        with path.open("wb") as file:
            for start in range(0, codes, BLOCK):
                rows = min(BLOCK, codes - start)
                file.write(random.standard_normal((rows, channels), "float32").tobytes())

        def read() -> None:
            with path.open("rb", buffering=0) as file:
                buffer = bytearray(2**20)
                while file.readinto(buffer):
                    pass

        def stream() -> None:
            channel_scores(np.memmap(path, "float32", "r", shape=(codes, channels)))

        times = seconds_in_turns({"read": read, "stream": stream}, rounds, clock=clock)
        with PeakMemory() as memory:
            stream()
    return {
        **results,
        "codes": codes,
        "channels": channels,
        "read_seconds": times["read"],
        "streamed_seconds": times["stream"],
        "streamed_over_read": times["stream"] / times["read"],
        "streamed_peak_gigabytes": memory.gigabytes,
    }
