"""Grids of images, a row per name."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from recipes.reporting.charts import INK


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Converts images to bytes.

    Args:
        images: (..., channels), uint8, or float with 0 black and 1 white.

    Returns:
        uint8 of the same shape.

    Example:

    >>> as_pixels(np.array([[[-0.1], [0.5], [2.0]]])).ravel().tolist()
    [0, 128, 255]
    """
    if images.dtype == np.uint8:
        return images
    return (np.clip(images, 0, 1) * 255).round().astype("uint8")


def image_grid(rows: Mapping[str, np.ndarray], height: int = 56) -> bytes:
    """Draws a grid of images, with the name of each row beside it.

    Args:
        rows: name to (images, height, width, 1 or 3), uint8 or float from 0 to 1.
        height: height of an image in the picture, in pixels; images are scaled by integers.

    Returns:
        Content of a PNG file.

    Raises:
        ValueError: if there are no rows, or rows of different numbers of images.

    Example:

    >>> image_grid({"black": np.zeros((2, 28, 28, 1))})[1:4]
    b'PNG'
    """
    counts = {len(images) for images in rows.values()}
    if len(counts) != 1:
        raise ValueError(f"`rows` must hold equal numbers of images. Received: {sorted(counts)}")
    strips, gap = [], 4
    for images in rows.values():
        pixels = as_pixels(images)
        pixels = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
        factor = max(1, round(height / pixels.shape[1]))
        pixels = pixels.repeat(factor, axis=1).repeat(factor, axis=2)
        pixels = np.pad(pixels, ((0, 0), (0, gap), (0, gap), (0, 0)), constant_values=255)
        strips.append(np.concatenate(list(pixels), axis=1))
    whole = np.concatenate(strips, axis=0)
    dpi, margin = 100, 190
    figure = Figure(figsize=((whole.shape[1] + margin) / dpi, whole.shape[0] / dpi))
    left = margin / (whole.shape[1] + margin)
    axes = figure.add_axes((left, 0, 1 - left, 1))
    axes.imshow(whole, aspect="auto", interpolation="none")
    axes.set_axis_off()
    middle = np.cumsum([len(strip) for strip in strips]) - [len(strip) / 2 for strip in strips]
    for name, place in zip(rows, middle, strict=True):
        axes.text(-8, place, name, ha="right", va="center", fontsize=8, color=INK, clip_on=False)
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    # Pillow's encoder gives half of matplotlib's bytes.
    stream = io.BytesIO()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3]
    Image.fromarray(drawn).save(stream, "png", optimize=True)
    return stream.getvalue()
