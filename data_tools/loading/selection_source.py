"""Clips of a prepared folder or of a published data set."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.io.files import shorten
from data_tools.loading.clip_source import ClipSource
from data_tools.published.selection import Selection

MEMORY_LIMIT = 2**30
BLOCK = 64
"""Clips read at once."""
OnError = str | Callable[[str, str], None]


class SelectionSource(ClipSource):
    """Reads the clips of a selection, from memory if they fit, else from their files.

    Args:
        selection: clips, and where their arrays are read from.
        memory_limit: bytes up to which all arrays are read into memory at once.
        on_error: "raise" to raise an error at a clip that cannot be read; "skip" to leave such
            clips out with a warning; or a function `(key, reason) -> None` that is called for each
            clip left out. To leave clips out, every clip is read once beforehand, so that all
            batches are full.

    Raises:
        FileNotFoundError: if a file of all clips is missing.
        ValueError: if an argument or a file is wrong, or no clip can be read.

    Example:
        >>> import data_tools
        >>> from data_tools.published.selection import select
        >>> path = data_tools.prepare("synthetic", "features", num_clips={"train": 5})
        >>> source = SelectionSource(select(path, modalities=("audio",)))
        >>> source.read(np.array([4, 0]))["audio"].shape
        (2, 10, 128)
    """

    def __init__(
        self,
        selection: Selection,
        memory_limit: int = MEMORY_LIMIT,
        on_error: OnError = "raise",
    ) -> None:
        if not callable(on_error):
            check_choice("on_error", on_error, ("raise", "skip"))
        self.selection = selection
        self.name = selection.name
        self.fields = tuple(selection.sources)
        self.examples = list(selection.examples)
        self._memory: dict[str, np.ndarray] | None = None
        if selection.num_bytes <= memory_limit:
            self._memory = self._read_into_memory(on_error)
            selection.close()
        elif on_error != "raise":
            bad = {example.key: reason for example, reason in selection.unreadable()}
            self._leave_out(bad, on_error)
        self.num_clips = len(self.examples)
        if not self.examples:
            raise ValueError(
                f"{selection.name} must have a clip that can be read. Received "
                f"{len(selection.examples)}, none of which can"
            )

    def _leave_out(self, bad: dict[str, str], on_error: OnError) -> None:
        self.examples = [example for example in self.examples if example.key not in bad]
        if callable(on_error):
            for key, reason in bad.items():
                on_error(key, reason)
        elif bad:
            shown = "; ".join(f"{key}: {reason}" for key, reason in list(bad.items())[:3])
            warnings.warn(
                f"{len(bad)} of {len(bad) + len(self.examples)} clips of {self.name} are left out, "
                f"such as {shorten(shown)}",
                stacklevel=4,
            )

    def _read_into_memory(self, on_error: OnError) -> dict[str, np.ndarray]:
        """Reads all clips that can be read, in blocks: a row at a time costs a request each."""
        arrays = {
            field: np.empty((len(self.examples), *source.shape), np.float32)
            for field, source in self.selection.sources.items()
        }
        count, bad = 0, {}
        for start in range(0, len(self.examples), BLOCK):
            block = self.examples[start : start + BLOCK]
            try:
                for field, source in self.selection.sources.items():
                    arrays[field][count : count + len(block)] = source.read_many(block)
                count += len(block)
                continue
            except (FileNotFoundError, ValueError):
                pass
            # Which clip it is, and why.
            for example in block:
                try:
                    clip = self.selection.read(example)
                except ValueError as error:
                    if on_error == "raise":
                        raise
                    bad[example.key] = str(error.__cause__)
                    continue
                for field, value in clip.items():
                    arrays[field][count] = value
                count += 1
        self._leave_out(bad, on_error)
        return {field: array[:count] for field, array in arrays.items()}

    def read(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        if self._memory is not None:
            return {field: array[positions] for field, array in self._memory.items()}
        clips = [self.selection.read(self.examples[position]) for position in positions]
        return {field: np.stack([clip[field] for clip in clips]) for field in self.fields}

    def read_all(self) -> dict[str, np.ndarray]:
        # The arrays in memory, without a copy.
        return super().read_all() if self._memory is None else dict(self._memory)

    def close(self) -> None:
        self.selection.close()
