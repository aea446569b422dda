"""MNIST: handwritten digits as images, for the VQVAE."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue
from data_tools.published.sources import Source, WeakLabelSource
from data_tools.raw import digits_sources
from data_tools.raw.digits import VAL_IMAGES, WORDS

FILES = {"train": "train-{}-ubyte.gz", "test": "t10k-{}-ubyte.gz"}


class PixelSource(Source):
    """Reads grey images of one byte per pixel.

    Args:
        images: (images, height, width) uint8, addressed by `row`.
    """

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        self.shape = (*images.shape[1:], 1)

    def read(self, example: Example) -> np.ndarray:
        return self.images[example.row, ..., None].astype(np.float32) / 255


class MNIST(PublishedDataset):
    """MNIST: the published training and test images; the last 10,000 training images are val.

    Labels are those of whole images: (batch, 10).

    Args:
        root: folder with the four gzipped files in it or in `digits`.
        options: arguments of `PublishedDataset`.

    Example:
        >>> import gzip, tempfile
        >>> image = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 0, 51, 102, 255])
        >>> label = bytes([0, 0, 8, 1, 0, 0, 0, 1, 7])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in FILES.values():
        ...         images = Path(folder, name.format("images-idx3"))
        ...         _ = images.write_bytes(gzip.compress(image))
        ...         labels = Path(folder, name.format("labels-idx1"))
        ...         _ = labels.write_bytes(gzip.compress(label))
        ...     dataset = MNIST(folder)
        ...     dataset.source("image", "test").read(dataset.examples("test")[0])[..., 0]
        array([[0. , 0.2],
               [0.4, 1. ]], dtype=float32)

    References:
        LeCun, Cortes, Burges, "The MNIST database of handwritten digits", 1998.
    """

    name = "mnist"
    modalities = ("image",)
    folders = ("", "digits")

    @property
    def categories(self) -> tuple[str, ...]:
        return WORDS

    def annotation_files(self) -> tuple[str, ...]:
        return tuple(
            name.format(kind) for name in FILES.values() for kind in ("images-idx3", "labels-idx1")
        )

    @functools.cached_property
    def _arrays(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Reads images and labels of both parts."""
        return {
            part: (
                digits_sources.read_idx(self.find(name.format("images-idx3")))[0],
                digits_sources.read_idx(self.find(name.format("labels-idx1")))[0],
            )
            for part, name in FILES.items()
        }

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        parts = {}
        for part, (images, labels) in self._arrays.items():
            if len(labels) != len(images) or images.ndim != 3 or labels.max(initial=0) > 9:
                raise ValueError(
                    f"{FILES[part].format('*')} must hold an image for each label from 0 to 9. "
                    f"Received {images.shape} and {labels.shape}"
                )
            parts[part] = [
                Example(f"{part}:{row}", f"{part}:{row}", f"{part}:{row}", span, row=row)
                for row, span in enumerate(((int(label), 0, NUM_SEGMENTS),) for label in labels)
            ]
        train = parts["train"]
        first_val = max(len(train) - VAL_IMAGES, len(train) // 2)
        splits = {"train": train[:first_val], "val": train[first_val:], "test": parts["test"]}
        return {split: examples for split, examples in splits.items() if examples}, []

    def source(self, modality: str, split: str) -> Source:
        check_choice("modalities", modality, self.modalities)
        return PixelSource(self._arrays["test" if split == "test" else "train"][0])

    def feature_folder(self, modality: str, split: str) -> Path:
        return self.find(FILES["test" if split == "test" else "train"].format("images-idx3"))

    def labels(self, split: str, kind: str = "segment") -> Source:
        check_choice("labels", kind, ("segment", "weak"))
        return WeakLabelSource(len(WORDS))
