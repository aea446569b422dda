"""A thousand clips with planted faults: good ones arrive, bad ones are named, nothing is run."""

from __future__ import annotations

import dataclasses
import pickle
import random
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import data_tools
from data_tools.published.inspection import inspect, write_clean
from tests.helpers import hostile_files as hostile
from tests.helpers.memory import bounded_memory
from tests.helpers.published_layouts import AUDIO, VIDEO, write_table

NUM_CLIPS = 1000
PER_FAULT = 10
WITNESS = "something-ran"


def not_finite(path: Path) -> None:
    array = np.ones(AUDIO, np.float32)
    array[3, 1] = np.nan
    hostile.write_feature(path, array)


def infinite_as_float32(path: Path) -> None:
    hostile.write_feature(path, np.full(AUDIO, 1e300))


def empty(path: Path) -> None:
    path.write_bytes(b"")


def wrong_ending(path: Path) -> None:
    hostile.write_feature(path, np.ones(AUDIO)).rename(path.with_suffix(".rar"))


def not_a_zip(path: Path) -> None:
    np.save(path.with_suffix(".npy"), np.ones(AUDIO))
    path.with_suffix(".npy").rename(path)


def two_members(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.pkl", pickle.dumps(np.ones(AUDIO)))
        archive.writestr("b.pkl", pickle.dumps(np.ones(AUDIO)))


def array_of(shape: tuple[int, ...]) -> Callable[[Path], None]:
    return lambda path: hostile.write_feature(path, np.ones(shape, np.float32)) and None


def pickle_of(kind: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        hostile.write_zip(path, hostile.hostile_pickles(path.parent / WITNESS)[kind])

    return write


def truncated(path: Path) -> None:
    hostile.truncate(hostile.write_feature(path, np.ones(AUDIO)))


def outside(path: Path) -> None:
    hostile.write_zip(path, pickle.dumps(np.ones(AUDIO)), f"../../{WITNESS}")


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated zip": (truncated, "must be a whole zip archive"),
    "malicious: os.system": (pickle_of("GLOBAL os.system"), "Received: os.system"),
    "malicious: posix.system": (pickle_of("STACK_GLOBAL posix.system"), "Received: posix.system"),
    "malicious: eval": (pickle_of("REDUCE builtins.eval"), "Received: builtins.eval"),
    "malicious: state": (pickle_of("BUILD with a state"), "made by numpy._core"),
    "malicious: extension": (pickle_of("EXT registry"), "no instruction EXT1"),
    "malicious: persistent id": (pickle_of("PERSID"), "no instruction PERSID"),
    "malicious: objects": (pickle_of("object array"), "Received dtype 'O8'"),
    "NaN": (not_finite, "must hold finite numbers"),
    "infinite in single precision": (infinite_as_float32, "must hold finite numbers"),
    "wrong size": (array_of((10, 5)), "must have the shape (10, 4) of the other clips"),
    "wrong rank": (array_of((10, 4, 1)), "must hold an array of 2 axes"),
    "no rows": (array_of((0, 4)), "with something in each. Received shape (0, 4)"),
    "zero bytes": (empty, "Received a file of 0 bytes"),
    "path traversal": (outside, "must hold a member that stays in its folder"),
    "link": (hostile.write_link, "no folder and no link"),
    "zip bomb": (hostile.write_bomb, "must unpack to at most"),
    "bomb that lies": (hostile.write_lying_bomb, "Bad CRC-32"),
    "wrong ending": (wrong_ending, ".npy. Received"),
    "not a zip": (not_a_zip, "must be a whole zip archive"),
    "two members": (two_members, "must hold one file. Received 2"),
    "no file": (lambda path: None, "Received neither"),
}


@dataclasses.dataclass
class Planted:
    """A set with faults: its folder, the fault of each bad clip, the arrays of the good ones."""

    root: Path
    faults: dict[str, str]
    arrays: dict[str, np.ndarray]

    @property
    def good(self) -> list[str]:
        return sorted(self.arrays)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    root = tmp_path_factory.mktemp("planted")
    folder = root / "audio"
    folder.mkdir()
    names = [fault for fault in FAULTS for _ in range(PER_FAULT)]
    kinds: list[str] = [*names, *([""] * (NUM_CLIPS - len(names)))]
    random.Random(0).shuffle(kinds)
    rng = np.random.default_rng(0)
    result = Planted(root, {}, {})
    ids = [f"clip{number:04d}" for number in range(NUM_CLIPS)]
    bombs: dict[str, bytes] = {}
    for number, (id, kind) in enumerate(zip(ids, kinds, strict=True)):
        path = folder / f"{id}.zip"
        if not kind:
            array = rng.normal(size=AUDIO).astype(np.float32)
            hostile.write_feature(path, array, protocol=number % 6)
            result.arrays[id] = array
            continue
        result.faults[id] = kind
        if kind in bombs:
            # Packing a bomb takes longer than defusing it.
            path.write_bytes(bombs[kind])
            continue
        FAULTS[kind][0](path)
        if "bomb" in kind:
            bombs[kind] = path.read_bytes()
    write_table(root / "flickr.csv", [("filename",), *((id,) for id in ids)])
    return result


@pytest.fixture(autouse=True)
def nothing_ran(planted: Planted) -> Iterator[None]:
    before = sorted(path for path in planted.root.rglob("*"))
    yield
    found = sorted(path for path in planted.root.rglob("*") if path.suffix != ".csv")
    assert found == [path for path in before if path.suffix != ".csv"]
    assert not list(planted.root.parent.rglob(f"{WITNESS}*"))


def assert_named(planted: Planted, reasons: dict[str, str]) -> None:
    """Each bad clip, and no other, has the reason of its fault and the name of its file."""
    assert set(reasons) == set(planted.faults)
    for id, reason in reasons.items():
        assert FAULTS[planted.faults[id]][1] in reason
        assert id in reason


def options(planted: Planted) -> dict:
    return {
        "root": planted.root,
        "split": "test",
        "modalities": ("audio",),
        "dataset": "flickrsound",
    }


@pytest.mark.parametrize("memory_limit", [0, 2**30], ids=["from disk", "in memory"])
def test_all_good_clips_arrive_and_bad_ones_are_named(planted: Planted, memory_limit: int) -> None:
    reasons: dict[str, str] = {}
    with bounded_memory(16 * 2**20):
        batches = data_tools.load(
            **options(planted),
            protocol="reference",
            batch_size=50,
            memory_limit=memory_limit,
            on_error=reasons.__setitem__,
        )
        found = np.concatenate([batches[index][0]["audio"] for index in range(len(batches))])
    assert_named(planted, reasons)
    np.testing.assert_array_equal(found, [planted.arrays[id] for id in planted.good])


def test_arrays_skip_with_a_warning(planted: Planted) -> None:
    with pytest.warns(UserWarning, match=r"220 of 1000 clips of flickrsound .* are left out"):
        arrays = data_tools.load(
            **options(planted), protocol="reference", format="numpy", on_error="skip"
        )
    np.testing.assert_array_equal(arrays["audio"], [planted.arrays[id] for id in planted.good])


def test_the_first_bad_clip_stops_reading_unless_told_otherwise(planted: Planted) -> None:
    first = min(planted.faults)
    with pytest.raises(ValueError, match=f"clip '{first}' of flickrsound .* cannot be read: "):
        data_tools.load(**options(planted), protocol="reference", format="numpy")


def test_verify_names_every_bad_clip_and_the_cleaned_split_is_clean(
    planted: Planted, tmp_path: Path
) -> None:
    with bounded_memory(16 * 2**20):
        report = inspect("flickrsound", planted.root)
    assert not report.whole
    states = [state for state in report.features if state.modality == "audio"]
    assert_named(planted, {key: reason for state in states for key, reason in state.bad.items()})
    write_clean(report, tmp_path / "clean.csv")
    ids, arrays = [], []
    for split in ("train", "val", "test"):
        chosen = {**options(planted), "split": split, "clean": tmp_path / "clean.csv"}
        arrays.append(data_tools.load(**chosen, format="numpy")["audio"])
        ids += [example.id for example in report.clean[split]]
    assert sorted(ids) == planted.good
    np.testing.assert_array_equal(np.concatenate(arrays), [planted.arrays[id] for id in ids])


def test_video_of_one_frame_is_named_even_alone_in_its_split(tmp_path: Path) -> None:
    write_table(tmp_path / "flickr.csv", [("filename",), ("a",), ("b",), ("c",)])
    (tmp_path / "video").mkdir()
    for id, shape in {"a": VIDEO, "b": (1, *VIDEO[1:]), "c": VIDEO}.items():
        hostile.write_feature(tmp_path / "video" / f"{id}.zip", np.ones(shape))
    report = inspect("flickrsound", tmp_path)
    bad = {key: reason for state in report.features for key, reason in state.bad.items()}
    assert list(bad) == ["b"]
    assert (
        "must have the shape (10, 2, 2, 3) of the other clips. Received: (1, 2, 2, 3)" in bad["b"]
    )
