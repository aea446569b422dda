"""Fits, applies and saves the features of all modalities of a raw data set."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from data_tools.features import AudioFeatures, TextFeatures, VideoFeatures
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.io.files import read_arrays, reading
from data_tools.raw.base import Clip, RawDataset


@dataclasses.dataclass
class Extractors:
    """Features of audio, video and text.

    Args:
        audio: features of sound.
        video: features of pictures.
        text: features of words.

    Example:
        >>> from data_tools.raw.registry import open_raw
        >>> dataset = open_raw("synthetic")
        >>> clips = dataset.plan({"train": 2}, seed=0)
        >>> extractors = Extractors(AudioFeatures(8000), VideoFeatures(8), TextFeatures(dim=16))
        >>> arrays = extractors.fit(dataset, clips).encode(dataset, clips)
        >>> {name: array.shape[1:] for name, array in arrays.items()}
        {'audio': (10, 128), 'video': (10, 7, 7, 8), 'text': (10, 16), 'labels': (10, 11)}
    """

    audio: AudioFeatures
    video: VideoFeatures
    text: TextFeatures

    def fit(self, dataset: RawDataset, clips: Sequence[Clip]) -> Extractors:
        """Fits audio and video features to clips of the training split."""
        self.audio.fit(np.stack([dataset.waveform(clip) for clip in clips]))
        self.video.fit(np.concatenate([_distinct(dataset.frames(clip))[0] for clip in clips]))
        return self

    def encode(self, dataset: RawDataset, clips: Sequence[Clip]) -> dict[str, np.ndarray]:
        """Features and labels of clips, float32: `audio` (clips, 10, 128), `video` (clips, 10, 7,
        7, channels), `text` (clips, tokens, dim), `labels` (clips, 10, classes + 1)."""
        num_columns = len(dataset.categories) + 1
        return {
            "audio": self.audio(np.stack([dataset.waveform(clip) for clip in clips])),
            "video": np.stack([self._video(dataset.frames(clip)) for clip in clips]),
            "text": self.text([clip.caption for clip in clips]),
            "labels": np.stack([_labels(clip, num_columns) for clip in clips]),
        }

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the fitted state into a NumPy archive."""
        state: dict[str, Any] = {
            "sample_rate": self.audio.sample_rate,
            "num_tokens": self.text.num_tokens,
            "text_dim": self.text.dim,
        }
        state |= {f"audio_{name}": value for name, value in self.audio.state().items()}
        state |= {f"video_{name}": value for name, value in self.video.state().items()}
        np.savez(path, **state)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Extractors:
        """Restores what `save` wrote.

        Args:
            path: the NumPy archive, `extractors.npz` of a feature folder.

        Returns:
            The extractors.

        Raises:
            FileNotFoundError: if there is no such file.
            ValueError: if it is damaged, or lacks an array.
        """
        state = read_arrays(path)
        with reading(path, "hold the statistics of features"):
            audio = AudioFeatures(int(state["sample_rate"]))
            video = VideoFeatures()
            for extractor, prefix in ((audio, "audio_"), (video, "video_")):
                names = [name for name in state if name.startswith(prefix)]
                extractor.load_state({name.removeprefix(prefix): state[name] for name in names})
            text = TextFeatures(int(state["text_dim"]), int(state["num_tokens"]))
        return cls(audio, video, text)

    def _video(self, frames: np.ndarray) -> np.ndarray:
        distinct, which = _distinct(frames)
        return self.video(distinct)[which]


def _distinct(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct frames of a clip, and the index of the frame of each segment."""
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(frame.tobytes(), len(numbers)) for frame in frames]
    first = [which.index(number) for number in range(len(numbers))]
    return frames[first], np.array(which)


def _labels(clip: Clip, num_columns: int) -> np.ndarray:
    labels = np.zeros((NUM_SEGMENTS, num_columns), np.float32)
    labels[:, -1] = 1
    labels[clip.start : clip.end] = 0
    labels[clip.start : clip.end, clip.category] = 1
    return labels
