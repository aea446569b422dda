"""`fit` takes what Keras takes, and works with the usual callbacks."""

import csv

import keras
import numpy as np
import pytest

from tests.helpers.small_fcid import compiled_fcid, small_batch, small_fcid

PAIR = ("audio", "text")


class Batches(keras.utils.PyDataset):
    def __init__(self, batch, **kwargs):
        super().__init__(**kwargs)
        self.batch = batch

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return ({name: x[2 * index : 2 * index + 2] for name, x in self.batch.items()},)


def as_generator(batch):
    data = Batches(batch)
    return (data[i % 2] for i in range(100))


def as_loader(batch):
    import torch

    def collate(clips):
        return ({name: torch.stack([clip[name] for clip in clips]) for name in clips[0]},)

    clips = [{name: torch.tensor(x[i]) for name, x in batch.items()} for i in range(4)]
    return torch.utils.data.DataLoader(clips, batch_size=2, collate_fn=collate)


def as_tf_data(batch):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((batch,)).batch(2)


@pytest.fixture(scope="module")
def expected():
    return compiled_fcid(PAIR).fit(small_batch(PAIR), batch_size=2, shuffle=False, verbose=0)


@pytest.mark.parametrize("make", [Batches, as_generator, as_loader, as_tf_data])
def test_every_kind_of_data_trains_alike(make, expected):
    history = compiled_fcid(PAIR).fit(
        make(small_batch(PAIR)), steps_per_epoch=2, shuffle=False, verbose=0
    )
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)


def test_validation_data_reports_the_same_terms():
    model = compiled_fcid(PAIR)
    validation = (small_batch(PAIR, seed=1),)
    history = model.fit(small_batch(PAIR), validation_data=validation, verbose=0).history
    assert {f"val_{key}" for key in model.log_keys} <= set(history)
    evaluated = model.evaluate(*validation, verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(history["val_loss"][0], rel=1e-5)


def test_loss_falls():
    model = compiled_fcid(backbone={"general": {"num_heads": 2, "dropout": 0.0}})
    losses = model.fit(small_batch(), epochs=15, verbose=0).history["loss"]
    assert losses[-1] < 0.8 * losses[0]


def test_callbacks(tmp_path):
    model = compiled_fcid(PAIR)
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", monitor="val_loss"),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
        keras.callbacks.EarlyStopping(monitor="loss", min_delta=1e9),
        keras.callbacks.TerminateOnNaN(),
    ]
    validation = (small_batch(PAIR, seed=1),)
    history = model.fit(
        small_batch(PAIR), validation_data=validation, epochs=9, callbacks=callbacks, verbose=0
    )
    assert len(history.epoch) == 2
    with (tmp_path / "log.csv").open() as log:
        rows = list(csv.DictReader(log))
    assert float(rows[0]["loss"]) == pytest.approx(history.history["loss"][0])
    loaded = keras.saving.load_model(tmp_path / "best.keras")
    evaluated = loaded.evaluate(*validation, verbose=0, return_dict=True)
    assert evaluated["loss"] == pytest.approx(history.history["val_loss"][-1], rel=1e-5)


def test_a_learning_rate_schedule_leaves_the_estimators_alone():
    model = compiled_fcid(PAIR)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    history = model.fit(small_batch(PAIR), epochs=2, callbacks=[schedule], verbose=0).history
    assert history["learning_rate"] == pytest.approx([2e-3, 1e-3])
    assert float(model.optimizer.main.learning_rate) == pytest.approx(1e-3)
    assert float(model.optimizer.estimator.learning_rate) == pytest.approx(1e-2)


def test_backup_resumes_an_interrupted_run(tmp_path):
    class Interrupt(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise KeyboardInterrupt

    def fit(model, *callbacks, folder):
        backup = keras.callbacks.BackupAndRestore(tmp_path / folder)
        return model.fit(
            small_batch(PAIR), batch_size=2, epochs=4, shuffle=False, verbose=0,
            callbacks=[backup, *callbacks],
        ).history["loss"]  # fmt: skip

    whole = fit(compiled_fcid(PAIR), folder="whole")
    with pytest.raises(KeyboardInterrupt):
        fit(compiled_fcid(PAIR), Interrupt(), folder="interrupted")
    assert fit(compiled_fcid(PAIR), folder="interrupted") == whole[2:]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_learns(policy):
    model = compiled_fcid(dtype=policy)
    losses = model.fit(small_batch(), epochs=10, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert losses[-1] < losses[0]
    assert {v.dtype for v in model.trainable_variables} == {"float32"}
    main = getattr(model.optimizer, "main", None)
    scaled = isinstance(main, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")


def test_mixed_float16_survives_a_file(tmp_path):
    model = compiled_fcid(PAIR, dtype="mixed_float16")
    model.fit(small_batch(PAIR), epochs=2, verbose=0)
    model.save(tmp_path / "half.keras")
    loaded = keras.saving.load_model(tmp_path / "half.keras")
    losses = [
        m.fit(small_batch(PAIR), epochs=2, shuffle=False, verbose=0).history["loss"]
        for m in (model, loaded)
    ]
    assert losses[0] == losses[1]


def test_train_on_batch_and_test_on_batch():
    model, batch = compiled_fcid(PAIR), small_batch(PAIR)
    logs = model.train_on_batch(batch, return_dict=True)
    assert set(logs) == {"loss", *model.log_keys}
    assert np.isfinite(model.test_on_batch(batch, return_dict=True)["loss"])


def test_one_optimiser_for_both_phases_is_refused():
    optimizer = keras.optimizers.Adam()
    with pytest.raises(ValueError, match="must be two objects"):
        small_fcid(PAIR).compile(optimizer, optimizer)


def poisoned(value):
    batch = small_batch(PAIR)
    batch["text"][2, 1, 3] = value
    return batch


@pytest.mark.parametrize(
    "data, message",
    [
        (poisoned(np.nan), r"'text' must be finite.* row 2"),
        (poisoned(np.inf), r"'text' must be finite.* row 2"),
        (small_batch(PAIR, clips=0), r"at least one clip.*'audio': 0"),
        ({}, r"at least one clip. Received clips: {}"),
        (
            {**small_batch(PAIR), "text": small_batch(PAIR, clips=3)["text"]},
            r"same clips.*'text': 3",
        ),
        ({"audio": small_batch(PAIR)["audio"]}, r"Missing: \['text'\]"),
    ],
    ids=["nan", "infinity", "no clips", "nothing", "unequal", "missing"],
)
def test_bad_data_are_named(data, message):
    with pytest.raises(ValueError, match=message):
        compiled_fcid(PAIR).fit(data, verbose=0)


def test_an_empty_data_set_is_named():
    with pytest.raises(ValueError, match="must yield at least one batch"):
        compiled_fcid(PAIR).fit([], verbose=0)


def test_nan_from_a_loader_stops_training():
    with pytest.raises(ValueError, match=r"Not finite in epoch 1: \[.*'loss'"):
        compiled_fcid(PAIR).fit(Batches(poisoned(np.nan)), shuffle=False, verbose=0)
