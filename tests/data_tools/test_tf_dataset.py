"""Batches through `tf.data`; runs where TensorFlow is installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import data_tools
from data_tools.loading import BatchReader, SelectionSource
from data_tools.published.selection import select
from tests.helpers.published_layouts import write_vggsound

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


def test_batches_are_those_of_the_reader_epoch_after_epoch(prepared: Path) -> None:
    dataset = data_tools.load(prepared, batch_size=5, format="tf", labels=True, seed=4)
    reader = BatchReader(SelectionSource(select(prepared, labels=True)), 5, seed=4, shuffle=True)
    assert int(dataset.cardinality()) == 2
    for epoch in range(2):
        for index, (arrays, labels) in enumerate(dataset.as_numpy_iterator()):
            expected, expected_labels = reader.batch(index, epoch)
            np.testing.assert_array_equal(labels, expected_labels)
            assert set(arrays) == set(expected)
            for name, value in expected.items():
                np.testing.assert_array_equal(arrays[name], value)


def test_shapes_are_known_before_reading(prepared: Path) -> None:
    (full,) = data_tools.load(prepared, batch_size=5, format="tf").element_spec
    assert full["video"].shape.as_list() == [5, 10, 7, 7, 16]
    (partial,) = data_tools.load(prepared, "val", batch_size=3, format="tf").element_spec
    assert partial["audio"].shape.as_list() == [None, 10, 128]
    assert partial["text_mask"].dtype.name == "bool"


def test_published_sets_give_the_same_batches_in_each_format(tmp_path: Path) -> None:
    write_vggsound(tmp_path)
    options = {"dataset": "vggsound", "protocol": "reference", "labels": True, "batch_size": 2}
    epochs = data_tools.load(tmp_path, "train", format="tf", memory_limit=0, **options)
    batches = data_tools.load(tmp_path, "train", **options)
    for _ in range(2):
        batches.on_epoch_begin()
        for index, (arrays, labels) in enumerate(epochs.as_numpy_iterator()):
            expected, expected_labels = batches[index]
            np.testing.assert_array_equal(labels, expected_labels)
            assert set(arrays) == {"audio", "video", "text", "text_mask"}
            for name, value in expected.items():
                np.testing.assert_array_equal(arrays[name], value)
        batches.on_epoch_end()
