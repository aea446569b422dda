"""The tasks of Table 1: data sets, labels, metrics, and the published splits of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LONG = 7
"""Smallest number of segments of a long event."""


def everything(labels: np.ndarray, modality: str, role: str) -> np.ndarray:
    """Selects all clips, in any role.

    Args:
        labels: (clips, frames, classes + 1).
        modality: modality of the clips.
        role: "source" or "target".

    Returns:
        (clips,) bool.

    Example:

    >>> everything(np.zeros((2, 10, 3)), "audio", "source")
    array([ True,  True])
    """
    return np.ones(len(labels), bool)


def by_length(labels: np.ndarray, modality: str, role: str) -> np.ndarray:
    """Selects clips with long events as sources, clips with short events as targets.

    Args:
        labels: (clips, frames, classes + 1).
        modality: modality of the clips.
        role: "source" or "target".

    Returns:
        (clips,) bool.

    Example:

    >>> labels = np.zeros((2, 10, 3))
    >>> labels[0, :9, 0] = labels[1, :4, 0] = 1
    >>> by_length(labels, "audio", "source"), by_length(labels, "audio", "target")
    (array([ True, False]), array([False,  True]))
    """
    long = labels[..., :-1].max(axis=-1).sum(axis=1) >= LONG
    return long if role == "source" else ~long


def unpaired(labels: np.ndarray, modality: str, role: str) -> np.ndarray:
    """Selects every other clip for video and the rest for sound, so that no clip has both.

    Args:
        labels: (clips, frames, classes + 1).
        modality: modality of the clips.
        role: "source" or "target".

    Returns:
        (clips,) bool.

    Example:

    >>> unpaired(np.zeros((3, 10, 3)), "video", "source")
    array([ True, False,  True])
    """
    return np.arange(len(labels)) % 2 == (0 if modality == "video" else 1)


class Task(NamedTuple):
    """A task of Table 1: a pair of columns, one per direction."""

    name: str
    """Name of the task and of the published data set."""
    column: str
    """Name in the paper's tables."""
    localises: bool
    """Whether every second has classes, or each clip one."""
    options: dict[str, dict[str, Any]]
    """Modality to options of the published data set."""
    stand_in: Callable[[np.ndarray, str, str], np.ndarray]
    """Selects the clips of a prepared data set that take a role."""
    stand_in_note: str
    reference_splits: tuple[str, str]
    """Splits on which the published code learns, and on which it chooses and reports."""
    reference_channels: int
    reference_criterion: str
    """TOC in the published script."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, the main one first."""
        return ("micro F1", "segment F1", "event F1") if self.localises else ("accuracy",)

    def column_of(self, direction: str) -> str:
        """Returns the column of a direction in the paper's tables.

        Args:
            direction: "source->target".

        Returns:
            The heading.

        Example:

        >>> TASKS["ave"].column_of("video->audio")
        'AVE V->A'
        """
        source, target = direction.split("->")
        return f"{self.column} {source[0].upper()}->{target[0].upper()}"


EVENTS = {"audio": {"events": "audio"}, "video": {"events": "visual"}}
SIDES = {"audio": {"side": "vggsound"}, "video": {"side": "ucf"}}
TASKS = {
    task.name: task
    for task in (
        Task("ave", "AVE", False, {}, everything, "", ("train", "train"), 256, "both"),
        Task("avvp", "AVVP", True, EVENTS, everything, "", ("test", "test"), 196, "similarity"),
        Task(
            "ave_avvp",
            "AVE->AVVP",
            True,
            EVENTS,
            by_length,
            f"The two data sets are the clips whose events last {LONG} seconds or more, to learn "
            "on, and the clips with shorter events, to test on.",
            ("train", "test"),
            128,
            "similarity",
        ),
        Task(
            "ucf_vggsound",
            "UCF-VGG",
            False,
            SIDES,
            unpaired,
            "The two data sets are two halves of the clips, one for video and one for sound.",
            ("test", "test"),
            168,
            "similarity",
        ),
    )
}
"""Name to task, in the order of the paper's columns. The last two cross from one data set to
another; of prepared data, two disjoint parts take their place."""
