"""Draws ten kinds of shapes at any place, size, colour and angle."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

SIDE = 56
COLOURS = {
    "red": (220, 50, 47),
    "orange": (230, 130, 30),
    "yellow": (225, 210, 50),
    "green": (70, 170, 60),
    "cyan": (60, 190, 200),
    "blue": (50, 90, 220),
    "violet": (150, 70, 210),
    "white": (235, 235, 235),
}


def _polygon(radii: list[float], offset: float = 0.0) -> np.ndarray:
    angles = 2 * np.pi * (np.arange(len(radii)) / len(radii) + offset)
    return np.stack([np.sin(angles), -np.cos(angles)], 1) * np.array(radii)[:, None]


def _closed(points: np.ndarray) -> np.ndarray:
    return np.concatenate([points, points[:1]])


_CROSS = [(1, 3), (1, 1), (3, 1), (3, -1), (1, -1), (1, -3)]
_OUTLINES: dict[str, np.ndarray] = {
    "triangle": _polygon([1.1, 1.1, 1.1]),
    "square": _polygon([1.1] * 4, 1 / 8),
    "hexagon": _polygon([1.0] * 6),
    "star": _polygon([1.2, 0.45] * 5),
    "cross": np.array(_CROSS + [(-x, -y) for x, y in _CROSS]) / 3.0,
    "diamond": _polygon([1.2, 0.6] * 2),
    "arrow": np.array(
        [(0, -1.1), (0.9, 0), (0.35, 0), (0.35, 1), (-0.35, 1), (-0.35, 0), (-0.9, 0)]
    ),
    "circle": _polygon([1.0] * 32),
    "ring": np.concatenate([_closed(_polygon([1.0] * 32)), _closed(_polygon([0.55] * 32))[::-1]]),
    "crescent": np.concatenate(
        [_polygon([1.0] * 32)[:17], (_polygon([1.0] * 32)[:17] * (0.45, 1.0))[::-1]]
    )
    - (0.5, 0.0),
}
SHAPES = tuple(_OUTLINES)


def render_background(rng: np.random.Generator) -> Image.Image:
    """Renders a dim, smooth texture in two tints.

    Args:
        rng: draws the texture.

    Returns:
        A 56 x 56 RGB picture.

    Example:
        >>> render_background(np.random.default_rng(0)).size
        (56, 56)
    """
    coarse = Image.fromarray(rng.integers(5, 60, (5, 5, 3), dtype=np.uint8))
    return coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def draw_shape(
    background: Image.Image,
    shape: str,
    colour: tuple[int, int, int],
    centre: tuple[float, float],
    radius: float,
    turn: float,
) -> Image.Image:
    """Draws a shape on a background.

    Args:
        background: the picture to draw on; it stays as it is.
        shape: one of `SHAPES`.
        colour: red, green, blue, 0 to 255.
        centre: x and y, in pixels.
        radius: in pixels.
        turn: angle, in radians.

    Returns:
        A new RGB picture of the same size.

    Example:
        >>> blank = Image.new("RGB", (56, 56))
        >>> draw_shape(blank, "circle", (255, 0, 0), (28, 28), 10, 0.0).getpixel((28, 28))
        (255, 0, 0)
    """
    cos, sin = np.cos(turn), np.sin(turn)
    points = radius * _OUTLINES[shape] @ np.array([[cos, sin], [-sin, cos]]) + centre
    oversampled = Image.new("L", (2 * background.width, 2 * background.height))
    ImageDraw.Draw(oversampled).polygon([(2 * x, 2 * y) for x, y in points.tolist()], fill=255)
    mask = oversampled.resize(background.size, Image.Resampling.BOX)
    result = background.copy()
    result.paste(colour, mask=mask)
    return result
