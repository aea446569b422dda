"""Verification: whole folders pass, each kind of damage is found."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import data_tools
from data_tools.io.files import sha256_file


def resign(folder: Path) -> None:
    """Bring the checksums up to date, so that the other checks have to find the fault."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"] = {name: sha256_file(folder / name) for name in manifest["files"]}
    path.write_text(json.dumps(manifest))


def test_whole_folder_passes(prepared: Path) -> None:
    lines = data_tools.verify(prepared)
    assert lines[0] == "checksums: 12 files as written"
    assert "video: (21, 10, 7, 7, 16) finite numbers" in lines
    assert (
        lines[-1] == "splits: train 12, val 4, test 5, no clip and no raw material in two of them"
    )


def test_changed_and_missing_files_are_found(copied: Path) -> None:
    (copied / "captions.txt").write_text("changed")
    with pytest.raises(ValueError, match=r"captions\.txt must have sha256"):
        data_tools.verify(copied)
    (copied / "captions.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"captions\.txt must exist"):
        data_tools.verify(copied)


def test_labels_that_contradict_themselves_are_found(copied: Path) -> None:
    with h5py.File(copied / "labels.h5", "r+") as file:
        file["avadataset"][6] = 1
    resign(copied)
    with pytest.raises(ValueError, match="either events or background; row 6 does not"):
        data_tools.verify(copied)


def test_unfinite_features_are_found(copied: Path) -> None:
    with h5py.File(copied / "visual_feature.h5", "r+") as file:
        file["avadataset"][20, 0, 0, 0, 0] = np.inf
    resign(copied)
    with pytest.raises(ValueError, match=r"visual_feature\.h5 must hold finite numbers.* row 20"):
        data_tools.verify(copied)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([11, 12, 13, 14, 15], "is in 'train' and in 'val'"),
        ([12, 13, 14], "each of the 21 clips once"),
        ([12, 13, 14, 14], "each of the 21 clips once"),
    ],
    ids=["shared", "missing", "twice"],
)
def test_splits_that_are_no_partition_are_found(
    copied: Path, rows: list[int], message: str
) -> None:
    with h5py.File(copied / "val_order.h5", "w") as file:
        file["order"] = rows
    resign(copied)
    with pytest.raises(ValueError, match=message):
        data_tools.verify(copied)


def test_shared_raw_material_is_found(copied: Path) -> None:
    lines = (copied / "clips.jsonl").read_text().splitlines()
    for row in (0, 20):
        clip = json.loads(lines[row])
        lines[row] = json.dumps({**clip, "sources": {"images": ["train:7"]}})
    (copied / "clips.jsonl").write_text("\n".join(lines) + "\n")
    resign(copied)
    with pytest.raises(ValueError, match="images train:7 is in 'train' and in 'test'"):
        data_tools.verify(copied)
