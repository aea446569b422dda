"""Video extractors: a dictionary of patches, which needs no weights, and VGG19."""

from __future__ import annotations

import abc
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import (
    DecodeError,
    decode_folder,
    decode_picture,
    decode_video,
)
from data_tools.decoding.signatures import PICTURES
from data_tools.extraction.extractor import Extractor, source_of
from data_tools.features import VideoFeatures
from data_tools.io.files import sha256_file
from data_tools.store import Field

GRID = 7


class FrameExtractor(Extractor):
    """Base class of extractors of feature maps, averaged over the frames of each second.

    Args:
        segments: seconds of a clip.
        frames_per_segment: frames taken from each second, at equal distances.
        frame_rate: frame rate of folders of frames, per second; spread over the clip if None.
        side: pixels of a side of the square to which frames are stretched.

    Raises:
        ValueError: if an argument is out of its range.
    """

    def __init__(
        self,
        segments: int,
        frames_per_segment: int,
        frame_rate: float | None,
        side: int,
    ) -> None:
        if frames_per_segment < 1:
            raise ValueError(
                f"`frames_per_segment` must be at least 1. Received: {frames_per_segment}"
            )
        if frame_rate is not None and not frame_rate > 0:
            raise ValueError(f"`frame_rate` must be above 0. Received: {frame_rate}")
        self.segments, self.frames_per_segment = segments, frames_per_segment
        self.frame_rate, self.side = frame_rate, side

    def decode(self, root: Path, clip: Mapping[str, Any]) -> np.ndarray:
        path = source_of(root, clip, "video")
        count = self.segments * self.frames_per_segment
        times = [(number + 0.5) / self.frames_per_segment for number in range(count)]
        if path.is_dir():
            return decode_folder(path, self.side, times, self.segments, self.frame_rate)
        if path.suffix.lower() in PICTURES:
            return decode_picture(path, self.side)[None]
        try:
            return decode_video(path, self.side, times)
        except MemoryError as error:
            raise DecodeError("needs more memory than there is") from error

    @abc.abstractmethod
    def maps(self, frames: np.ndarray) -> np.ndarray:
        """Computes maps: (n, side, side, 3) uint8 to (n, 7, 7, channels)."""

    def __call__(self, signal: np.ndarray) -> np.ndarray:
        # Repeated frames are encoded once.
        distinct, which = distinct_frames(signal)
        maps = self.maps(distinct)[which]
        if len(maps) == 1:
            return np.repeat(maps, self.segments, axis=0)
        grouped = maps.reshape(self.segments, self.frames_per_segment, *maps.shape[1:])
        return grouped.mean(axis=1)


def distinct_frames(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the different frames, and which of them each frame is.

    `numpy.unique` along an axis makes a record of all pixels, which takes almost a second.

    Args:
        frames: (n, ...).

    Returns:
        The different frames in the order of their first appearance, and (n,) int positions among
        them.

    Example:
        >>> distinct, which = distinct_frames(np.array([[3, 3], [1, 1], [3, 3]]))
        >>> distinct.tolist(), which.tolist()
        ([[3, 3], [1, 1]], [0, 1, 0])
    """
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(frame.tobytes(), len(numbers)) for frame in frames]
    first = [which.index(number) for number in range(len(numbers))]
    return frames[first], np.array(which)


class Patches(FrameExtractor):
    """Computes maps of a dictionary of patches fitted to training clips; needs no download.

    Args:
        segments: seconds of a clip.
        channels: channels of the map.
        frames_per_segment: frames taken from each second.
        frame_rate: frame rate of folders of frames; spread over the clip if None.
        seed: seed of the dictionary.

    Example:
        >>> extractor = Patches(segments=2, channels=8)
        >>> frames = np.random.default_rng(0).integers(0, 256, (2, 56, 56, 3), np.uint8)
        >>> extractor.fit([frames])
        >>> extractor(frames).shape
        (2, 7, 7, 8)
    """

    needs_fit = True

    def __init__(
        self,
        segments: int = 10,
        channels: int = 64,
        frames_per_segment: int = 1,
        frame_rate: float | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(segments, frames_per_segment, frame_rate, side=56)
        self.features = VideoFeatures(channels, seed)

    @property
    def field(self) -> Field:
        return Field((self.segments, GRID, GRID, self.features.channels))

    def maps(self, frames: np.ndarray) -> np.ndarray:
        return self.features(frames)

    def fit(self, signals: Sequence[np.ndarray]) -> None:
        self.features.fit(np.concatenate(signals))

    def state(self) -> dict[str, np.ndarray]:
        return self.features.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.features.load_state(state)


class VGG19(FrameExtractor):
    """Computes the last pooled map of VGG19 (7 x 7 x 512), as the published features of AVE.

    Args:
        segments: seconds of a clip.
        weights: "imagenet" (downloaded by Keras), a `.weights.h5` file of `keras.applications`
            without its top, or "random" for a test without any.
        frames_per_segment: frames taken from each second and averaged; 16 as published.
        frame_rate: frame rate of folders of frames; spread over the clip if None.

    Raises:
        FileNotFoundError: if the weights cannot be downloaded.
        ValueError: if the weights are of another model.

    References:
        Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
        recognition", ICLR 2015; Tian et al., "Audio-visual event localization in unconstrained
        videos", ECCV 2018, for the use of it.
    """

    def __init__(
        self,
        segments: int = 10,
        weights: str = "imagenet",
        frames_per_segment: int = 1,
        frame_rate: float | None = None,
    ) -> None:
        import keras

        super().__init__(segments, frames_per_segment, frame_rate, side=224)
        self.weights = weights
        if weights == "random":
            keras.utils.set_random_seed(0)
        elif weights != "imagenet" and not os.path.isfile(weights):
            raise FileNotFoundError(f"`weights` must name a file; {weights} does not exist")
        try:
            self.model = keras.applications.VGG19(
                include_top=False,
                weights=None if weights == "random" else weights,
                input_shape=(self.side, self.side, 3),
            )
        except ValueError as error:
            raise ValueError(f"{weights} must hold the weights of VGG19: {error}") from error
        except Exception as error:
            if weights != "imagenet":
                raise
            raise FileNotFoundError(
                "the weights of VGG19 could not be downloaded; get them by other means and give "
                f"their path: {error}"
            ) from error

    @property
    def field(self) -> Field:
        return Field((self.segments, GRID, GRID, 512))

    def maps(self, frames: np.ndarray) -> np.ndarray:
        from keras import applications, ops

        parts = []
        for start in range(0, len(frames), 16):
            pixels = frames[start : start + 16].astype(np.float32)
            pixels = applications.vgg19.preprocess_input(pixels, data_format="channels_last")
            parts.append(ops.convert_to_numpy(self.model(pixels, training=False)))
        return np.concatenate(parts)

    def sources(self) -> dict[str, str]:
        return {"weights": sha256_file(self.weights)} if os.path.isfile(self.weights) else {}
