"""The rows of every global batch that one process reads."""

import keras
import numpy as np
import pytest

from keras_cmg.distribution import ArrayBatches, ProcessShard
from tests.helpers.small_fcid import compiled_fcid, small_batch


def test_shares_make_up_the_batch_and_follow_one_order():
    arrays = {"audio": np.arange(7), "text": np.arange(7) * 2}
    epochs = []
    for process in range(3):
        share = ProcessShard(ArrayBatches(arrays, 4), process, 3, shuffle=True)
        share.on_epoch_begin()
        first = [batch["audio"] for (batch,) in (share[i] for i in range(share.num_batches))]
        share.on_epoch_end()
        share.on_epoch_begin()
        second = [batch["audio"] for (batch,) in (share[i] for i in range(share.num_batches))]
        epochs.append((first, second))
    for epoch in range(2):
        parts = [np.concatenate([epochs[p][epoch][i] for p in range(3)]) for i in range(2)]
        assert [len(part) for part in parts] == [4, 3]
        assert sorted(np.concatenate(parts)) == list(range(7))
    assert not np.array_equal(np.concatenate(epochs[0][0]), np.concatenate(epochs[0][1]))


def test_a_data_set_without_end_has_shards():
    class Endless(keras.utils.PyDataset):
        num_batches = None

        def __getitem__(self, index):
            return ({"audio": np.arange(4) + index},)

    share = ProcessShard(Endless(workers=2), 1, 2, shuffle=True)
    share.on_epoch_begin()
    assert share.num_batches is None and share.workers == 2
    assert share[10][0]["audio"].tolist() == [12, 13]


def test_validation_split_is_refused_where_several_processes_train(monkeypatch):
    from keras_cmg.backend import engine

    monkeypatch.setattr(engine.current(), "reader_shard", lambda: (0, 2))
    with pytest.raises(ValueError, match="`validation_split` must be 0"):
        compiled_fcid(("text",)).fit(small_batch(("text",)), validation_split=0.5, verbose=0)
