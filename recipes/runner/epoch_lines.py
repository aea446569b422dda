"""Progress of training in a terminal: one line per epoch with chosen figures."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import Any

import keras


class EpochLine(keras.callbacks.Callback):
    """Prints a line per epoch; in a terminal, with a bar that moves with the batches.

    `keras.callbacks.ProgbarLogger` shows every logged term, two dozen for FCID, and `tqdm.keras`
    imports TensorFlow wherever it is installed.

    Args:
        shown: log keys to show at the end of an epoch; missing ones are skipped.
        width: width of the bar, in characters.

    Example:

    >>> line = EpochLine(["loss"])
    >>> line.set_params({"epochs": 2, "steps": 5})
    >>> line.on_epoch_begin(0)
    >>> line.on_epoch_end(0, {"loss": 1.23456, "cpc": 9.0})
    epoch 1/2  0 s  loss 1.235
    """

    def __init__(self, shown: Sequence[str], width: int = 24) -> None:
        super().__init__()
        self.shown = tuple(shown)
        self.width = width

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.start = epoch, time.perf_counter()

    def on_train_batch_end(self, batch, logs=None):
        if sys.stdout.isatty():
            steps = self.params.get("steps") or batch + 1
            done = self.width * (batch + 1) // steps
            bar = "━" * done + "╌" * (self.width - done)
            self._print(f"\r{self._head()}  {bar} {batch + 1}/{steps}", end="")

    def on_epoch_end(self, epoch, logs=None):
        figures = [f"{key} {logs[key]:.3f}" for key in self.shown if key in (logs or {})]
        seconds = f"{time.perf_counter() - self.start:.0f} s"
        clear = "\r\033[K" if sys.stdout.isatty() else ""
        self._print(clear + "  ".join([self._head(), seconds, *figures]), end="\n")

    def _head(self) -> str:
        return f"epoch {self.epoch + 1}/{self.params['epochs']}"

    def _print(self, text: str, end: Any) -> None:
        print(text, end=end, flush=True)
