"""Checkpoints that are complete and finite."""

import pytest

import keras_cmg
from tests.helpers.small_fcid import compiled_fcid, small_batch


def test_a_checkpoint_is_whole_or_the_one_before(tmp_path):
    model = compiled_fcid(("text",))
    path = tmp_path / "model.keras"
    model.fit(small_batch(("text",)), verbose=0, callbacks=[keras_cmg.callbacks.Checkpoint(path)])
    earlier = path.read_bytes()

    def fails(scratch):
        scratch.write_bytes(b"half")
        raise OSError("disk full")

    model.save = fails
    with pytest.raises(OSError, match="disk full"):
        model.fit(
            small_batch(("text",)), verbose=0, callbacks=[keras_cmg.callbacks.Checkpoint(path)]
        )
    assert path.read_bytes() == earlier


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"path": "model.h5"}, "end in"), ({"path": "a.keras", "every": 0}, "every")],
)
def test_refuses_no_checkpoint(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_cmg.callbacks.Checkpoint(**arguments)


def test_missing_folders_are_made(tmp_path):
    path = tmp_path / "runs" / "first" / "model.keras"
    checkpoint = keras_cmg.callbacks.Checkpoint(path)
    compiled_fcid(("text",)).fit(small_batch(("text",)), verbose=0, callbacks=[checkpoint])
    assert path.is_file()
