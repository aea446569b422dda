"""Batches: contents, order by seed and epoch, bounded memory, arguments refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_tools
from data_tools.loading.load import BatchReader
from data_tools.published.selection import select
from data_tools.store import Field, StoreWriter


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
        BatchReader(select(prepared, labels=True), batch_size=5, shuffle=True, memory_limit=limit)
        for limit in (0, 2**30)
    ]
    for (one, labels_one), (other, labels_other) in zip(
        *(reader.epoch(3) for reader in readers), strict=True
    ):
        np.testing.assert_array_equal(labels_one, labels_other)
        for name in ("audio", "video", "text", "text_mask"):
            np.testing.assert_array_equal(one[name], other[name])
    readers[0].selection.close()


def test_every_epoch_has_every_clip_in_its_own_order(prepared: Path) -> None:
    everything = data_tools.load(prepared, format="numpy", modalities=("audio",))["audio"]

    def order(seed: int, epoch: int) -> list[int]:
        reader = BatchReader(select(prepared, modalities=("audio",)), 5, seed, shuffle=True)
        values = np.concatenate([batch["audio"] for (batch,) in reader.epoch(epoch)])
        return [int(np.flatnonzero((everything == value).all((1, 2)))[0]) for value in values]

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    for one in orders:
        assert sorted(one) == list(range(12))
    assert len({tuple(one) for one in orders}) == 3
    assert order(0, 1) == orders[1]


def test_a_store_is_told_from_a_feature_folder(tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "store", {"audio": Field((2,))}) as writer:
        writer.append("clip", {"audio": np.zeros(2)})
    with pytest.raises(ValueError, match=r"is a store: read it by data_tools\.store\.load"):
        data_tools.load(tmp_path / "store")


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
    dataset.on_epoch_end()
    assert not np.array_equal(dataset[0][0]["audio"], first["audio"])
    assert len(data_tools.load(prepared, batch_size=4)[0]) == 1


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
    assert train.epoch == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "csv"}, "`format` must be one of"),
        ({"split": "dev"}, r"`split` must be one of .* received: 'dev'"),
        ({"modalities": ("audio", "smell")}, r"`modalities` must be .* received: 'smell'"),
        ({"modalities": "audio"}, "`modalities` must be a sequence"),
        ({"modalities": ()}, "`modalities` must be a sequence of at least one"),
        ({"batch_size": 0}, "`batch_size` must be at least 1; received: 0"),
        ({"batch_size": 13}, "`batch_size` must not exceed .* received: 13 for 12 clips"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(value),
)
def test_wrong_arguments_are_named(prepared: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_tools.load(prepared, **arguments)
