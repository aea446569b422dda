"""Progress bars on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def bar(steps: Iterable[Any] | None, what: str, unit: str, total: int | None = None) -> Any:
    """A progress bar; none where standard error is a file, in which it would be one endless line.

    Args:
        steps: to go through; None for a bar that is told of each step by `update`.
        what: is done.
        unit: of a step.
        total: number of steps, where `steps` does not tell.

    Returns:
        A `tqdm`, which yields the steps.

    Example:

    >>> list(bar([1, 2], "count", "number"))
    [1, 2]
    """
    from tqdm import tqdm

    return tqdm(steps, what, total, unit=unit, dynamic_ncols=True, disable=None)
