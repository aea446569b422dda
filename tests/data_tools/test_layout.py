"""Reading feature folders, also published ones; every fault of a file is named."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

import data_tools


def rewrite(path: Path, values: np.ndarray, key: str = "avadataset") -> None:
    with h5py.File(path, "w") as file:
        file[key] = values


def test_folder_with_published_files_alone_can_be_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    audio = rng.normal(size=(5, 10, 128))
    rewrite(tmp_path / "audio_feature.h5", audio)
    rewrite(tmp_path / "labels.h5", np.zeros((5, 10, 3)))
    rewrite(tmp_path / "val_order.h5", np.array([4, 2]), "order")
    (tmp_path / "Annotations.txt").write_text("Cat&a&good&0&9\nDog&b&good&0&9\nCat&c&good&1&2\n")
    arrays = data_tools.load(tmp_path, "val", ("audio",), format="numpy")
    np.testing.assert_array_equal(arrays["audio"], audio[[4, 2]].astype(np.float32))
    assert data_tools.FeatureFolder(tmp_path).categories == ["Cat", "Dog"]


def test_folder_travels_to_another_process(prepared: Path) -> None:
    folder = data_tools.FeatureFolder(prepared)
    rows = np.array([3, 0, 3])
    values = folder.read("audio", rows)
    again = pickle.loads(pickle.dumps(folder))
    np.testing.assert_array_equal(again.read("audio", rows), values)
    folder.close()
    again.close()


def test_missing_things_are_named(copied: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`root` must be a folder of feature files"):
        data_tools.load(tmp_path / "nowhere")
    (copied / "visual_feature.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold visual_feature\.h5"):
        data_tools.load(copied, format="numpy")
    assert "audio" in data_tools.load(copied, "train", ("audio",), format="numpy")
    (copied / "val_order.h5").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold val_order\.h5"):
        data_tools.load(copied, "val", ("audio",), format="numpy")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.array([0, 21]), "row numbers from 0 to 20. Received: 0 to 21"),
        (np.array([-1, 3]), "Received: -1 to 3"),
        (np.array([], np.int64), "at least one row number"),
        (np.array([0.5]), "at least one row number. Received: float64"),
        (np.array([[1]]), r"Received: int64 of shape \(1, 1\)"),
    ],
    ids=["high", "negative", "empty", "float", "axes"],
)
def test_wrong_orders_are_named(copied: Path, rows: np.ndarray, message: str) -> None:
    rewrite(copied / "val_order.h5", rows, "order")
    with pytest.raises(ValueError, match=rf"val_order\.h5 .*{message}"):
        data_tools.load(copied, "val", format="numpy")


def test_number_that_is_not_finite_is_named(copied: Path) -> None:
    with h5py.File(copied / "audio_feature.h5", "r+") as file:
        file["avadataset"][13, 4, 5] = np.nan
    with pytest.raises(ValueError, match=r"audio_feature\.h5 must hold finite .* in row 13"):
        data_tools.load(copied, "val", format="numpy")
    assert len(data_tools.load(copied, "test", format="numpy")["audio"]) == 5


def test_mismatched_files_are_named(copied: Path) -> None:
    rewrite(copied / "audio_feature.h5", np.zeros((20, 10, 128)))
    with pytest.raises(ValueError, match=r"one row per clip. Received: "):
        data_tools.load(copied, format="numpy")
    rewrite(copied / "audio_feature.h5", np.zeros((21, 128)))
    with pytest.raises(ValueError, match=r"audio_feature\.h5 must have 3 axes"):
        data_tools.load(copied, format="numpy")
    rewrite(copied / "audio_feature.h5", np.zeros((21, 10, 128)), key="features")
    with pytest.raises(ValueError, match=r"array named 'avadataset'. Received: \['features'\]"):
        data_tools.load(copied, format="numpy")
    (copied / "audio_feature.h5").write_bytes(b"no features")
    with pytest.raises(ValueError, match=r"audio_feature\.h5 must be an HDF5 file"):
        data_tools.load(copied, format="numpy")
