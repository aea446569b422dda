"""Checks of arguments that several layers have."""

from __future__ import annotations


def require_positive(**sizes: int) -> None:
    """Raises an error for the first size below 1.

    Args:
        **sizes: argument name to value.

    Raises:
        ValueError: if a value is below 1, naming its argument.

    Example:

    >>> require_positive(units=0)
    Traceback (most recent call last):
        ...
    ValueError: `units` must be at least 1. Received: 0
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {size}")
