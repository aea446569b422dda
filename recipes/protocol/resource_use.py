"""Time and memory: actions timed in turns, since the speed of a machine drifts; peak memory."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}


def seconds_in_turns(
    actions: Mapping[str, Callable[[], Any]],
    rounds: int = 5,
    warm_up: int = 1,
    clock: str = "wall",
) -> dict[str, float]:
    """Measures the median seconds of each action; the actions take turns in every round.

    Args:
        actions: name to function; its result is waited for.
        rounds: number of times each is timed.
        warm_up: rounds before that, which are not timed.
        clock: `"wall"`; or `"processor"`, the time of all threads of this process, which compares
            CPU work on a machine that others use too.

    Returns:
        Name to seconds.

    Raises:
        ValueError: if `rounds` is below 1, or for an unknown clock.

    Example:

    >>> sorted(seconds_in_turns({"a": lambda: 1, "b": lambda: 2}, rounds=2))
    ['a', 'b']
    """
    if rounds < 1:
        raise ValueError(f"`rounds` must be at least 1. Received: {rounds}")
    if clock not in CLOCKS:
        raise ValueError(f"`clock` must be one of {sorted(CLOCKS)}. Received: {clock!r}")
    now = CLOCKS[clock]
    times: dict[str, list[float]] = {name: [] for name in actions}
    for turn in range(-warm_up, rounds):
        for name, action in actions.items():
            start = now()
            wait_for(action())
            if turn >= 0:
                times[name].append(now() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def wait_for(value: Any) -> None:
    """Waits until the engine has computed a tensor; returns at once for other values.

    Args:
        value: anything.

    Example:

    >>> wait_for(ops.ones((2,)))
    """
    if hasattr(value, "block_until_ready"):
        value.block_until_ready()
    elif keras.backend.backend() == "torch" and keras.ops.is_tensor(value):
        import torch

        if value.is_cuda:
            torch.cuda.synchronize()
    elif keras.ops.is_tensor(value):
        value.numpy()


class PeakMemory:
    """Context manager that measures the growth of memory, sampled every few milliseconds.

    Pages of mapped files do not count, since the system can reclaim them.

    Args:
        interval: seconds between samples.

    Example:

    >>> with PeakMemory() as memory:
    ...     block = np.ones(2**22)
    >>> memory.gigabytes >= 0
    True
    """

    def __init__(self, interval: float = 0.002):
        self.interval = interval
        self.gigabytes = 0.0

    def __enter__(self) -> PeakMemory:
        self._start = anonymous_bytes()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._done.wait(self.interval):
            grown = (anonymous_bytes() - self._start) / 1e9
            self.gigabytes = max(self.gigabytes, grown)

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()


def anonymous_bytes() -> int:
    """Returns the memory of this process without mapped files.

    Returns:
        Bytes; 0 on systems without /proc.

    Example:

    >>> anonymous_bytes() >= 0
    True
    """
    try:
        resident, shared = Path("/proc/self/statm").read_text().split()[1:3]
    except OSError:
        return 0
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def device_gigabytes() -> float:
    """Returns the peak memory in use so far on the GPU of PyTorch or JAX.

    Returns:
        Gigabytes; 0 without one.

    Example:

    >>> device_gigabytes() >= 0
    True
    """
    name = keras.backend.backend()
    if name == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 1e9
    if name == "jax":
        import jax

        statistics = jax.local_devices()[0].memory_stats() or {}
        return statistics.get("peak_bytes_in_use", 0) / 1e9
    return 0.0
