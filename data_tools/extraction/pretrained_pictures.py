"""Extractors of pictures by pretrained networks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from data_tools.extraction.pretrained import PretrainedExtractor
from data_tools.extraction.video import FrameExtractor, distinct_frames
from data_tools.store import Field

NORMALIZATIONS: dict[str, tuple[Any, Any]] = {
    "none": (0.0, 1.0),
    "unit": (0.0, 255.0),
    "signed": (127.5, 127.5),
    "imagenet": ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    "clip": ((122.7709383, 116.7460125, 104.0937362), (68.5005327, 66.6321579, 70.3231634)),
}
"""Mean and standard deviation of the red, green and blue values from 0 to 255, by name."""
LAYOUTS = ("channels_first", "channels_last")


class PictureModel(FrameExtractor, PretrainedExtractor):
    """Feature maps of frames by a network, averaged over the frames of each second.

    Vectors `(n, dim)` become maps of 1 x 1. Sequences `(n, tokens, dim)`, as vision transformers
    return, become square maps, without a first token that stands for the whole picture.

    Args:
        segments: seconds of a clip.
        model: model file; `MODEL.json` beside it may hold any of the settings that follow.
        output: name of the tensor to return, an internal one too; the first output if None.
        side: pixels of a side; that of the model's input if None.
        normalization: "none", "unit" (0 to 1), "signed" (-1 to 1), "imagenet" or "clip".
        mean: what is subtracted from values of 0 to 255, a number or one per channel, instead.
        std: by what they are then divided.
        layout: "channels_first" or "channels_last", of input and output; by the shape of the input
            if None.
        frames_per_segment: frames taken from each second.
        frame_rate: of folders of frames; spread over the clip if None.
        reduce: principal components to keep, learned from training clips; all channels if None.
        whiten: whether each component gets variance 1.
        dtype: "float16" or "float32", precision of the stored features.
        batch_size: frames per call of the model.

    Raises:
        FileNotFoundError: if the model does not exist.
        ImportError: if the runtime is not installed.
        ValueError: if a setting is missing or wrong, or the model does not take pictures.
    """

    def __init__(
        self,
        segments: int = 10,
        model: str | None = None,
        output: str | None = None,
        side: int | None = None,
        normalization: str | None = None,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        layout: str | None = None,
        frames_per_segment: int = 1,
        frame_rate: float | None = None,
        reduce: int | None = None,
        whiten: bool = False,
        dtype: str = "float16",
        batch_size: int = 16,
    ) -> None:
        given = {
            "output": output,
            "side": side,
            "normalization": normalization,
            "mean": mean,
            "std": std,
            "layout": layout,
        }
        PretrainedExtractor.__init__(self, model, given, reduce, whiten, dtype)
        self.layout = self._layout()
        shape = self.network.input_shape
        sides = shape[2:] if self.layout == "channels_first" else shape[1:3]
        side = self.settings.get("side", sides[0])
        if side is None:
            raise ValueError("`side` must be given: the model takes pictures of any size")
        if any(size not in (None, side) for size in sides):
            raise ValueError(f"`side` must be that of the model's input, {sides}. Received: {side}")
        FrameExtractor.__init__(self, segments, frames_per_segment, frame_rate, int(side))
        self.batch_size = batch_size
        self.mean, self.std = self._normalization()
        blank = np.zeros((1, self.side, self.side, 3), np.uint8)
        self.shape = self.raw_maps(blank).shape[1:]

    def _layout(self) -> str:
        shape = self.network.input_shape
        if len(shape) != 4 or 3 not in (shape[1], shape[3]):
            raise ValueError(f"the model must take RGB pictures; its input has the shape {shape}")
        layout = self.settings.get("layout", LAYOUTS[0] if shape[1] == 3 else LAYOUTS[1])
        if layout not in LAYOUTS:
            raise ValueError(f"`layout` must be one of {LAYOUTS}. Received: {layout!r}")
        return layout

    def _normalization(self) -> tuple[np.ndarray, np.ndarray]:
        name = self.settings.get("normalization")
        if name is None and not {"mean", "std"} <= set(self.settings):
            raise ValueError(
                f"`normalization` must be one of {sorted(NORMALIZATIONS)}, or `mean` and `std` be "
                "given, as options or in the JSON file beside the model"
            )
        if name is not None and name not in NORMALIZATIONS:
            raise ValueError(
                f"`normalization` must be one of {sorted(NORMALIZATIONS)}. Received: {name!r}"
            )
        mean, std = NORMALIZATIONS[name or "none"]
        mean, std = self.settings.get("mean", mean), self.settings.get("std", std)
        return np.asarray(mean, np.float32), np.asarray(std, np.float32)

    @property
    def field(self) -> Field:
        return Field((self.segments, *self.reduced_shape(self.shape)), self.dtype)

    def raw_maps(self, frames: np.ndarray) -> np.ndarray:
        """(n, side, side, 3) uint8 to unreduced maps (n, height, width, channels) float32."""
        pixels = frames
        if self.network.input_dtype.kind == "f":
            pixels = (frames.astype(np.float32) - self.mean) / self.std
        if self.layout == "channels_first":
            pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
        maps = self.network(pixels, self.batch_size)
        if maps.ndim == 4:
            return maps.transpose(0, 2, 3, 1) if self.layout == "channels_first" else maps
        if maps.ndim == 2:
            return maps[:, None, None]
        count = maps.shape[1] if maps.ndim == 3 else 0
        for tokens in (count, count - 1):
            grid = math.isqrt(max(tokens, 0))
            if tokens > 0 and grid * grid == tokens:
                return maps[:, count - tokens :].reshape(len(maps), grid, grid, -1)
        raise ValueError(
            f"the output must be maps, vectors or a square of tokens. Received: {maps.shape}"
        )

    def maps(self, frames: np.ndarray) -> np.ndarray:
        return self.reduced(self.raw_maps(frames))

    def fit(self, signals: Sequence[np.ndarray]) -> None:
        self.fit_reduction(self.raw_maps(distinct_frames(signal)[0]) for signal in signals)


class ONNXPictures(PictureModel):
    """`PictureModel` of an ONNX file."""

    runtime = "onnx"


class LiteRTPictures(PictureModel):
    """`PictureModel` of a `.tflite` file."""

    runtime = "litert"


class KerasPictures(PictureModel):
    """`PictureModel` of a Keras model, such as `keras.applications.EfficientNetV2B0`."""

    runtime = "keras"


class EfficientNetLite0(PictureModel):
    """The last map of EfficientNet-Lite0 (7 x 7 x 1,280); the ONNX file.

    Args:
        segments: seconds of a clip.
        model: `efficientnet_lite0.onnx`; that of the folder `models` of the download cache if None.
        options: of `PictureModel`.

    References:
        Tan and Le, "EfficientNet: rethinking model scaling for convolutional neural networks", ICML
        2019; its Lite variants were released by Google in 2020.
    """

    runtime = "onnx"
    file = "efficientnet_lite0.onnx"
    defaults: Mapping[str, Any] = {"output": "map", "side": 224, "mean": 127.0, "std": 128.0}
