"""Pictures of a report, drawn off screen, as text that a page can embed."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

INK, FAINT, GRID = "#1f2933", "#7b8794", "#e4e7eb"
LINES = ("#2563a8", "#e07b39", "#3f9c6c", "#9b4f96", "#c2a83e", "#4aa3b5", "#a0522d", "#6b7280")
CODE_COLOURS = {"green": "#3f9c6c", "blue": "#3b7dc4", "red": "#cf4a3f"}
CODE_MEANING = {
    "green": "all modalities",
    "blue": "in between",
    "red": "one modality",
}


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
    FigureCanvasAgg(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=dpi)
    return data_uri(stream.getvalue(), "image/png")


def _style(axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(colors=FAINT, labelsize=8)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def loss_curves(history: Mapping[str, Sequence[float]], terms: Sequence[str]) -> str:
    """One small plot for each term of the loss, by epoch, on training and validation clips.

    Args:
        history: log key to a value per epoch.
        terms: log keys to draw, those that are there.

    Returns:
        Address of a picture.

    Example:

    >>> loss_curves({"loss": [2.0, 1.0], "val_loss": [2.0, 1.5]}, ["loss"])[:14]
    'data:image/png'
    """
    terms = [term for term in terms if term in history]
    columns = min(3, len(terms))
    rows = -(-len(terms) // columns)
    figure = Figure(figsize=(9, 1.9 * rows + 0.3), layout="constrained")
    for position, term in enumerate(terms, start=1):
        axes = figure.add_subplot(rows, columns, position)
        _style(axes)
        epochs = np.arange(1, len(history[term]) + 1)
        marker = "o" if len(epochs) < 4 else None
        axes.plot(epochs, history[term], color=LINES[0], marker=marker, label="train")
        if f"val_{term}" in history:
            axes.plot(
                epochs, history[f"val_{term}"], color=LINES[1], marker=marker, label="validation"
            )
        axes.set_title(term.replace("_", " "), fontsize=9, color=INK, loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
        if position == 1:
            axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    figure.supxlabel("epoch", fontsize=8, color=FAINT)
    return png(figure)


def similarity_maps(similarities: Mapping[str, np.ndarray]) -> str:
    """Matrices of cosine similarity between codes, side by side on one scale.

    Args:
        similarities: title to (codes, codes) float in [-1, 1].

    Returns:
        Address of a picture.

    Example:

    >>> similarity_maps({"before": np.eye(3), "after": np.eye(3)})[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(3.1 * len(similarities) + 0.6, 3.3), layout="constrained")
    lowest = min(0.0, *(float(similarity.min()) for similarity in similarities.values()))
    every = []
    for position, (title, similarity) in enumerate(similarities.items(), start=1):
        axes = figure.add_subplot(1, len(similarities), position)
        image = axes.imshow(similarity, vmin=lowest, vmax=1, cmap="viridis", interpolation="none")
        axes.set_title(title, fontsize=9, color=INK)
        axes.set_xticks([])
        axes.set_yticks([])
        every.append(axes)
    bar = figure.colorbar(image, ax=every, shrink=0.85, pad=0.02)
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=FAINT, labelsize=8)
    return png(figure)


def code_use_bars(counts: np.ndarray, colours: np.ndarray) -> str:
    """A bar for each code in use: how often it is taken, coloured by who takes it.

    Args:
        counts: (codes, modalities) int.
        colours: (codes,) "green", "blue", "red" or "", see `recipes.code_use.colours`.

    Returns:
        Address of a picture.

    Example:

    >>> code_use_bars(np.array([[3, 3], [0, 1]]), np.array(["green", "red"]))[:14]
    'data:image/png'
    """
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.add_subplot()
    _style(axes)
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
