"""Extractors that misbehave, to be named on the command line as `module:Class`."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np

from data_tools.extraction.text import Words


class Misbehaving(Words):
    """Does what the caption says: crashes, hangs, raises, or gives the wrong numbers."""

    def __init__(self) -> None:
        super().__init__(num_tokens=4, dim=8)

    def __call__(self, signal_: str) -> np.ndarray:
        if "crash" in signal_:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "hang" in signal_:
            time.sleep(60)
        if "raise" in signal_:
            raise RuntimeError("the extractor gave up")
        if "print" in signal_:
            os.write(1, b"a library that prints\n")
        scale = {"infinite": np.inf, "large": 1e6}.get(signal_, 1.0)
        return super().__call__(signal_) * scale if "shape" not in signal_ else np.zeros(3)


class Slow(Words):
    """Takes its time, and notes each caption that it is given."""

    def __init__(self, log: str) -> None:
        super().__init__(num_tokens=8, dim=64)
        self.log = Path(log)

    def __call__(self, signal_: str) -> np.ndarray:
        with self.log.open("a") as stream:
            stream.write(signal_ + "\n")
        time.sleep(0.02)
        return super().__call__(signal_)

    def sources(self) -> dict[str, str]:
        # The log is no part of what is asked.
        return {"log": ""}
