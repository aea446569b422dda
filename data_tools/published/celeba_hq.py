"""CelebA-HQ, or any folder of pictures, for the VQVAE."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding.pictures import decode_picture
from data_tools.decoding.signatures import PICTURES, DecodeError
from data_tools.io.arguments import check_choice
from data_tools.io.constants import SPLITS
from data_tools.published.annotations import hash_split
from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue
from data_tools.published.sources import Source

VAL, TEST = 0.05, 0.05


class ImageSource(Source):
    """Reads pictures of a folder, cut to the middle square and resized.

    Args:
        folder: folder of the pictures.
        size: height and width in pixels.

    Raises:
        ValueError: if the size is less than 1.
    """

    def __init__(self, folder: Path, size: int) -> None:
        if size < 1:
            raise ValueError(f"`size` must be at least 1. Received: {size}")
        self.folder = folder
        self.shape = (size, size, 3)

    def read(self, example: Example) -> np.ndarray:
        path = self.folder / example.id
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist")
        try:
            return decode_picture(path, self.shape[0], crop=True).astype(np.float32) / 255
        except DecodeError as error:
            raise ValueError(f"{path} must be a whole picture; it {error}") from error

    def files(self, example: Example) -> str:
        path = self.folder / example.id
        return "" if path.is_file() else f"{path} does not exist"


class CelebAHQ(PublishedDataset):
    """CelebA-HQ: pictures cropped to a square, divided 90 : 5 : 5 by a hash of the name.

    Args:
        root: folder with the pictures in it or in `CelebA-HQ-img` or `images`.
        size: height and width of the images in pixels.
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist, or holds no pictures.
        ValueError: if an option is wrong.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("RGB", (8, 8)).save(folder + "/1.png")
        ...     dataset = CelebAHQ(folder, size=4, protocol="reference")
        ...     dataset.source("image", "train").shape
        (4, 4, 3)

    References:
        Karras et al., "Progressive growing of GANs", ICLR 2018.
    """

    name = "celeba_hq"
    modalities = ("image",)
    folders = ("CelebA-HQ-img", "images", "celeba_hq", "")

    def __init__(self, root: str | os.PathLike[str], size: int = 64, **options: Any) -> None:
        super().__init__(root, **options)
        if size < 1:
            raise ValueError(f"`size` must be at least 1. Received: {size}")
        self.size = size

    @property
    def categories(self) -> tuple[str, ...]:
        return ()

    def feature_folder(self, modality: str, split: str) -> Path:
        return next(self.root / name for name in self.folders if (self.root / name).is_dir())

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        folder = self.feature_folder("image", "train")
        names = sorted(
            entry.name
            for entry in os.scandir(folder)
            if Path(entry.name).suffix.lower() in PICTURES and entry.is_file()
        )
        if not names:
            raise FileNotFoundError(f"{folder} must hold pictures ({', '.join(PICTURES)})")
        examples = [Example(name, name, name) for name in names]
        if self.protocol == "reference":
            return {"train": examples, "test": examples}, []
        splits: dict[str, list[Example]] = {split: [] for split in SPLITS}
        for example in examples:
            splits[hash_split(example.id, VAL, TEST)].append(example)
        return {split: chosen for split, chosen in splits.items() if chosen}, []

    def source(self, modality: str, split: str) -> Source:
        check_choice("modalities", modality, self.modalities)
        return ImageSource(self.feature_folder(modality, split), self.size)
