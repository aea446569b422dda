"""The store: what is written is read by each reader; damage is named; memory stays flat."""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import data_tools
from data_tools.__main__ import main
from data_tools.loading import BatchReader, BatchStream, StoreSource
from data_tools.store import Field, Store, StoreWriter, pack
from data_tools.store.memory import BatchMemory, widen
from data_tools.store.shard import ShardWriter
from data_tools.store.tfrecord import export_tfrecord, parse_examples
from tests.helpers.hostile_files import write_zip
from tests.helpers.published_layouts import write_table

FIELDS = {
    "audio": Field((3, 4)),
    "text": Field((2, 5), "float32"),
    "labels": Field((3, 2), "uint8"),
}
NUM_ROWS = 11


def row(number: int) -> dict[str, np.ndarray]:
    """Arrays of a row, all different."""
    rng = np.random.default_rng(number)
    return {
        "audio": rng.normal(size=(3, 4)).astype(np.float16),
        "text": rng.normal(size=(2, 5)).astype(np.float32),
        "labels": rng.integers(0, 2, (3, 2), np.uint8),
    }


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven rows in three shards; only to be read."""
    root = tmp_path_factory.mktemp("store") / "store"
    with StoreWriter(root, FIELDS, shard_rows=4, categories=["a"], origin={"by": "hand"}) as writer:
        for number in range(NUM_ROWS):
            writer.append(f"clip{number}", row(number), split="test" if number > 7 else "train")
    return root


@pytest.fixture
def copied_store(written: Path, tmp_path: Path) -> Path:
    """A copy, to be damaged."""
    return Path(shutil.copytree(written, tmp_path / "copied_store"))


def test_any_rows_in_any_order(written: Path) -> None:
    store = Store(written)
    order = [7, 8, 9, 0, 3, 3, 10, 4, 5]
    for name, field in FIELDS.items():
        values = store.read(name, order)
        assert values.dtype == field.dtype
        np.testing.assert_array_equal(values, np.stack([row(n)[name] for n in order]))
    assert store.clip(9) == {"id": "clip9", "split": "test"}
    assert (len(store), store.categories, store.schema["origin"]) == (11, ["a"], {"by": "hand"})
    store.close()


def test_shards_are_plain_npy_files(written: Path) -> None:
    arrays = [np.load(path) for path in sorted(written.glob("shards/*/audio.npy"))]
    assert [len(array) for array in arrays] == [4, 4, 3]
    expected = np.stack([row(n)["audio"] for n in range(NUM_ROWS)])
    np.testing.assert_array_equal(np.concatenate(arrays), expected)


def test_the_same_rows_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "b", FIELDS, 4, ["a"], {"by": "hand"}) as writer:
        for number in range(NUM_ROWS):
            writer.append(f"clip{number}", row(number), split="test" if number > 7 else "train")
    files = sorted(p.relative_to(written) for p in written.rglob("*") if p.is_file())
    assert files == sorted(
        p.relative_to(tmp_path / "b") for p in (tmp_path / "b").rglob("*") if p.is_file()
    )
    for name in files:
        assert (written / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_store_travels_to_another_process(written: Path) -> None:
    store = Store(written)
    store.read("audio", [0])
    other = pickle.loads(pickle.dumps(store))
    np.testing.assert_array_equal(other.read("audio", [10]), row(10)["audio"][None])
    for one in (store, other):
        one.close()


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _other(path: Path) -> None:
    np.save(path, np.zeros((4, 2), np.float64))


def _objects(path: Path) -> None:
    np.save(path, np.array([{"a": 1}] * 4, dtype=object), allow_pickle=True)


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("shards/00001/audio.npy", _flip, r"row 3 \(clip 'clip7'\) does not match its checksum"),
        ("shards/00001/audio.npy", _cut, "must have 224 bytes. Received: 223"),
        ("shards/00001/audio.npy", _other, "must hold rows of float16 and shape"),
        ("shards/00001/audio.npy", _objects, "must hold rows of float16 and shape"),
        ("shards/00001/audio.npy", lambda path: path.write_bytes(b""), "must be a .npy file"),
        ("shards/00001/audio.npy", Path.unlink, "does not exist"),
        ("shards/00001/index.json", _flip, "must have sha256"),
        ("schema.json", lambda path: path.write_text("{}"), "must have format"),
        ("schema.json", lambda path: path.write_text("{"), "must hold valid JSON"),
        ("schema.json", Path.unlink, "an unfinished one lacks it"),
    ],
)
def test_damage_is_named(
    copied_store: Path, file: str, damage: Callable[[Path], None], message: str
) -> None:
    damage(copied_store / file)
    with pytest.raises((ValueError, FileNotFoundError), match=message) as caught:
        Store(copied_store).check()
    assert Path(file).name in str(caught.value)


@pytest.mark.parametrize("split", [True, ["train"], 1.5, {"a": 1}])
def test_splits_are_names(copied_store: Path, split: Any) -> None:
    index = copied_store / "shards/00001/index.json"
    content = json.loads(index.read_text())
    content["rows"][0]["split"] = split
    index.write_text(json.dumps(content))
    schema = json.loads((copied_store / "schema.json").read_text())
    schema["shards"][1]["sha256"] = hashlib.sha256(index.read_bytes()).hexdigest()
    (copied_store / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(ValueError, match=r"index\.json must name splits"):
        Store(copied_store).split_names()


@pytest.mark.parametrize("digest", ["0" * 63, "[" * 5000, 7])
def test_checksums_of_shards_are_checksums(copied_store: Path, digest: Any) -> None:
    schema = json.loads((copied_store / "schema.json").read_text())
    schema["shards"][1]["sha256"] = digest
    (copied_store / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(ValueError, match=r"schema\.json") as caught:
        list(Store(copied_store).clips())
    assert len(str(caught.value)) < 1000


def test_a_field_cannot_name_a_path(copied_store: Path) -> None:
    schema = json.loads((copied_store / "schema.json").read_text())
    schema["fields"]["../audio"] = schema["fields"].pop("audio")
    (copied_store / "schema.json").write_text(json.dumps(schema))
    with pytest.raises(ValueError, match="plain word"):
        Store(copied_store)


def test_rows_are_checked_when_first_read(copied_store: Path) -> None:
    stores = {verify: Store(copied_store, verify) for verify in ("once", "always", "never")}
    for store in stores.values():
        store.read("audio", np.arange(4, 8))
    with (copied_store / "shards/00001/audio.npy").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x3c")
    for verify in ("once", "never"):
        stores[verify].read("audio", [7])
    with pytest.raises(ValueError, match="does not match its checksum"):
        stores["always"].read("audio", [7])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"audio": np.zeros((3, 4))}, "must hold"),
        ({**row(0), "audio": np.zeros((3, 5))}, r"`audio` must have shape \(3, 4\)"),
        ({**row(0), "audio": np.full((3, 4), 1e5)}, "finite numbers in float16"),
        ({**row(0), "text": np.full((2, 5), np.nan)}, "finite numbers in float32"),
    ],
)
def test_a_bad_row_leaves_no_store(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    with (
        pytest.raises(ValueError, match=message),
        StoreWriter(tmp_path / "store", FIELDS) as writer,
    ):
        writer.append("good", row(0))
        writer.append("bad", arrays)
    assert not list(tmp_path.iterdir())


def test_a_shard_survives_at_any_point(tmp_path: Path) -> None:
    clips = [{"id": str(number)} for number in range(4)]

    def fresh() -> ShardWriter:
        return ShardWriter(tmp_path / "00000", FIELDS, clips)

    fresh().write(2, row(2))
    fresh().fail(1, [{"reason": "is silent"}])
    shard = fresh()
    assert shard.missing == [0, 3]
    shard.write(0, row(0))
    journal = shard.part / "progress.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])  # a kill in the middle of a line
    shard = fresh()
    assert shard.missing == [0, 3]
    shard.write(0, row(0))
    with (shard.part / "audio.npy").open("r+b") as stream:  # a row that never reached the disk
        stream.seek(-1, 2)
        stream.seek(128 + 2 * 24)
        stream.write(bytes(24))
    shard = fresh()
    assert shard.missing == [2, 3]
    with pytest.raises(ValueError, match="2 slots are not"):
        shard.finish()
    for slot in shard.missing:
        shard.write(slot, row(slot))
    shard.finish()
    fresh().finish()
    found = np.load(tmp_path / "00000/audio.npy")
    np.testing.assert_array_equal(found, np.stack([row(n)["audio"] for n in (0, 2, 3)]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000"]


def test_widening_is_exact_for_every_finite_number() -> None:
    half = np.arange(2**16, dtype="<u2").view("<f2")
    half = half[np.isfinite(half)]
    out = np.empty(half.shape, np.float32)
    widen(half, out)
    np.testing.assert_array_equal(out.view(np.uint32), half.astype(np.float32).view(np.uint32))


def test_memory_in_use_is_not_taken_again() -> None:
    import torch

    memory = BatchMemory(limit=2)
    view = memory.take((4, 4), "float32")[1:]
    tensor = torch.from_numpy(memory.take((4, 4), "float32"))
    third = memory.take((4, 4), "float32")
    assert not np.shares_memory(third, view)
    assert not np.shares_memory(third, tensor.numpy())
    address = tensor.data_ptr()
    del tensor
    assert memory.take((4, 4), "float32").ctypes.data == address


def read_batches(root: Path, split: str | None = None, **options: Any) -> BatchReader:
    """A reader of a store."""
    names = ("batch_size", "seed", "shuffle", "drop_remainder", "start_step")
    of_reader = {name: options.pop(name) for name in names if name in options}
    return BatchReader(StoreSource(root, split, **options), **of_reader)


def batches(reader: BatchReader, count: int) -> list[np.ndarray]:
    """Copies of the sound of the next batches."""
    stream = BatchStream(reader)
    return [next(stream)[0]["audio"].copy() for _ in range(count)]


def test_any_step_can_be_the_first(written: Path) -> None:
    options = {"batch_size": 4, "seed": 3, "shuffle": True, "drop_remainder": True}
    whole = batches(read_batches(written, **options), 9)
    assert len(read_batches(written, **options)) == 2
    assert any((whole[0] != other).any() for other in whole[2:3])
    for start in (1, 2, 5):
        later = batches(read_batches(written, start_step=start, **options), 9 - start)
        np.testing.assert_array_equal(np.stack(later), np.stack(whole[start:]))
    stream = BatchStream(read_batches(written, **options))
    for _ in range(5):
        next(stream)
    state = json.loads(json.dumps(stream.state_dict()))
    other = BatchStream(read_batches(written, **options))
    other.load_state_dict(state)
    np.testing.assert_array_equal(next(other)[0]["audio"], whole[5])
    with pytest.raises(ValueError, match=r"\['seed'\] differ"):
        BatchStream(read_batches(written, **{**options, "seed": 4})).load_state_dict(state)


def test_an_epoch_has_every_row_of_the_split_once(written: Path) -> None:
    reader = read_batches(written, "train", batch_size=3, shuffle=True, labels=True)
    expected = np.stack([row(n)["audio"] for n in range(8)]).astype(np.float32)
    orders = []
    for epoch in range(2):
        found = np.concatenate([arrays["audio"].copy() for arrays, _ in reader.epoch(epoch)])
        orders.append([int(np.flatnonzero((expected == x).all((1, 2)))[0]) for x in found])
        assert sorted(orders[-1]) == list(range(8))
    assert orders[0] != orders[1]
    arrays, labels = reader.batch(0, 0)
    assert arrays["audio"].dtype == arrays["text"].dtype == np.float32
    assert arrays["text_mask"].all()
    np.testing.assert_array_equal(labels[0], row(orders[0][0])["labels"])


def test_a_modality_left_out_is_not_read(copied_store: Path) -> None:
    for path in copied_store.glob("shards/*/text.npy"):
        path.unlink()
    (arrays,) = read_batches(copied_store, modalities=("audio",), batch_size=3).batch(0, 0)
    assert list(arrays) == ["audio"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ("video",)}, "`modalities` must be"),
        ({"modalities": "audio"}, "`modalities` must be"),
        ({"split": "val"}, "`split` must be one"),
        ({"batch_size": 0}, "`batch_size` must be at least 1"),
        ({"batch_size": 12, "drop_remainder": True}, "must not exceed the number of clips"),
        ({"start_step": -1}, "`start_step` must be at least 0"),
        ({"dtype": "float64"}, "`dtype` must be one of"),
        ({"verify": "twice"}, "`verify` must be one of"),
    ],
)
def test_bad_arguments(written: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_batches(written, **options)  # type: ignore[arg-type]


def test_a_packed_folder_keeps_rows_and_splits(copied: Path, tmp_path: Path) -> None:
    assert pack(copied, tmp_path / "store", shard_rows=6) == {"rows": 21, "failed": 0}
    store = Store(tmp_path / "store")
    folder = data_tools.FeatureFolder(copied)
    for split in ("train", "val", "test"):
        rows, numbers = store.rows_of_split(split), folder.order(split)
        for kind in ("audio", "video", "text", "labels"):
            expected = folder.read(kind, numbers).astype(np.float16)
            np.testing.assert_array_equal(store.read(kind, rows), expected)
    assert store.categories == folder.categories
    folder.close()
    store.close()


def test_a_packed_folder_lacks_damaged_rows(copied: Path, tmp_path: Path) -> None:
    with h5py.File(copied / "audio_feature.h5", "r+") as file:
        file["avadataset"][3] = np.nan
    assert main(["pack", str(copied), "--out", str(tmp_path / "store")]) == 0
    store = Store(tmp_path / "store")
    assert [clip["id"] for clip in store.clips()] == [str(n) for n in range(21) if n != 3]
    (failure,) = (tmp_path / "store/failures.jsonl").read_text().splitlines()
    assert "finite" in json.loads(failure)["reason"]
    assert json.loads(failure)["id"] == "3"
    store.close()


def test_memory_is_flat_over_epochs_larger_than_its_buffers(tmp_path: Path) -> None:
    fields = {"video": Field((10, 7, 7, 64))}
    values = np.random.default_rng(0).normal(size=(10, 7, 7, 64))
    with StoreWriter(tmp_path / "store", fields, shard_rows=100) as writer:
        for number in range(800):
            writer.append(str(number), {"video": values})
    reader = read_batches(tmp_path / "store", batch_size=20, shuffle=True)
    batch_bytes = 20 * 4 * values.size
    held = []
    tracemalloc.start()
    for epoch in range(5):
        for (arrays,) in reader.epoch(epoch):
            assert arrays["video"].shape == (20, 10, 7, 7, 64)
        del arrays
        held.append(tracemalloc.get_traced_memory()[0])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 800 // 20 * batch_bytes > 10 * peak, "the set is far larger than what is ever held"
    assert peak < 4 * batch_bytes
    assert held[-1] - held[0] < 100_000


def test_tf_data_gives_the_batches_of_the_reader(written: Path) -> None:
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    options = {"batch_size": 4, "seed": 1, "shuffle": True, "start_step": 1}
    dataset = data_tools.load(written, "all", format="tf", labels=True, **options)
    reader = read_batches(written, labels=True, drop_remainder=True, **options)
    for epoch in range(2):
        for index, (arrays, labels) in enumerate(dataset.as_numpy_iterator()):
            expected, expected_labels = reader.batch(index, epoch)
            np.testing.assert_array_equal(arrays["audio"], expected["audio"])
            np.testing.assert_array_equal(labels, expected_labels)
        assert index == 1


def test_a_published_set_is_packed_from_its_zips(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "video").mkdir()
    values = {str(n): rng.normal(size=(10, 7, 7, 8)).astype(np.float32) for n in range(6)}
    for name, value in values.items():
        write_zip(tmp_path / "video" / f"{name}.zip", pickle.dumps(value))
    (tmp_path / "video/4.zip").write_bytes(b"")
    write_table(tmp_path / "flickr.csv", [("filename",), *((name,) for name in values)])
    options = {"protocol": "reference"}
    arguments = {"modalities": ("video",), "labels": False, "options": options}
    result = pack(tmp_path, tmp_path / "store", "flickrsound", **arguments)
    assert result == {"rows": 5, "failed": 1}
    store = Store(tmp_path / "store")
    rows = store.read("video", np.arange(5))
    for clip, row_ in zip(store.clips(), rows, strict=True):
        np.testing.assert_array_equal(row_, values[clip["id"]].astype(np.float16))
    assert '"id": "4"' in (tmp_path / "store/failures.jsonl").read_text()
    store.close()


def test_tfrecord_holds_the_same_rows(written: Path, tmp_path: Path) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    out = export_tfrecord(written, tmp_path / "records")
    files = sorted(map(str, out.iterdir()))
    assert len(files) == 3
    dataset = tf.data.TFRecordDataset(files).batch(NUM_ROWS)
    (batch,) = dataset.map(lambda records: parse_examples(records, FIELDS)).as_numpy_iterator()
    for name in FIELDS:
        np.testing.assert_array_equal(batch[name], np.stack([row(n)[name] for n in range(11)]))
    assert batch["id"].tolist() == [f"clip{n}".encode() for n in range(11)]
    with pytest.raises(ValueError, match="must be a new folder"):
        export_tfrecord(written, out)


@pytest.mark.parametrize(
    "header",
    [b"{'descr': '<f2', 'shape': ((((", b"'''", b"{" * 100, b"{'shape': (1,)}", b"\xff\xfe" * 20],
    ids=["parentheses", "quotes", "braces", "no dtype", "no text"],
)
def test_a_damaged_header_of_a_shard_is_named(tmp_path: Path, header: bytes) -> None:
    with StoreWriter(tmp_path / "store", {"a": Field((2,))}) as writer:
        writer.append("x", {"a": np.ones(2)})
    path = tmp_path / "store/shards/00000/a.npy"
    content = bytearray(path.read_bytes())
    length = int.from_bytes(content[8:10], "little")
    content[10 : 10 + length] = header.ljust(length - 1) + b"\n"
    path.write_bytes(bytes(content))
    with (
        contextlib.closing(Store(tmp_path / "store")) as store,
        pytest.raises(ValueError, match=r"a\.npy must be a \.npy file"),
    ):
        store.read("a", [0])


def test_lines_of_a_journal_carry_checksums(tmp_path: Path) -> None:
    fields, clips = {"a": Field((2,))}, [{"id": "x"}, {"id": "y"}, {"id": "z"}]
    shard = ShardWriter(tmp_path / "00000", fields, clips)
    shard.write(0, {"a": np.ones(2)})
    shard.fail(1, [{"reason": "is silent"}])
    journal = tmp_path / "00000.part/progress.jsonl"
    content = journal.read_bytes()
    # A failure of another clip, and what a full disk leaves of a line.
    journal.write_bytes(content.replace(b'"slot": 1', b'"slot": 2') + b'deadbeef {"slot": 2, "ch')
    assert ShardWriter(tmp_path / "00000", fields, clips).missing == [1, 2]
    (tmp_path / "00000.part/a.npy").write_bytes(b"damaged")
    assert ShardWriter(tmp_path / "00000", fields, clips).missing == [0, 1, 2]
