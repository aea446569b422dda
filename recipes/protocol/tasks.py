"""The tasks of Table 1: on which clips a probe learns, on which it is tested, what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

LONG = 7
"""Segments from which on an event counts as long."""


def everything(labels: np.ndarray, modality: str, role: str) -> np.ndarray:
    """All clips, in any role.

    Args:
        labels: (clips, frames, classes + 1).
        modality: in which the clips are taken.
        role: "source" or "target".

    Returns:
        (clips,) bool.

    Example:

    >>> everything(np.zeros((2, 10, 3)), "audio", "source")
    array([ True,  True])
    """
    return np.ones(len(labels), bool)


def by_length(labels: np.ndarray, modality: str, role: str) -> np.ndarray:
    """Clips with long events to learn on, with short ones to be tested on.

    Args:
        labels: (clips, frames, classes + 1).
        modality: in which the clips are taken.
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
    """Every other clip seen, the rest heard: no clip is both.

    Args:
        labels: (clips, frames, classes + 1).
        modality: in which the clips are taken.
        role: "source" or "target".

    Returns:
        (clips,) bool.

    Example:

    >>> unpaired(np.zeros((3, 10, 3)), "video", "source")
    array([ True, False,  True])
    """
    return np.arange(len(labels)) % 2 == (0 if modality == "video" else 1)


class Task(NamedTuple):
    """A column of Table 1, whatever the direction."""

    name: str
    """Of the recipe and of the published data set."""
    column: str
    """In the paper's tables."""
    localises: bool
    """Whether classes are told by the second, with a background, or one per clip."""
    options: dict[str, dict[str, Any]]
    """Modality to options of the published data set."""
    stand_in: Callable[[np.ndarray, str, str], np.ndarray]
    """Which clips of a prepared data set take which role."""
    stand_in_note: str
    reference_splits: tuple[str, str]
    """Where the published code learns, and where it chooses and reports."""
    reference_channels: int
    reference_criterion: str
    """TOC in the published script."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what is measured, the main one first."""
        return ("micro F1", "segment F1", "event F1") if self.localises else ("accuracy",)

    def column_of(self, direction: str) -> str:
        """Column of a direction in the paper's tables.

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
            f"The two data sets are those clips whose events last {LONG} seconds or more, to learn "
            "on, and those with shorter events, to be tested on.",
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
            "The two data sets are two halves of the clips, one seen and one heard.",
            ("test", "test"),
            168,
            "similarity",
        ),
    )
}
"""By name, in the order of the paper's columns. The last two cross from one data set to another;
prepared data have only one, of which parts stand in."""
