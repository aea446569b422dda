"""Batches: contents, order by seed and epoch, bounded memory, arguments refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_tools
from data_tools.loading import BatchReader, SelectionSource
from data_tools.published.selection import select
from data_tools.store import pack


def test_numpy_has_the_rows_of_the_split(prepared: Path) -> None:
    arrays = data_tools.load(prepared, "val", format="numpy", labels=True)
    assert {name: value.shape for name, value in arrays.items()} == {
        "audio": (4, 10, 128),
        "video": (4, 10, 7, 7, 16),
        "text": (4, 10, 64),
        "text_mask": (4, 10),
        "labels": (4, 10, 11),
    }
    assert arrays["video"].dtype == np.float32
    captions = (prepared / "captions.txt").read_text().splitlines()[12:16]
    assert arrays["text_mask"].sum(1).tolist() == [min(10, len(c.split())) for c in captions]
    folder = data_tools.FeatureFolder(prepared)
    np.testing.assert_array_equal(arrays["audio"], folder.read("audio", np.arange(12, 16)))
    folder.close()


def test_memory_or_disk_gives_the_same_batches(prepared: Path) -> None:
    readers = [
        BatchReader(SelectionSource(select(prepared, labels=True), limit), 5, shuffle=True)
        for limit in (0, 2**30)
    ]
    for (one, labels_one), (other, labels_other) in zip(
        *(reader.epoch(3) for reader in readers), strict=True
    ):
        np.testing.assert_array_equal(labels_one, labels_other)
        for name in ("audio", "video", "text", "text_mask"):
            np.testing.assert_array_equal(one[name], other[name])
    readers[0].source.close()


def test_clips_are_read_into_memory_in_blocks(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = []
    read = data_tools.FeatureFolder.read

    def counted(folder: Any, kind: str, rows: np.ndarray) -> np.ndarray:
        requests.append(len(rows))
        return read(folder, kind, rows)

    monkeypatch.setattr(data_tools.FeatureFolder, "read", counted)
    source = SelectionSource(select(prepared, modalities=("audio",)))
    assert requests == [12]
    assert source.num_clips == 12


def test_every_epoch_has_every_clip_in_its_own_order(prepared: Path) -> None:
    everything = data_tools.load(prepared, format="numpy", modalities=("audio",))["audio"]

    def order(seed: int, epoch: int) -> list[int]:
        source = SelectionSource(select(prepared, modalities=("audio",)))
        reader = BatchReader(source, 5, seed, shuffle=True)
        values = np.concatenate([batch["audio"] for (batch,) in reader.epoch(epoch)])
        return [int(np.flatnonzero((everything == value).all((1, 2)))[0]) for value in values]

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    for one in orders:
        assert sorted(one) == list(range(12))
    assert len({tuple(one) for one in orders}) == 3
    assert order(0, 1) == orders[1]


def test_one_function_reads_folders_and_stores_alike(prepared: Path, tmp_path: Path) -> None:
    pack(prepared, tmp_path / "store")
    options: dict[str, Any] = {"batch_size": 5, "seed": 3, "labels": True}
    for split in (None, "train", "val"):
        options["shuffle"] = split != "val"
        datasets = [
            data_tools.load(root, split, **options) for root in (prepared, tmp_path / "store")
        ]
        assert len(datasets[0]) == len(datasets[1])
        for (one, labels_one), (other, labels_other) in zip(*datasets, strict=True):
            assert set(one) == set(other) == {"audio", "video", "text", "text_mask"}
            np.testing.assert_array_equal(labels_one, labels_other)
            np.testing.assert_array_equal(one["text_mask"], other["text_mask"])
            for name in ("audio", "video", "text"):
                np.testing.assert_array_equal(one[name].astype(np.float16), other[name])
    arrays = [
        data_tools.load(root, "val", format="numpy", labels=True)
        for root in (prepared, tmp_path / "store")
    ]
    assert arrays[0].keys() == arrays[1].keys()
    np.testing.assert_array_equal(arrays[0]["audio"].astype(np.float16), arrays[1]["audio"])
    everything = data_tools.load(tmp_path / "store", "all", format="numpy", modalities=("audio",))
    assert len(everything["audio"]) == 21


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "avvp"}, "`dataset` must be left out: .* is a store"),
        ({"on_error": "skip"}, "`on_error` must be left out: .* is a store"),
        ({"protocol": "reference"}, "`protocol` must be left out: .* is a store"),
        ({"labels": "weak"}, "`labels` must be True or False for a store. Received: 'weak'"),
        ({"split": "dev"}, "`split` must be one that .* Received: 'dev'"),
    ],
    ids=str,
)
def test_arguments_of_folders_are_refused_for_stores(
    prepared: Path, tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    pack(prepared, tmp_path / "store")
    with pytest.raises(ValueError, match=message):
        data_tools.load(tmp_path / "store", **arguments)
    with pytest.raises(ValueError, match=r"`verify` must be left out: .* is not a store"):
        data_tools.load(prepared, verify="always")


def test_folders_resume_at_any_step(prepared: Path) -> None:
    options: dict[str, Any] = {"modalities": ("audio",), "batch_size": 5, "seed": 1}
    whole = data_tools.load(prepared, format="stream", **options)
    batches = [next(whole)[0]["audio"] for _ in range(5)]
    later = data_tools.load(prepared, format="stream", start_step=3, **options)
    np.testing.assert_array_equal(next(later)[0]["audio"], batches[3])
    dataset = data_tools.load(prepared, start_step=3, **options)
    np.testing.assert_array_equal(dataset[1][0]["audio"], batches[4])


def test_training_shuffles_and_drops_by_default(prepared: Path) -> None:
    train = data_tools.load(prepared, "train", batch_size=5)
    val = data_tools.load(prepared, "val", batch_size=3)
    assert train.reader.shuffle
    assert not val.reader.shuffle
    assert [len(train), len(val)] == [2, 2]
    assert len(val[1][0]["audio"]) == 1
    assert len(data_tools.load(prepared, "train", batch_size=5, drop_remainder=False)) == 3


def test_pydataset_yields_tuples_and_moves_on_each_epoch(prepared: Path) -> None:
    dataset = data_tools.load(prepared, batch_size=4, labels=True)
    first, labels = dataset[0]
    assert labels.shape == (4, 10, 11)
    assert set(first) == {"audio", "video", "text", "text_mask"}
    np.testing.assert_array_equal(dataset[0][0]["audio"], first["audio"])

    def epoch(steps: int) -> None:
        dataset.on_epoch_begin()
        for index in range(steps):
            dataset[index]
        dataset.on_epoch_end()

    # What is read outside an epoch does not count, nor does an epoch that ends early.
    _ = dataset[len(dataset) - 1]
    dataset.on_epoch_end()
    epoch(len(dataset) - 1)
    np.testing.assert_array_equal(dataset[0][0]["audio"], first["audio"])
    epoch(len(dataset))
    assert not np.array_equal(dataset[0][0]["audio"], first["audio"])
    assert len(data_tools.load(prepared, batch_size=4)[0]) == 1


@pytest.mark.parametrize("workers", [1, 2], ids=["here", "processes"])
def test_fit_sees_each_epoch_in_its_own_order(prepared: Path, workers: int) -> None:
    import keras

    class Record(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.scale = self.add_weight(shape=())
            self.seen: list[np.ndarray] = []

        def call(self, inputs: Any) -> Any:
            return inputs["audio"] * self.scale

        def train_step(self, data: Any) -> dict[str, Any]:
            self.seen.append(np.array(data[0]["audio"]))
            return {"loss": keras.ops.zeros(())}

    if keras.backend.backend() != "torch":
        pytest.skip("the training step is that of PyTorch")
    train = data_tools.load(prepared, modalities=("audio",), batch_size=5)
    train.workers, train.use_multiprocessing = workers, workers > 1
    model = Record()
    model.compile("sgd")
    model.fit(train, epochs=3, shuffle=False, verbose=0)
    assert len(model.seen) == 6
    steps = [train.reader.step(step)[0]["audio"] for step in range(10)]
    found = [[np.array_equal(step, seen) for step in steps].index(True) for seen in model.seen]
    if workers == 1:
        assert found == list(range(6))
        assert train.passes == 3
    else:
        # Keras keeps batches that it read to build the model; the order still moves on.
        assert len(set(found)) == 6
        assert train.passes > 3


@pytest.mark.every_engine
def test_keras_trains_on_the_batches(prepared: Path) -> None:
    import keras

    audio = keras.Input((10, 128), name="audio")
    model = keras.Model({"audio": audio}, keras.layers.Dense(11, activation="softmax")(audio))
    model.compile("adam", "categorical_crossentropy")
    arguments: dict[str, Any] = {"modalities": ("audio",), "batch_size": 4, "labels": True}
    train = data_tools.load(prepared, "train", **arguments)
    history = model.fit(
        train,
        validation_data=data_tools.load(prepared, "val", **arguments),
        epochs=2,
        verbose=0,
        shuffle=False,
    )
    assert np.isfinite(history.history["val_loss"]).all()
    assert train.passes == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "csv"}, "`format` must be one of"),
        ({"split": "dev"}, r"`split` must be one of .* Received: 'dev'"),
        ({"modalities": ("audio", "smell")}, r"`modalities` must be .* Received: 'smell'"),
        ({"modalities": "audio"}, "`modalities` must be a sequence"),
        ({"modalities": ()}, "`modalities` must be a sequence of at least one"),
        ({"batch_size": 0}, "`batch_size` must be at least 1. Received: 0"),
        ({"batch_size": 13}, "`batch_size` must not exceed .* Received: 13 for 12 clips"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_wrong_arguments_are_named(prepared: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_tools.load(prepared, **arguments)
