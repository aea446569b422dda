"""Pictures of pictures: grids of images, and how errors fall as dimensions are left."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from recipes.reporting import figures

CURVES = ("#2563a8", "#cf4a3f", "#3f9c6c", "#e07b39", "#7b5ea7", "#7b8794")


def as_pixels(images: np.ndarray) -> np.ndarray:
    """Images as bytes.

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
    """A grid of images, with the name of each row beside it.

    Args:
        rows: name to (images, height, width, 1 or 3), uint8 or float from 0 to 1.
        height: of an image in the picture, in pixels; images are scaled by whole numbers.

    Returns:
        Content of a PNG file.

    Raises:
        ValueError: without rows, or if they hold different numbers of images.

    Example:

    >>> image_grid({"black": np.zeros((2, 28, 28, 1))})[1:4]
    b'PNG'
    """
    counts = {len(images) for images in rows.values()}
    if len(counts) != 1:
        raise ValueError(f"`rows` must hold equal numbers of images; received: {sorted(counts)}")
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
        axes.text(
            -8, place, name, ha="right", va="center", fontsize=8, color=figures.INK, clip_on=False
        )
    stream = io.BytesIO()
    figures.save(figure, stream, dpi)
    return _smaller(stream.getvalue())


def _smaller(png: bytes) -> bytes:
    """The same picture in fewer bytes."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").save(stream, "png", optimize=True)
    return stream.getvalue()


def error_curves(
    title: str,
    places: Sequence[float],
    curves: Mapping[str, Sequence[float]],
    band: tuple[str, Sequence[float], Sequence[float]] | None = None,
) -> str:
    """Errors by share of masked dimensions, with the range of random masks behind them.

    Args:
        title: plain text.
        places: shares of masked dimensions, in per cent.
        curves: name to an error per share.
        band: name, lowest and highest error per share.

    Returns:
        Address of a picture.

    Example:

    >>> band = ("random", [0.2, 0.1], [0.4, 0.2])
    >>> error_curves("t", [75.0, 25.0], {"TOC": [0.2, 0.1]}, band)[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(4.4, 3.0), layout="constrained")
    axes = figure.add_subplot()
    figures.style(axes)
    if band:
        name, lowest, highest = band
        axes.fill_between(places, lowest, highest, color=figures.GRID, label=name)
    for (name, values), colour in zip(curves.items(), CURVES, strict=False):
        axes.plot(places, values, color=colour, marker="o", markersize=3, label=name, linewidth=1.3)
    axes.set_title(title, fontsize=9, color=figures.INK, loc="left")
    axes.set_xlabel("masked dimensions (%)", fontsize=8, color=figures.FAINT)
    axes.set_ylabel("MSE", fontsize=8, color=figures.FAINT)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7))
    axes.legend(frameon=False, fontsize=7, labelcolor=figures.INK)
    return figures.png(figure)
