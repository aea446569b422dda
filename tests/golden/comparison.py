"""How far recomputed numbers lie from recorded ones."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """Which deviation is still rounding, for the keys that a regular expression finds."""

    pattern: str
    single: float
    """Largest relative deviation in float32."""
    double: float
    """Largest relative deviation in float64."""
    scale: float = 0.0
    """Deviations are relative to the largest recorded magnitude, but at least to this."""


class Deviation(NamedTuple):
    """One recorded array against ours."""

    key: str
    deviation: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the deviation is rounding; never so where it is not a number."""
        return self.deviation <= self.tolerance


def relative_deviation(ours: np.ndarray, recorded: np.ndarray, scale: float = 0.0) -> float:
    """Largest difference between two arrays, relative to the largest recorded magnitude.

    Args:
        ours: array of the shape of `recorded`, or of as many elements.
        recorded: array.
        scale: smallest magnitude to be relative to.

    Returns:
        Zero for equal arrays; infinity for another number of elements.

    Example:

    >>> relative_deviation(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.5
    """
    ours, recorded = np.asarray(ours, "float64"), np.asarray(recorded, "float64")
    if ours.size != recorded.size:
        return float("inf")
    if not ours.size:
        return 0.0
    difference = np.max(np.abs(ours.reshape(recorded.shape) - recorded))
    return float(difference / max(np.max(np.abs(recorded)), scale, np.finfo("float64").tiny))


def group_of(key: str) -> str:
    """Group under which a key is reported: its folders, without those of single tensors.

    Args:
        key: name in a file.

    Returns:
        Name of the group.

    Example:

    >>> group_of("grad_l2/encoder/va2vat.linear.bias"), group_of("step3/loss/total")
    ('grad_l2/encoder', 'step3/loss')
    """
    return "/".join(key.split("/")[:-1][:2]) or key


def report(deviations: Iterable[Deviation]) -> list[str]:
    """One line per group: the largest deviation, how many arrays, and what is beyond tolerance.

    Args:
        deviations: any number of deviations.

    Returns:
        Lines of text.

    Example:

    >>> report([Deviation("loss/cpc", 1e-7, 1e-5)])
    ['loss                            1 arrays  largest 1.0e-07  ok']
    """
    groups: dict[str, list[Deviation]] = {}
    for one in deviations:
        groups.setdefault(group_of(one.key), []).append(one)
    lines = []
    for name, members in groups.items():
        beyond = [one for one in members if not one.within]
        verdict = "ok" if not beyond else "BEYOND TOLERANCE"
        largest = max(one.deviation for one in members)
        lines.append(f"{name:30s} {len(members):3d} arrays  largest {largest:.1e}  {verdict}")
        lines += [f"    {one.key}: {one.deviation:.1e} > {one.tolerance:.1e}" for one in beyond]
    return lines


def tolerance_of(
    key: str, recorded: np.ndarray, tolerances: Iterable[Tolerance], double: bool
) -> tuple[float, float]:
    """Tolerance and scale of a key: those of the first entry whose pattern is found in it.

    Args:
        key: name in a file.
        recorded: the recorded array; where it is float32, its own rounding is allowed for.
        tolerances: table, first match counts.
        double: whether ours was computed in float64.

    Returns:
        Largest relative deviation, and the scale.

    Raises:
        ValueError: if no entry matches.

    Example:

    >>> table = [Tolerance("", 1e-5, 1e-9)]
    >>> tolerance_of("loss/cpc", np.zeros(1, "float64"), table, double=True)
    (1e-09, 0.0)
    """
    for entry in tolerances:
        if re.search(entry.pattern, key):
            limit = entry.double if double else entry.single
            if recorded.dtype == np.float32:
                limit = max(limit, 1e-6)
            return limit, entry.scale
    raise ValueError(f"No tolerance is set for {key!r}.")
