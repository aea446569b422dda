"""A run that is no longer finite stops, and its last finite file survives."""

import keras
import numpy as np
import pytest

import keras_cmg
from tests.helpers.small_fcid import compiled_fcid, small_batch

NAMES = ("text",)


class Poison(keras.utils.PyDataset):
    """Batches that hold NaN from a step on."""

    def __init__(self, start, batches=2):
        super().__init__()
        self.start, self.batches, self.step = start, batches, 0

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        batch = small_batch(NAMES, seed=index)
        if self.step >= self.start:
            batch["text"][0] = np.nan
        self.step += 1
        return (batch,)


def built_model(**options):
    model = compiled_fcid(NAMES, **options)
    model.build({name: x.shape for name, x in small_batch(NAMES).items()})
    return model


def is_finite(path):
    model = built_model()
    model.optimizer.build(model.trainable_variables)
    if str(path).endswith(".h5"):
        model.load_weights(path)
    else:
        model = keras.saving.load_model(path)
    return all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in model.variables)


SAVERS = {
    "Checkpoint": lambda path: (
        path / "a.keras",
        keras_cmg.callbacks.Checkpoint(path / "a.keras"),
    ),
    "ModelCheckpoint": lambda path: (
        path / "b.keras",
        keras.callbacks.ModelCheckpoint(path / "b.keras"),
    ),
    "weights": lambda path: (
        path / "c.weights.h5",
        keras.callbacks.ModelCheckpoint(path / "c.weights.h5", save_weights_only=True),
    ),
    "every batch": lambda path: (
        path / "d.weights.h5",
        keras.callbacks.ModelCheckpoint(path / "d.weights.h5", save_weights_only=True, save_freq=1),
    ),
    "BackupAndRestore": lambda path: (
        path / "backup" / "latest.weights.h5",
        keras.callbacks.BackupAndRestore(path / "backup"),
    ),
}


@pytest.mark.parametrize("saver", SAVERS)
@pytest.mark.parametrize("guard_first", [True, False])
def test_the_last_finite_file_survives(saver, guard_first, tmp_path):
    path, callback = SAVERS[saver](tmp_path)
    callbacks = [callback, keras_cmg.callbacks.TerminateOnNonFinite()]
    # Batch 4 is the first of the third epoch and batch 5 the second: never the very first of all.
    with pytest.raises(ValueError, match="finite"):
        built_model().fit(
            Poison(5),
            epochs=6,
            shuffle=False,
            verbose=0,
            callbacks=callbacks[::-1] if guard_first else callbacks,
        )
    assert path.is_file() and is_finite(path)


def test_a_last_update_that_is_not_finite_is_not_saved(tmp_path):
    """The loss of each step is finite, and the weights after the last are not."""

    class Break(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if broken:
                variable = self.model.trainable_variables[0]
                variable.assign(variable * np.nan)

    model, broken, path = built_model(), [], tmp_path / "model.keras"
    callbacks = [keras_cmg.callbacks.Checkpoint(path), Break()]
    model.fit(small_batch(NAMES), verbose=0, callbacks=callbacks)
    broken.append(True)
    with pytest.raises(ValueError, match=r"Every weight must be finite.*after epoch 1"):
        model.fit(small_batch(NAMES), verbose=0, callbacks=callbacks)
    assert is_finite(path)
    # By hand, anything may be saved.
    model.save(tmp_path / "broken.keras")


def test_the_first_batch_and_the_epoch_are_named():
    with pytest.raises(ValueError, match=r"Not finite in the first batch: \[.*'loss'"):
        built_model().fit(Poison(0), shuffle=False, verbose=0)
    with pytest.raises(ValueError, match=r"Not finite in epoch 2: \[.*'loss'"):
        built_model().fit(Poison(3), epochs=3, shuffle=False, verbose=0)


@pytest.mark.every_engine
def test_one_batch_with_nan_does_not_stay_in_the_codebook(tmp_path):
    """In `fit` the step has been taken when the loss is seen; the codes have not moved."""
    model, path = built_model(), tmp_path / "model.keras"
    model.fit(small_batch(NAMES), verbose=0, callbacks=keras_cmg.callbacks.Checkpoint(path))
    before = [keras.ops.convert_to_numpy(v) for v in model.backbone.quantizer.weights[:3]]
    saved = path.read_bytes()
    with pytest.raises(ValueError, match=r"Not finite in the first batch: \[.*'loss'"):
        model.fit(
            Poison(0),
            shuffle=False,
            verbose=0,
            callbacks=keras_cmg.callbacks.Checkpoint(path),
        )
    for old, variable in zip(before, model.backbone.quantizer.weights, strict=False):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), old)
    assert path.read_bytes() == saved


def test_train_on_batch_refuses_nan_and_moves_nothing():
    model = built_model()
    model.train_on_batch(small_batch(NAMES))
    before = model.get_weights()
    batch = small_batch(NAMES)
    batch["text"][1] = np.nan
    with pytest.raises(ValueError, match=r"'text' must be finite.* row 1"):
        model.train_on_batch(batch)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert np.isfinite(model.train_on_batch(small_batch(NAMES), return_dict=True)["loss"])


def test_train_on_batch_names_terms_that_are_not_finite():
    model = built_model()
    model.commitment_cost = float("inf")
    with pytest.raises(ValueError, match=r"Not finite in this batch: \[.*'loss'"):
        model.train_on_batch(small_batch(NAMES))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_encode_refuses_what_is_not_finite(value):
    model, batch = built_model(), small_batch(NAMES)
    batch["text"][2, 1] = value
    with pytest.raises(ValueError, match=r"Features of 'text' must be finite.* row 2"):
        model.backbone.encode("text", batch["text"])
    with pytest.raises(ValueError, match=r"Features of 'text' must be finite.* row 2"):
        model.predict(batch, verbose=0)
