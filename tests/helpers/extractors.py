"""Extractors that misbehave, to be named on the command line as `module:Class`."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

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


class Vanishing(Words):
    """Removes, or locks, the file that the variable FAULT names before its caption is read."""

    def __init__(self) -> None:
        super().__init__(num_tokens=4, dim=8)

    def decode(self, root: Path, clip: Mapping[str, Any]) -> Any:
        kind, _, path = os.environ.get("FAULT", "").partition(" ")
        if kind == "vanish":
            Path(path).unlink(missing_ok=True)
        if kind == "lock" and path.endswith(clip["text"]):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return super().decode(root, clip)
