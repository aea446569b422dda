"""Checks of arguments that several layers have."""

from __future__ import annotations

from collections.abc import Sequence


def require_sizes(**sizes: int) -> None:
    """Raises an error for the first size below 1.

    Args:
        **sizes: argument name to value.

    Raises:
        ValueError: if a value is below 1, naming its argument.

    Example:

    >>> require_sizes(units=0)
    Traceback (most recent call last):
        ...
    ValueError: `units` must be at least 1. Received: 0
    """
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {size}")


def require_positive(**values: float) -> None:
    """Raises an error for the first value that is not positive.

    Args:
        **values: argument name to value.

    Raises:
        ValueError: if a value is not above 0, naming its argument.

    Example:

    >>> require_positive(temperature=0.0)
    Traceback (most recent call last):
        ...
    ValueError: `temperature` must be positive. Received: 0.0
    """
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"`{name}` must be positive. Received: {value}")


def require_maps(layer: str, shape: Sequence[int | None], least: int = 1) -> None:
    """Raises an error for inputs that are no feature maps, or too small ones.

    Args:
        layer: name of the layer.
        shape: of its input.
        least: smallest height and width.

    Raises:
        ValueError: unless the shape is `(batch, frames, height, width, channels)`.

    Example:

    >>> require_maps("pooling", (None, 10, 7, 7, 64), least=5)
    """
    if len(shape) != 5 or any(size is not None and size < least for size in shape[2:4]):
        size = f" with height and width of at least {least}" if least > 1 else ""
        raise ValueError(
            f"{layer}: feature maps must have shape (batch, frames, height, width, channels){size}."
            f" Received shape {tuple(shape)}."
        )
