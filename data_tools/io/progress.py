"""Progress bars on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def bar(steps: Iterable[Any] | None, what: str, unit: str, total: int | None = None) -> Any:
    """Makes a progress bar, which is hidden if standard error is not a terminal.

    Args:
        steps: iterable to go through; None for a bar whose `update` is called for each step.
        what: description of the steps.
        unit: unit of a step.
        total: number of steps, if `steps` has no length.

    Returns:
        A `tqdm` object, which yields the steps.

    Example:

    >>> list(bar([1, 2], "count", "number"))
    [1, 2]
    """
    from tqdm import tqdm

    return tqdm(steps, what, total, unit=unit, dynamic_ncols=True, disable=None)
