"""The interface of sources of clips."""

from __future__ import annotations

import abc

import numpy as np

LABELS = "labels"
"""Field that a batch gives apart from the others."""


class ClipSource(abc.ABC):
    """Clips whose arrays are read by position.

    Subclasses set the attributes and implement `read`.

    Attributes:
        name: name of the clips in error messages.
        num_clips: number of clips.
        fields: names of the arrays of a clip, such as "audio" or "labels".
    """

    name: str
    num_clips: int
    fields: tuple[str, ...]

    @abc.abstractmethod
    def read(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Reads clips.

        Args:
            positions: (rows,) int, positions from 0 to `num_clips` exclusive, in any order.

        Returns:
            Dict of field to array (rows, ...).

        Raises:
            ValueError: if a clip cannot be read; the message names it.
        """

    def read_all(self) -> dict[str, np.ndarray]:
        """Reads all clips in order, as `read` does."""
        return self.read(np.arange(self.num_clips))

    def close(self) -> None:  # noqa: B027
        """Closes open files."""
