"""Pictures of a report, drawn off screen, as text that a page can embed."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
LINES = ("#2563a8", "#e07b39")
CODE_COLOURS = {"green": "#3f9c6c", "blue": "#3b7dc4", "red": "#cf4a3f"}
CODE_MEANING = {"green": "all modalities", "blue": "in between", "red": "one modality"}


def data_uri(content: bytes, kind: str) -> str:
    """A file as the address of itself.

    Args:
        content: of the file.
        kind: its media type, such as "image/png".

    Returns:
        A `data:` address.

    Example:

    >>> data_uri(b"hi", "text/plain")
    'data:text/plain;base64,aGk='
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def png(figure: Figure, dpi: int = 110) -> str:
    """A figure as the address of a PNG picture.

    Args:
        figure: of matplotlib.
        dpi: dots per inch.

    Returns:
        A `data:` address.

    Example:

    >>> png(Figure(figsize=(1, 1)))[:22]
    'data:image/png;base64,'
    """
    stream = io.BytesIO()
    save(figure, stream, dpi)
    return data_uri(stream.getvalue(), "image/png")


def save(figure: Figure, stream: Any, dpi: int = 110) -> None:
    """Writes a figure as PNG, drawn off screen.

    Args:
        figure: of matplotlib.
        stream: file to write to.
        dpi: dots per inch.

    Example:

    >>> stream = io.BytesIO()
    >>> save(Figure(figsize=(1, 1)), stream)
    >>> stream.getvalue()[1:4]
    b'PNG'
    """
    FigureCanvasAgg(figure)
    figure.savefig(stream, format="png", dpi=dpi)


def style(axes: Any) -> None:
    """Gives a plot the look of all plots.

    Args:
        axes: of matplotlib.

    Example:

    >>> style(Figure().add_subplot())
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=8)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def curve(title: str, series: Mapping[str, Sequence[float]], legend: bool = False) -> str:
    """A small plot of what was logged in each epoch.

    Args:
        title: plain text.
        series: name to a value per epoch.
        legend: whether to name the lines.

    Returns:
        Address of a picture.

    Example:

    >>> curve("loss", {"train": [2.0, 1.0], "validation": [2.0, 1.5]}, legend=True)[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(3.1, 2.0), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    for (name, values), colour in zip(series.items(), LINES, strict=False):
        # A line of few points would hardly show.
        marker = "o" if len(values) < 4 else None
        axes.plot(range(1, len(values) + 1), values, color=colour, marker=marker, label=name)
    axes.set_title(title, fontsize=9, color=INK, loc="left")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    if legend:
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return png(figure)


def similarity_map(title: str, similarity: np.ndarray, lowest: float) -> str:
    """A matrix of cosine similarity between codes.

    Args:
        title: plain text.
        similarity: (codes, codes) float in [-1, 1].
        lowest: where the scale of colours begins; it ends at 1.

    Returns:
        Address of a picture.

    Example:

    >>> similarity_map("all dimensions", np.eye(3), lowest=0.0)[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(3.6, 3.2), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(similarity, vmin=lowest, vmax=1, cmap="viridis", interpolation="none")
    axes.set_title(title, fontsize=9, color=INK)
    axes.set_xticks([])
    axes.set_yticks([])
    bar = figure.colorbar(image, ax=axes, shrink=0.85, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=FAINT, labelsize=8)
    return png(figure)


def code_use_bars(counts: np.ndarray, colours: np.ndarray) -> str:
    """A bar for each code in use: how often it is taken, coloured by who takes it.

    Args:
        counts: (codes, modalities) int.
        colours: (codes,) "green", "blue", "red" or "", see `recipes.protocol.code_use.colours`.

    Returns:
        Address of a picture.

    Example:

    >>> code_use_bars(np.array([[3, 3], [0, 1]]), np.array(["green", "red"]))[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    start = 0
    handles = []
    for name, colour in CODE_COLOURS.items():
        heights = np.sort(counts[colours == name].sum(axis=1))[::-1]
        axes.bar(np.arange(start, start + len(heights)), heights, width=1.0, color=colour)
        start += len(heights)
        label = f"{CODE_MEANING[name]}: {len(heights)}"
        handles.append(Patch(color=colour, label=label))
    axes.set_xlim(-1, max(start, 1))
    axes.set_xlabel("codes in use", fontsize=8, color=FAINT)
    axes.set_ylabel("clips", fontsize=8, color=FAINT)
    axes.legend(handles=handles, frameon=False, fontsize=8, labelcolor=INK, loc="upper right")
    return png(figure)


def spectrogram(waveform: np.ndarray, sample_rate: int) -> str:
    """Spectrogram of a clip, 80 dB deep.

    Args:
        waveform: (samples,) float.
        sample_rate: in hertz.

    Returns:
        Address of a picture.

    Example:

    >>> spectrogram(np.zeros(8000), 8000)[:14]
    'data:image/png'
    """
    size, hop = 256, 128
    frames = np.lib.stride_tricks.sliding_window_view(waveform, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=-1)) ** 2
    decibels = 10 * np.log10(power.T + 1e-10)
    figure = Figure(figsize=(5, 1.15))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(
        decibels,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=decibels.max() - 80,
        vmax=decibels.max(),
        extent=(0, len(waveform) / sample_rate, 0, sample_rate / 2),
    )
    axes.set_axis_off()
    return png(figure, dpi=100)


def film_strip(frames: np.ndarray) -> str:
    """Pictures of a clip in a row.

    Args:
        frames: (segments, height, width[, 3]) uint8.

    Returns:
        Address of a picture.

    Example:

    >>> film_strip(np.zeros((10, 28, 28), "uint8"))[:14]
    'data:image/png'
    """
    gap = max(1, frames.shape[2] // 28)
    border = [(0, 0), (0, 0), (0, gap)] + [(0, 0)] * (frames.ndim - 3)
    strip = np.concatenate(list(np.pad(frames, border, constant_values=255)), axis=1)
    figure = Figure(figsize=(strip.shape[1] / 100, strip.shape[0] / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(strip, cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="none")
    axes.set_axis_off()
    return png(figure, dpi=100 if frames.shape[1] > 40 else 200)


def sound(waveform: np.ndarray, sample_rate: int) -> str:
    """A waveform as a sound that browsers play.

    Args:
        waveform: (samples,) float in [-1, 1].
        sample_rate: in hertz.

    Returns:
        Address of a 16-bit WAV file.

    Example:

    >>> sound(np.zeros(4), 8000)[:14]
    'data:audio/wav'
    """
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((np.clip(waveform, -1, 1) * 32767).astype("<i2").tobytes())
    return data_uri(stream.getvalue(), "audio/wav")


def search(scores: Sequence[float | None], preset: float) -> str:
    """The course of a search for settings.

    Args:
        scores: of each trial, shares; None for one that failed.
        preset: score of the settings it started from.

    Returns:
        Address of a picture.

    Example:

    >>> search([0.5, None, 0.7], 0.6)[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(5.6, 2.8), layout="constrained")
    axes = figure.add_subplot()
    style(axes)
    values = np.array([np.nan if score is None else 100 * score for score in scores])
    numbers = np.arange(1, len(values) + 1)
    best = np.fmax.accumulate(values)
    axes.axhline(100 * preset, color=LINES[1], linestyle="--", linewidth=1.2, label="preset")
    axes.step(numbers, best, where="post", color=LINES[0], label="best so far")
    axes.plot(numbers, values, "o", color=LINES[0], markersize=4, alpha=0.6, label="trial")
    axes.set_xlabel("trial", fontsize=8, color=INK)
    axes.set_ylabel("source validation, %", fontsize=8, color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    return png(figure)
