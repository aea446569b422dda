"""Media of clips for reports: spectrograms, frames, sounds."""

from __future__ import annotations

import io

import matplotlib
import numpy as np
import soundfile
from PIL import Image

QUALITY = 80
"""Of lossy pictures: at the sizes of a report, no difference is seen."""


def spectrogram(waveform: np.ndarray) -> Image.Image:
    """Draws the spectrogram of a clip, over a range of 80 dB, time to the right, frequency up.

    Args:
        waveform: (samples,) float.

    Returns:
        The picture, up to half the sample rate.

    Example:

    >>> spectrogram(np.zeros(8000)).size
    (500, 130)
    """
    size = 256
    # At most some 500 columns, however long the clip is.
    hop = max(128, len(waveform) // 500)
    padded = np.pad(waveform, (0, max(0, size - len(waveform))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=-1)) ** 2
    decibels = 10 * np.log10(power.T[::-1] + 1e-10)
    scaled = np.clip((decibels - decibels.max() + 80) / 80, 0, 1)
    colours = matplotlib.colormaps["magma"](scaled, bytes=True)[..., :3]
    return Image.fromarray(colours).resize((500, 130), Image.Resampling.LANCZOS)


def contact_sheet(frames: np.ndarray, columns: int = 5) -> bytes:
    """Draws the frames of a clip in rows, in the order of reading.

    Args:
        frames: (segments, height, width[, 3]) uint8.
        columns: frames per row.

    Returns:
        Content of a WebP file of the frames' own resolution.

    Example:

    >>> sheet = contact_sheet(np.zeros((10, 28, 28), "uint8"))
    >>> Image.open(io.BytesIO(sheet)).size
    (144, 57)
    """
    gap = max(1, frames.shape[2] // 28)
    if frames.ndim == 3:
        frames = np.repeat(frames[..., None], 3, axis=-1)
    number, height, width, _ = frames.shape
    columns = min(columns, number)
    rows = -(-number // columns)
    shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, 4)
    # Transparent between the frames, so that the sheet fits light and dark pages.
    sheet = np.zeros(shape, "uint8")
    for place, frame in enumerate(frames):
        row, column = divmod(place, columns)
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width, :3] = frame
        sheet[top : top + height, left : left + width, 3] = 255
    return webp(Image.fromarray(sheet))


def webp(image: Image.Image) -> bytes:
    """Encodes a picture as a lossy WebP file.

    Args:
        image: the picture.

    Returns:
        Content of the file.

    Example:

    >>> webp(Image.new("RGB", (2, 2)))[8:12]
    b'WEBP'
    """
    stream = io.BytesIO()
    image.save(stream, "webp", quality=QUALITY, method=6)
    return stream.getvalue()


def mp3(waveform: np.ndarray, sample_rate: int) -> bytes:
    """Encodes a waveform as an MP3 file, a fifth of the size of a WAV file or less.

    Args:
        waveform: (samples,) float in [-1, 1].
        sample_rate: samples per second.

    Returns:
        Content of the file.

    Example:

    >>> len(mp3(np.zeros(80000), 8000)) < 80000 / 5
    True
    """
    stream = io.BytesIO()
    soundfile.write(
        stream, np.clip(waveform, -1, 1), sample_rate, format="MP3", subtype="MPEG_LAYER_III"
    )
    return stream.getvalue()
