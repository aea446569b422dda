"""Data sets of single images: rendered shapes, MNIST, or a folder of pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_tools.decoding.pictures import decode_picture
from data_tools.decoding.signatures import PICTURES, DecodeError
from data_tools.io.arguments import check_choice
from data_tools.io.constants import SPLITS
from data_tools.raw import digits_sources as raw
from data_tools.raw.digits import VAL_IMAGES, WORDS
from data_tools.raw.synthetic import Synthetic

SOURCES = ("synthetic", "digits", "folder")


class Images(NamedTuple):
    """Images by split, with their labels and checksums."""

    pixels: dict[str, np.ndarray]
    """Split to (images, height, width, channels) uint8."""
    labels: dict[str, np.ndarray] | None
    """Split to (images,) int classes, where there are classes."""
    categories: tuple[str, ...]
    checksums: dict[str, str]
    """Of what they were read from; of the pixels where they were drawn."""


def load_images(
    source: str,
    num_images: Mapping[str, int],
    root: str | Path | None = None,
    seed: int = 0,
    side: int = 64,
    imbalance: float = 1.0,
) -> Images:
    """Loads images of a source into splits without common images.

    Args:
        source: "synthetic", one picture of each clip of the synthetic data; "digits", MNIST, test
            from its test set; "folder", all pictures of a folder, shuffled, such as CelebA-HQ.
        num_images: split to number of images at most.
        root: for "digits" the folder of the four MNIST files, downloaded if None; for "folder" the
            folder, with its subfolders.
        seed: seed of the choice of images.
        side: height and width of the pictures of a folder: the middle square is scaled to it.
        imbalance: how many times more images the first class has than the last; between them the
            numbers fall geometrically. 1 for equal shares. In every split.

    Returns:
        The images.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if an argument is wrong, a file damaged, or there are too few images.

    Example:

    >>> images = load_images("synthetic", {"train": 4, "test": 2})
    >>> images.pixels["train"].shape, len(images.labels["test"])
    ((4, 56, 56, 3), 2)
    """
    check_choice("source", source, SOURCES)
    if not imbalance >= 1:
        raise ValueError(f"`imbalance` must be at least 1. Received: {imbalance}")
    if source == "folder":
        if imbalance != 1:
            raise ValueError("`imbalance` needs classes, which a folder of pictures has not")
        return _folder(root, num_images, seed, side)
    if source == "digits":
        return _digits(root, num_images, seed, imbalance)
    return _synthetic(num_images, seed, imbalance)


def class_counts(total: int, num_classes: int, imbalance: float) -> np.ndarray:
    """Computes numbers of images per class that fall geometrically from the first to the last.

    Args:
        total: total of all classes.
        num_classes: how many.
        imbalance: ratio of the first and the last.

    Returns:
        (num_classes,) int, of sum `total`.

    Example:

    >>> class_counts(70, 3, 4.0).tolist(), class_counts(7, 3, 1.0).tolist()
    ([40, 20, 10], [3, 2, 2])
    """
    shares = imbalance ** -(np.arange(num_classes) / max(num_classes - 1, 1))
    exact = total * shares / shares.sum()
    counts = np.floor(exact + 1e-9).astype(int)
    # The remainder goes to the classes with the largest fractions, the first of equals.
    for place in np.argsort(counts - exact, kind="stable")[: total - counts.sum()]:
        counts[place] += 1
    return counts


def _synthetic(num_images: Mapping[str, int], seed: int, imbalance: float) -> Images:
    dataset = Synthetic()
    pixels, labels = {}, {}
    for split, total in num_images.items():
        counts = class_counts(total, len(dataset.categories), imbalance)
        # Classes have equal shares: the plan must be long enough for the largest class.
        plan = dataset.plan({split: int(counts.max()) * len(counts)}, seed)
        left, chosen = counts.copy(), []
        for clip in plan:
            if left[clip.category]:
                left[clip.category] -= 1
                chosen.append(clip)
        middle = [(clip.start + clip.end) // 2 for clip in chosen]
        pixels[split] = np.stack(
            [dataset.frames(clip)[second] for clip, second in zip(chosen, middle, strict=True)]
        )
        labels[split] = np.array([clip.category for clip in chosen])
    sums = {split: hashlib.sha256(x.tobytes()).hexdigest() for split, x in pixels.items()}
    return Images(pixels, labels, dataset.categories, sums)


def _digits(
    root: str | Path | None, num_images: Mapping[str, int], seed: int, imbalance: float
) -> Images:
    names = [name for name in raw.SHA256 if name != raw.FSDD]
    folder = Path(root) if root is not None else raw.find(None)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(f"`root` must be a folder with {names}; {folder} lacks {missing}")
    arrays = {}
    for name in names:
        arrays[name], digest = raw.read_idx(folder / name)
        raw.require(folder / name, digest)
    pixels, labels = {}, {}
    for split, total in num_images.items():
        part = "t10k" if split == "test" else "train"
        images = arrays[f"{part}-images-idx3-ubyte.gz"]
        classes = arrays[f"{part}-labels-idx1-ubyte.gz"]
        first_val = len(images) - VAL_IMAGES
        rows = np.arange(len(images))
        if split != "test":
            rows = rows[first_val:] if split == "val" else rows[:first_val]
        rng = np.random.default_rng([seed, SPLITS.index(split)])
        counts = class_counts(total, len(WORDS), imbalance)
        chosen = []
        for digit, count in enumerate(counts):
            members = rows[classes[rows] == digit]
            if len(members) < count:
                raise ValueError(
                    f"split {split!r} must have {count} images of digit {digit}. "
                    f"Received: {len(members)}"
                )
            chosen.append(rng.choice(members, count, replace=False))
        order = rng.permutation(np.concatenate(chosen))
        pixels[split], labels[split] = images[order][..., None], classes[order].astype(int)
    return Images(pixels, labels, WORDS, {name: raw.SHA256[name] for name in names})


def _folder(root: str | Path | None, num_images: Mapping[str, int], seed: int, side: int) -> Images:
    if root is None or not Path(root).is_dir():
        raise FileNotFoundError(f"`root` must be a folder of pictures. Received: {root}")
    paths = sorted(path for path in Path(root).rglob("*") if path.suffix.lower() in PICTURES)
    needed = sum(num_images.values())
    if len(paths) < needed:
        raise ValueError(
            f"`root` must hold at least {needed} pictures ({', '.join(PICTURES)}); {root} holds "
            f"{len(paths)}"
        )
    order = np.random.default_rng(seed).permutation(len(paths))
    pixels, digest, start = {}, hashlib.sha256(), 0
    for split, total in num_images.items():
        chosen = [paths[place] for place in order[start : start + total]]
        pixels[split] = np.stack([_read(path, side) for path in chosen])
        digest.update(pixels[split].tobytes())
        start += total
    return Images(pixels, None, (), {f"{needed} pictures at {side} x {side}": digest.hexdigest()})


def _read(path: Path, side: int) -> np.ndarray:
    try:
        return decode_picture(path, side, crop=True)
    except DecodeError as error:
        raise ValueError(f"{path} must be a whole picture; it {error}") from error
