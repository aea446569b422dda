"""Extractors of sound by pretrained networks that take waveforms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import decode_audio
from data_tools.extraction.audio import fill_segments, sound_of
from data_tools.extraction.pretrained import PretrainedExtractor
from data_tools.store import Field

UNCOVERED = 0.25
"""Share of a window that may stay unheard at the end; for more, a last window ends with the sound.
"""


class SoundModel(PretrainedExtractor):
    """Embeddings of windows of a waveform, averaged over the windows whose middle is in a second.

    A model that takes a waveform of any length gets the whole of it, and the frames that it returns
    are averaged over each second.

    Args:
        segments: seconds of a clip.
        model: model file; `MODEL.json` beside it may hold any of the settings that follow.
        output: name of the tensor to return, an internal one too; the first output if None.
        sample_rate: of the waveform that the model takes, in hertz.
        window: length of a window in seconds; that of the model's input if None.
        hop: from one window to the next, in seconds; the window if None.
        reduce: principal components to keep, learned from training clips; all features if None.
        whiten: whether each component gets variance 1.
        dtype: "float16" or "float32", precision of the stored features.
        batch_size: windows per call of the model.

    Raises:
        FileNotFoundError: if the model does not exist.
        ImportError: if the runtime is not installed.
        ValueError: if a setting is missing or wrong, or the model does not take waveforms.
    """

    def __init__(
        self,
        segments: int = 10,
        model: str | None = None,
        output: str | None = None,
        sample_rate: int | None = None,
        window: float | None = None,
        hop: float | None = None,
        reduce: int | None = None,
        whiten: bool = False,
        dtype: str = "float16",
        batch_size: int = 16,
    ) -> None:
        given = {"output": output, "sample_rate": sample_rate, "window": window, "hop": hop}
        super().__init__(model, given, reduce, whiten, dtype)
        self.segments, self.batch_size = segments, batch_size
        if "sample_rate" not in self.settings:
            raise ValueError(
                "`sample_rate` must say how many samples per second the model takes, as an option "
                "or in the JSON file beside it"
            )
        self.sample_rate = int(self.settings["sample_rate"])
        axes = self.network.input_shape
        # The samples are on the last axis that is not of length one.
        self._axis = max((at for at, size in enumerate(axes) if size != 1), default=0)
        samples = axes[self._axis]
        if len(axes) > 3 or any(size not in (1, None) for size in axes[1 : self._axis]):
            raise ValueError(f"the model must take waveforms; its input has the shape {axes}")
        if "window" in self.settings:
            wanted = round(self.settings["window"] * self.sample_rate)
            if samples is not None and wanted != samples:
                raise ValueError(
                    f"`window` must be of the {samples} samples that the model takes. Received: "
                    f"{self.settings['window']} s, {wanted} samples at {self.sample_rate} Hz"
                )
            samples = wanted
        self.window = samples
        hop = self.settings.get("hop")
        if hop is not None and not hop > 0:
            raise ValueError(f"`hop` must be above 0 seconds. Received: {hop}")
        self.hop = samples if hop is None else round(hop * self.sample_rate)
        self.dim = self._embed(np.zeros(samples or self.sample_rate, np.float32)[None]).shape[-1]

    @property
    def field(self) -> Field:
        return Field(self.reduced_shape((self.segments, self.dim)), self.dtype)

    def decode(self, root: Path, clip: Mapping[str, Any]) -> np.ndarray:
        return decode_audio(sound_of(root, clip), self.sample_rate, self.segments)

    def starts(self, samples: int) -> np.ndarray:
        """First samples of the windows of a waveform of `samples` samples, at least one."""
        if self.window is None or self.hop is None:
            raise ValueError("the model takes the whole waveform")
        last = samples - self.window
        if last <= 0:
            return np.zeros(1, int)
        starts = np.arange(0, last + 1, self.hop)
        if last - starts[-1] > UNCOVERED * self.window:
            starts = np.append(starts, last)
        return starts

    def _embed(self, windows: np.ndarray) -> np.ndarray:
        """(n, samples) to (n, dim), or (1, samples) to (frames, dim) for a whole waveform."""
        axes = self.network.input_shape
        shape = [1] * len(axes)
        shape[self._axis] = windows.shape[1]
        inputs = windows.reshape(len(windows), *(shape if self._axis == 0 else shape[1:]))
        outputs = self.network(inputs, self.batch_size)
        if self.window is None:
            return outputs.reshape(-1, outputs.shape[-1])
        return outputs.reshape(len(windows), -1, outputs.shape[-1]).mean(axis=1)

    def embeddings(self, signal: np.ndarray) -> np.ndarray:
        """Unreduced features of each second of a waveform: (seconds, dim)."""
        signal = signal.astype(np.float32, copy=False)
        seconds = min(max(1, int(len(signal) / self.sample_rate + 0.5)), self.segments)
        if self.window is None:
            rows = self._embed(signal[None])
            middles = (np.arange(len(rows)) + 0.5) * len(signal) / len(rows)
        else:
            padded = np.pad(signal, (0, max(0, self.window - len(signal))))
            starts = self.starts(len(padded))
            rows = self._embed(
                np.lib.stride_tricks.sliding_window_view(padded, self.window)[starts]
            )
            middles = starts + self.window / 2
        middles = middles / self.sample_rate
        result = np.empty((seconds, rows.shape[1]), np.float32)
        for second in range(seconds):
            inside = (middles >= second) & (middles < second + 1)
            if not inside.any():
                inside = np.arange(len(rows)) == np.abs(middles - second - 0.5).argmin()
            result[second] = rows[inside].mean(axis=0)
        return result

    def fit(self, signals: Sequence[np.ndarray]) -> None:
        self.fit_reduction(self.embeddings(signal) for signal in signals)

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        return fill_segments(self.reduced(self.embeddings(signal)), self.segments)


class ONNXSound(SoundModel):
    """`SoundModel` of an ONNX file."""

    runtime = "onnx"


class LiteRTSound(SoundModel):
    """`SoundModel` of a `.tflite` file."""

    runtime = "litert"


class KerasSound(SoundModel):
    """`SoundModel` of a Keras model."""

    runtime = "keras"


class YAMNet(SoundModel):
    """1,024-d embeddings of YAMNet, windows of 0.975 s each 0.4875 s; the LiteRT file.

    Args:
        segments: seconds of a clip.
        model: `yamnet.tflite`; that of the folder `models` of the download cache if None.
        options: of `SoundModel`.

    References:
        Plakal and Ellis, YAMNet, 2019. Gemmeke et al., "Audio Set: an ontology and human-labeled
        dataset for audio events", ICASSP 2017.
    """

    runtime = "litert"
    file = "yamnet.tflite"
    defaults: Mapping[str, Any] = {
        "output": "layer28/reduce_mean",
        "sample_rate": 16_000,
        "window": 0.975,
        "hop": 0.4875,
    }
