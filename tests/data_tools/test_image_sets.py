"""Single images: their splits, classes and sizes, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_tools.raw import image_sets

COUNTS = {"train": 30, "val": 10, "test": 10}


def test_rendered_images_have_every_class_and_repeat() -> None:
    first = image_sets.load_images("synthetic", COUNTS)
    assert {split: x.shape for split, x in first.pixels.items()} == {
        "train": (30, 56, 56, 3),
        "val": (10, 56, 56, 3),
        "test": (10, 56, 56, 3),
    }
    assert first.labels is not None
    assert np.bincount(first.labels["train"]).tolist() == [3] * 10
    again = image_sets.load_images("synthetic", COUNTS)
    assert again.checksums == first.checksums
    assert image_sets.load_images("synthetic", COUNTS, seed=1).checksums != first.checksums
    everything = [x.tobytes() for split in first.pixels.values() for x in split]
    assert len(set(everything)) == 50


@pytest.mark.parametrize(("total", "imbalance"), [(7, 1.0), (1000, 100.0), (53, 3.5)])
def test_class_counts_fall_geometrically(total: int, imbalance: float) -> None:
    counts = image_sets.class_counts(total, 10, imbalance)
    assert counts.sum() == total and (np.diff(counts) <= 0).all()
    exact = total * imbalance ** -(np.arange(10) / 9) / (imbalance ** -(np.arange(10) / 9)).sum()
    assert np.abs(counts - exact).max() < 1


def test_imbalance_reaches_every_split() -> None:
    found = image_sets.load_images("synthetic", {"train": 60, "test": 60}, imbalance=20)
    assert found.labels is not None
    for labels in found.labels.values():
        counts = np.bincount(labels, minlength=10)
        assert counts.tolist() == image_sets.class_counts(60, 10, 20).tolist()


def test_digits_come_from_their_own_parts(digits_root: Path) -> None:
    found = image_sets.load_images("digits", COUNTS, digits_root, imbalance=3)
    assert found.pixels["val"].shape == (10, 28, 28, 1)
    assert found.labels is not None
    counts = image_sets.class_counts(30, 10, 3)
    assert np.bincount(found.labels["train"]).tolist() == counts.tolist()
    assert len(found.checksums) == 4
    # A one is narrower than a zero, so labels go with their images.
    ink = [found.pixels["train"][found.labels["train"] == digit].mean() for digit in (0, 1)]
    assert ink[0] > ink[1]


def save(folder: Path, count: int) -> Path:
    for i in range(count):
        picture = Image.new("RGB", (40, 30), (10 * i, 0, 0))
        picture.putpixel((0, 0), (255, 255, 255))  # Outside the middle square.
        (folder / str(i % 2)).mkdir(exist_ok=True)
        picture.save(folder / str(i % 2) / f"{i}.png")
    return folder


def test_pictures_of_a_folder_are_cut_scaled_and_split(tmp_path: Path) -> None:
    found = image_sets.load_images("folder", {"train": 8, "test": 4}, save(tmp_path, 12), side=16)
    assert found.labels is None
    shades = {split: x[:, 0, 0, 0].tolist() for split, x in found.pixels.items()}
    assert sorted(shades["train"] + shades["test"]) == [10 * i for i in range(12)]
    assert all((x == x[:, :1, :1]).all() for x in found.pixels.values())


def test_what_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path, 3)
    with pytest.raises(ValueError, match=r"at least 5 pictures .* holds 3"):
        image_sets.load_images("folder", {"train": 5}, folder)
    with pytest.raises(FileNotFoundError, match="must be a folder of pictures"):
        image_sets.load_images("folder", {"train": 5}, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="`imbalance` needs classes"):
        image_sets.load_images("folder", {"train": 3}, folder, imbalance=2)
    with pytest.raises(ValueError, match="`imbalance` must be at least 1"):
        image_sets.load_images("synthetic", {"train": 3}, imbalance=0.5)
    with pytest.raises(FileNotFoundError, match="lacks"):
        image_sets.load_images("digits", {"train": 3}, tmp_path)
    (tmp_path / "0" / "0.png").write_bytes(b"half a picture")
    with pytest.raises(ValueError, match=r"0.png must be a whole picture"):
        image_sets.load_images("folder", {"train": 3}, folder)
