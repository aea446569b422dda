"""Progress of training in one line per epoch, with the figures that matter."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from absl import logging

KEYS = ("loss", "perplexity", "code_agreement", "partner_retrieval")


class TrainingProgress(keras.callbacks.ProgbarLogger):
    """Shows a line per epoch, and a bar that moves with the batches where output can move.

    `fit` of every pretrainer uses it unless `verbose=0` or the caller passes a
    `keras.callbacks.ProgbarLogger`. The logs that are not shown are in the `History` that `fit`
    returns. `verbose` means what it means in Keras:

    - 0: nothing is shown;
    - 1 and `"auto"`: a terminal shows a bar that becomes the line of the epoch, a notebook one
      table that grows by a row per epoch. Elsewhere, such as in a log file, only lines of epochs
      are written;
    - 2: lines of epochs alone, everywhere.

    After `keras.config.disable_interactive_logging()`, lines go to `absl.logging`.

    Args:
        keys: log keys to show, with their value on validation data in brackets; those that are not
            logged are left out.
        width: int, width of the bar in characters.

    Raises:
        ValueError: if `keys` is a string or empty, or `width` is below 1.

    Example:

    >>> progress = keras_cmg.callbacks.TrainingProgress(["loss", "perplexity"])
    >>> progress.set_params({"epochs": 2, "steps": 5, "verbose": 2})
    >>> progress.on_train_begin()
    >>> progress.on_epoch_begin(0)
    >>> progress.on_epoch_end(0, {"loss": 1.23456, "val_loss": 1.5, "cpc": 9.0})
    epoch 1/2  0 s  loss 1.235 (val 1.500)
    """

    def __init__(self, keys: Sequence[str] = KEYS, width: int = 24):
        super().__init__()
        if isinstance(keys, str) or not keys:
            raise ValueError(f"`keys` must be a sequence of log keys. Received: {keys!r}")
        if width < 1:
            raise ValueError(f"`width` must be at least 1. Received: {width}")
        self.keys = tuple(keys)
        self.width = width
        self.rows: list[list[str]] = []
        self.epoch, self.started, self.drawn = 0, 0.0, 0.0
        self.table: Any = None

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self.rows, self.table = [], None

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch, self.started, self.drawn = epoch, time.perf_counter(), 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.perf_counter()
        # Ten times a second: a terminal is slow, and reading a loss waits for the device.
        if not self._moves() or now - self.drawn < 0.1:
            return
        self.drawn = now
        loss = f"  loss {float(logs['loss']):.4g}" if "loss" in (logs or {}) else ""
        self._draw(f"{self._head()}  {self._bar(batch + 1, now)}{loss}")

    def on_epoch_end(self, epoch, logs=None):
        if not self.verbose:
            return
        seconds = _duration(time.perf_counter() - self.started)
        figures = shown_figures(logs or {}, self.keys)
        line = "  ".join([self._head(), seconds, *(f"{k} {v}" for k, v in figures.items())])
        if self.verbose == 1 and _notebook():
            self.rows.append([str(epoch + 1), seconds, *figures.values()])
            self._show_table(["epoch", "time", *figures], "")
        else:
            self._write("\r\033[K" + line + "\n" if self._moves() else line + "\n")

    # Batches of evaluation and prediction are those of `ProgbarLogger`, but within `fit` silent.

    def _moves(self) -> bool:
        if self.verbose != 1 or not keras.config.is_interactive_logging_enabled():
            return False
        return _notebook() or sys.stdout.isatty()

    def _head(self) -> str:
        return f"epoch {self.epoch + 1}/{self.epochs}"

    def _bar(self, done: int, now: float) -> str:
        steps = self.target
        if not steps:
            return f"step {done}"
        filled = min(self.width * done // steps, self.width)
        left = (now - self.started) / done * max(steps - done, 0)
        bar = "━" * filled + "╌" * (self.width - filled)
        return f"{bar} {done}/{steps}  {_duration(left)} left"

    def _draw(self, text: str) -> None:
        if _notebook():
            self._show_table(None, text)
        else:
            self._write("\r\033[K" + text)

    def _write(self, text: str) -> None:
        if keras.config.is_interactive_logging_enabled():
            sys.stdout.write(text)
            sys.stdout.flush()
        else:
            logging.info(text.strip())

    def _show_table(self, heading: list[str] | None, below: str) -> None:
        from IPython.display import display

        self.heading = heading or getattr(self, "heading", [])
        content = Table(self.heading, self.rows, below)
        if self.table is None:
            self.table = display(content, display_id=True)
        else:
            self.table.update(content)


class Table:
    """A table of epochs that notebooks show as HTML, and its text beside it.

    Args:
        heading: names of the columns.
        rows: cells of each row.
        below: a line under the table.

    Example:

    >>> print(repr(Table(["epoch", "loss"], [["1", "0.5"]], "")))
    epoch  loss
        1   0.5
    """

    def __init__(self, heading: Sequence[str], rows: Sequence[Sequence[str]], below: str):
        self.heading, self.rows, self.below = list(heading), [list(row) for row in rows], below

    def __repr__(self) -> str:
        lines = [self.heading, *self.rows] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*lines, strict=False)]
        text = [
            "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=False))
            for line in lines
        ]
        return "\n".join([*text, *([self.below] if self.below else [])])

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self.rows)
        table = f"<table><thead>{row(self.heading, 'th')}</thead><tbody>{body}</tbody></table>"
        below = f"<pre>{html.escape(self.below)}</pre>" if self.below else ""
        return (table if self.rows else "") + below


def shown_figures(logs: Mapping[str, Any], keys: Sequence[str]) -> dict[str, str]:
    """Returns some of the logs as text, with their value on validation data in brackets.

    Args:
        logs: log key to scalar.
        keys: log keys; those that are not logged are left out.

    Returns:
        Key to text.

    Example:

    >>> shown_figures({"loss": 12.3456, "val_loss": 13.0, "cpc": 1.0}, ["loss", "perplexity"])
    {'loss': '12.35 (val 13.00)'}
    """
    found = {}
    for key in keys:
        train, val = (_number(logs[name]) if name in logs else "" for name in (key, f"val_{key}"))
        if train or val:
            brackets = f"(val {val})" if val else ""
            found[key] = f"{train} {brackets}".strip()
    return found


def _number(value: Any) -> str:
    """A number with four digits, never in powers of ten below 100,000."""
    number = float(value)
    whole = len(str(int(abs(number))))
    return f"{number:.{max(0, 4 - whole)}f}" if abs(number) < 1e5 else f"{number:.3e}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _notebook() -> bool:
    """Whether output goes to a notebook, which shows tables that change."""
    return type(sys.stdout).__module__.startswith("ipykernel")
