"""Audio extractors: log-mel summaries, which need no weights, and VGGish."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import decode_audio
from data_tools.extraction.clips import file_of
from data_tools.extraction.extractor import Extractor, source_of
from data_tools.features import AudioFeatures, vggish
from data_tools.io.files import sha256_file
from data_tools.store import Field


def fill_segments(features: np.ndarray, segments: int) -> np.ndarray:
    """Truncates rows to a number, or repeats the last row, as the published features do.

    Args:
        features: (rows, ...), at least one row.
        segments: rows wanted.

    Returns:
        (segments, ...).

    Example:
        >>> fill_segments(np.array([1, 2]), 4).tolist()
        [1, 2, 2, 2]
    """
    return features[np.minimum(np.arange(segments), len(features) - 1)]


def sound_of(root: Path, clip: Mapping[str, Any]) -> Path:
    """Returns the file with the audio of a clip: its sound file, else its video file.

    Args:
        root: root of the paths.
        clip: the clip.

    Returns:
        The path.

    Raises:
        DecodeError: if the clip has neither.

    Example:
        >>> sound_of(Path("set"), {"id": "a", "video": "a.mp4"}).as_posix()
        'set/a.mp4'
    """
    return source_of(root, {"audio": file_of(clip, "audio")}, "audio")


def seconds_of(waveform: np.ndarray, sample_rate: int, segments: int) -> np.ndarray:
    """Divides a waveform into seconds; a last part of at least half a second is padded with zeros.

    Args:
        waveform: (samples,).
        sample_rate: in hertz.
        segments: most seconds wanted.

    Returns:
        (seconds, sample_rate), at least one second.

    Example:
        >>> seconds_of(np.ones(20), 8, 10).shape, seconds_of(np.ones(3), 8, 10).shape
        ((3, 8), (1, 8))
    """
    count = min(max(1, int(len(waveform) / sample_rate + 0.5)), segments)
    whole = np.zeros(count * sample_rate, np.float32)
    part = waveform[: len(whole)]
    whole[: len(part)] = part
    return whole.reshape(count, sample_rate)


class LogMel(Extractor):
    """Computes a 128-d log-mel summary of each second, standardised on training clips.

    Args:
        segments: seconds of a clip.
        sample_rate: in hertz.

    Example:
        >>> extractor = LogMel(segments=4)
        >>> extractor.fit([np.random.default_rng(0).normal(size=32000)])
        >>> extractor(np.zeros(24000)).shape
        (4, 128)
    """

    needs_fit = True

    def __init__(self, segments: int = 10, sample_rate: int = 16_000) -> None:
        self.segments = segments
        self.features = AudioFeatures(sample_rate)

    @property
    def field(self) -> Field:
        return Field((self.segments, self.features.dim))

    def decode(self, root: Path, clip: Mapping[str, Any]) -> np.ndarray:
        path = sound_of(root, clip)
        return decode_audio(path, self.features.sample_rate, self.segments)

    def _seconds(self, signal: np.ndarray) -> np.ndarray:
        return seconds_of(signal, self.features.sample_rate, self.segments)

    def fit(self, signals: Sequence[np.ndarray]) -> None:
        self.features.fit(np.concatenate([self._seconds(signal) for signal in signals]))

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        return fill_segments(self.features(self._seconds(signal))[:, 0], self.segments)

    def state(self) -> dict[str, np.ndarray]:
        return self.features.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.features.load_state(state)


class VGGish(Extractor):
    """Computes the VGGish embedding of each second.

    Args:
        segments: rows of a clip.
        weights: file of weights, see `load_weights`; "random" for a test without any.
        hop_seconds: seconds between patches of 0.96 s: 1.0 for one per segment, 0.96 as published.
        relu: see `build_vggish`.
        pca: file of PCA parameters, for the post-processing of the released features.
        quantize: whether post-processed features are whole numbers from 0 to 255.

    Raises:
        FileNotFoundError: if a file does not exist.
        ValueError: if a file is damaged, or no weights are given.
    """

    def __init__(
        self,
        segments: int = 10,
        weights: str | None = None,
        hop_seconds: float = 1.0,
        relu: bool = False,
        pca: str | None = None,
        quantize: bool = True,
    ) -> None:
        from data_tools.features import vggish_weights

        if weights is None:
            raise ValueError(
                "`weights` must name a file of VGGish weights (.weights.h5, .npz, .pth); "
                "'log_mel' needs none"
            )
        self.segments, self.weights, self.pca = segments, weights, pca
        self.hop_seconds, self.quantize = hop_seconds, quantize
        if weights == "random":
            import keras

            keras.utils.set_random_seed(0)
        self.model = vggish.build_vggish(relu)
        if weights != "random":
            vggish_weights.load_weights(self.model, weights)
        self._pca = None if pca is None else vggish_weights.read_pca(pca)

    @property
    def field(self) -> Field:
        return Field((self.segments, vggish.EMBEDDING_DIM))

    def decode(self, root: Path, clip: Mapping[str, Any]) -> np.ndarray:
        path = sound_of(root, clip)
        return decode_audio(path, vggish.SAMPLE_RATE, self.segments + 1)

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        from keras import ops

        # A patch needs a second.
        padded = np.pad(signal, (0, max(0, vggish.SAMPLE_RATE - len(signal))))
        patches = vggish.patches(padded, self.hop_seconds)[: self.segments]
        embeddings = ops.convert_to_numpy(self.model(patches, training=False))
        if self._pca is not None:
            embeddings = vggish.postprocess(embeddings, *self._pca, quantize=self.quantize)
        return fill_segments(embeddings, self.segments)

    def sources(self) -> dict[str, str]:
        files = {"weights": self.weights, "pca": self.pca}
        return {
            name: sha256_file(path) for name, path in files.items() if path and os.path.exists(path)
        }
