"""`fit` and its kin take what Keras takes, and work with the usual callbacks."""

import csv
import inspect

import keras
import numpy as np
import pytest

import keras_cmg
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


def as_named_loader(batch):
    """The loader of PyTorch's own collation, which makes lists of texts."""
    import torch

    clips = [{name: x[i] for name, x in batch.items()} for i in range(4)]
    clips = [{**clip, "file": str(clip["file"])} for clip in clips]

    def collate(chosen):
        return (torch.utils.data.default_collate(chosen),)

    return torch.utils.data.DataLoader(clips, batch_size=2, collate_fn=collate)


def as_tf_data(batch):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices((batch,)).batch(2)


def bare(make):
    """Data of a kind whose batches are dicts, not tuples of one."""
    if make is Batches:

        class Bare(Batches):
            def __getitem__(self, index):
                return super().__getitem__(index)[0]

        return Bare
    if make is as_generator:
        return lambda batch: (x for (x,) in as_generator(batch))

    def loader(batch):
        found = as_loader(batch)
        return type(found)(
            found.dataset, batch_size=2, collate_fn=lambda clips: found.collate_fn(clips)[0]
        )

    return loader


def as_lists(batch):
    return {name: x.tolist() for name, x in batch.items()}


@pytest.fixture(scope="module")
def expected():
    return compiled_fcid(PAIR).fit(small_batch(PAIR), batch_size=2, shuffle=False, verbose=0)


@pytest.mark.parametrize("make", [Batches, as_generator, as_loader, as_tf_data])
def test_every_kind_of_data_trains_alike(make, expected):
    history = compiled_fcid(PAIR).fit(
        make(small_batch(PAIR)), steps_per_epoch=2, shuffle=False, verbose=0
    )
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)


@pytest.mark.parametrize("make", [Batches, as_generator, as_loader])
def test_batches_may_be_dicts(make, expected):
    history = compiled_fcid(PAIR).fit(
        bare(make)(small_batch(PAIR)), steps_per_epoch=2, shuffle=False, verbose=0
    )
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)


def test_arrays_may_be_lists(expected):
    history = compiled_fcid(PAIR).fit(
        as_lists(small_batch(PAIR)), batch_size=2, shuffle=False, verbose=0
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


def poisoned(value=np.nan, clips=4):
    batch = small_batch(PAIR, clips)
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
        (None, "`x` must be a dict of arrays, or a data set of batches.*Received: None"),
        ([np.ones(2), np.ones(2)], r"`x` must be.*Received: list of \['ndarray', 'ndarray'\]"),
        ([], r"`x` must be.*Received: list of \[\]"),
        (np.ones((4, 10, 12)), "`x` must be.*Received: ndarray"),
        (
            {**small_batch(PAIR), "text": [[[1.0]], [[1.0], [2.0]]]},
            r"Entry 'text' of a batch must be .*one length\. Received a list",
        ),
        ({**small_batch(PAIR), "txt_mask": np.ones((4, 5))}, r"Received: \['txt_mask'\]"),
    ],
    ids=str,
)
def test_bad_data_are_named(data, message):
    for method in ("fit", "evaluate"):
        with pytest.raises(ValueError, match=message):
            getattr(compiled_fcid(PAIR), method)(data, verbose=0)


def test_a_data_set_without_batches_is_named():
    class Empty(keras.utils.PyDataset):
        def __len__(self):
            return 0

    with pytest.raises(ValueError, match="`x` must yield at least one batch"):
        compiled_fcid(PAIR).fit(Empty(), verbose=0)


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_signatures_are_those_of_keras(method):
    for name in (method, method if method == "fit" else f"{method}_on_batch"):
        if not hasattr(keras.Model, name):
            name = {"evaluate_on_batch": "test_on_batch"}[name]
        found = inspect.signature(getattr(keras_cmg.models.FCID, name)).parameters
        expected = inspect.signature(getattr(keras.Model, name)).parameters
        assert [(p.name, p.default, p.kind) for p in found.values()] == [
            (p.name, p.default, p.kind) for p in expected.values()
        ]


def test_train_on_batch_has_the_signature_of_keras():
    found, expected = (
        inspect.signature(cls.train_on_batch) for cls in (keras_cmg.models.FCID, keras.Model)
    )
    assert list(found.parameters) == list(expected.parameters)


def test_arguments_by_position(shared):
    history = shared.fit(small_batch(PAIR), None, 2, 1, 0)
    assert history.params["steps"] == 2
    assert np.isfinite(shared.evaluate(small_batch(PAIR), None, 2, 0)[0])


@pytest.fixture(scope="module")
def shared():
    """One model for the tests that leave open how it is trained."""
    return compiled_fcid(PAIR, loss_weights={"code_matching": 1.0})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"y": np.ones(4)}, "`y` must be None: training uses no labels"),
        ({"sample_weight": np.ones(4)}, "`sample_weight` must be None.*_mask"),
        ({"class_weight": {0: 1.0}}, "`class_weight` must be None.*_mask"),
    ],
)
def test_labels_and_weights_are_refused(shared, arguments, message):
    with pytest.raises(ValueError, match=message):
        shared.fit(small_batch(PAIR), verbose=0, **arguments)
    with pytest.raises(ValueError, match=message):
        shared.train_on_batch(small_batch(PAIR), **arguments)
    if "class_weight" not in arguments:
        with pytest.raises(ValueError, match=message):
            shared.evaluate(small_batch(PAIR), verbose=0, **arguments)


def test_labels_and_weights_of_a_loader_are_refused(shared):
    generator = ((small_batch(PAIR), None, np.ones(4)) for _ in range(2))
    with pytest.raises(ValueError, match="`sample_weight` must be None"):
        shared.fit(generator, shuffle=False, verbose=0)
    validation = (small_batch(PAIR), np.ones(4))
    with pytest.raises(ValueError, match="`y` must be None"):
        shared.fit(small_batch(PAIR), validation_data=validation, verbose=0)


def test_masks_of_a_loader_are_checked(shared):
    batch = {**small_batch(PAIR), "txt_mask": np.ones((4, 5))}
    with pytest.raises(ValueError, match=r"must name a modality.*\['txt_mask'\]"):
        shared.fit(((batch,) for _ in range(2)), shuffle=False, verbose=0)
    # The mask of an entry that the model does not use is no mistake.
    more = {**small_batch(PAIR), "smell": np.ones((4, 2)), "smell_mask": np.ones((4, 2))}
    assert np.isfinite(shared.evaluate(more, verbose=0)[0])


def names_of(batch):
    return np.array([f"clip{i}.wav" for i in range(len(batch["audio"]))])


def with_names(make):
    """Data of a kind whose batches also name files, and hold NaN that no modality uses."""

    def extended(batch):
        return make(
            {**batch, "file": names_of(batch), "labels": np.full(len(batch["audio"]), np.nan)}
        )

    return extended


@pytest.mark.parametrize("make", [dict, Batches, as_generator, as_tf_data, as_named_loader])
def test_text_and_unused_entries_change_nothing(make, expected):
    history = compiled_fcid(PAIR).fit(
        with_names(make)(small_batch(PAIR)),
        batch_size=2 if make is dict else None,
        steps_per_epoch=2,
        shuffle=False,
        verbose=0,
    )
    assert history.history["loss"] == pytest.approx(expected.history["loss"], rel=1e-5)


@pytest.mark.every_engine
def test_masked_frames_have_no_influence():
    """NaN in frames that a mask leaves out is as good as zeros: in losses, features and codes."""
    batch = small_batch(("text",))
    batch["text_mask"] = np.ones((4, 5), "float32")
    batch["text_mask"][1:, 3:] = 0
    batch["text"][1:, 3:] = 0
    noisy = {**batch, "text": batch["text"].copy()}
    noisy["text"][1:, 3:] = np.nan
    results = []
    for data in (batch, noisy):
        model = compiled_fcid(("text",), backbone=NO_DROPOUT)
        loss = model.fit(data, epochs=2, shuffle=False, verbose=0).history["loss"]
        features = model.predict(data, verbose=0)
        codes = model.backbone.encode("text", data["text"], "clip", data["text_mask"])
        codes = {name: keras.ops.convert_to_numpy(x) for name, x in codes.items()}
        results.append((loss, features["indices"]["text"], codes["general"]))
    for clean, other in zip(*results, strict=True):
        np.testing.assert_allclose(other, clean, rtol=1e-5, atol=1e-6)


NO_DROPOUT = {"general": {"num_heads": 2, "feedforward_units": 8, "dropout": 0.0}}


def test_predict_has_one_row_per_clip(shared):
    features = shared.predict(small_batch(PAIR, clips=5), batch_size=2, verbose=0)
    assert "codebook" not in features
    for value in keras.tree.flatten(features):
        assert len(value) == 5
    assert "codebook" not in shared.predict_on_batch(small_batch(PAIR))


@pytest.mark.parametrize("make", [dict, tuple, Batches, as_tf_data])
def test_validation_data_of_every_kind(make, shared):
    batch = small_batch(PAIR, seed=3)
    data = (batch,) if make is tuple else make(batch)
    history = shared.fit(
        small_batch(PAIR), validation_data=data, validation_batch_size=2, verbose=0
    )
    expected = shared.evaluate(batch, batch_size=2, verbose=0, return_dict=True)
    assert history.history["val_loss"] == pytest.approx([expected["loss"]], rel=1e-5)


def test_validation_split_and_first_epoch(shared):
    batch = small_batch(PAIR, clips=8)
    history = shared.fit(
        batch, validation_split=0.5, batch_size=2, epochs=3, initial_epoch=1, verbose=0
    )
    assert history.epoch == [1, 2] and history.params["steps"] == 2
    last = {name: x[4:] for name, x in batch.items()}
    expected = shared.evaluate(last, batch_size=2, verbose=0, return_dict=True)
    assert history.history["val_loss"][-1] == pytest.approx(expected["loss"], rel=1e-5)


class Counter(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1


@pytest.mark.parametrize("kind", ["none", "one", "list", "tuple", "nested", "callback list"])
def test_callbacks_in_every_form(kind, shared):
    counter = Counter()
    given = {
        "none": None,
        "one": counter,
        "list": [counter],
        "tuple": (counter,),
        "nested": [[counter]],
        "callback list": keras.callbacks.CallbackList([counter], epochs=1),
    }[kind]
    history = shared.fit(small_batch(PAIR), callbacks=given, verbose=0)
    assert counter.epochs == (kind != "none")
    assert len(history.history["loss"]) == 1
    if kind == "list":
        assert given == [counter]
    if kind == "callback list":
        assert given.callbacks == [counter]
    # The guard is there in every form.
    with pytest.raises(ValueError, match="must be finite"):
        compiled_fcid(PAIR).fit(Batches(poisoned()), shuffle=False, callbacks=given, verbose=0)


@pytest.mark.every_engine
def test_moving_averages_of_the_weights_are_swapped():
    """`SwapEMAWeights` evaluates the averages and trains on the weights; averages are the end."""
    seen = []

    class Look(keras.callbacks.Callback):
        def on_test_begin(self, logs=None):
            seen.append(np.array(keras.ops.convert_to_numpy(self.model.trainable_variables[0])))

        def on_epoch_end(self, epoch, logs=None):
            seen.append(np.array(keras.ops.convert_to_numpy(self.model.trainable_variables[0])))

    model = small_fcid(("audio",))
    main = keras.optimizers.Adam(1e-2, use_ema=True, ema_momentum=0.5)
    model.compile(main)
    assert isinstance(model.optimizer, keras_cmg.optimizers.PhasedOptimizer)
    callbacks = [keras.callbacks.SwapEMAWeights(), Look()]
    batch = small_batch(("audio",))
    model.fit(batch, validation_data=batch, epochs=2, callbacks=callbacks, verbose=0)
    _, trained, last_averaged, last_trained = seen
    assert not np.array_equal(last_averaged, last_trained)
    np.testing.assert_allclose(last_averaged, (trained + last_trained) / 2, atol=1e-6)
    final = keras.ops.convert_to_numpy(model.trainable_variables[0])
    np.testing.assert_allclose(final, last_averaged, atol=1e-7)


def test_averages_need_an_optimiser_that_keeps_them(shared):
    with pytest.raises(ValueError, match="use_ema"):
        shared.fit(
            small_batch(PAIR),
            validation_data=small_batch(PAIR),
            callbacks=keras.callbacks.SwapEMAWeights(),
            verbose=0,
        )


def test_the_callbacks_of_keras(shared, tmp_path):
    rate = float(shared.optimizer.main.learning_rate)
    callbacks = [
        keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.weights.h5", save_weights_only=True),
        keras.callbacks.ReduceLROnPlateau(monitor="loss", patience=1, min_delta=1e9, cooldown=0),
        keras.callbacks.EarlyStopping(monitor="loss", patience=2, restore_best_weights=True),
    ]
    shared.fit(small_batch(PAIR), epochs=3, callbacks=callbacks, verbose=0)
    assert float(shared.optimizer.main.learning_rate) < 0.2 * rate
    assert float(shared.optimizer.estimator.learning_rate) == pytest.approx(1e-2)
    shared.optimizer.main.learning_rate = rate
    before = shared.get_weights()
    shared.load_weights(tmp_path / "3.weights.h5")
    after = shared.get_weights()
    best = callbacks[2].best_epoch
    same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert same == (best == 2)


def test_a_saved_model_keeps_both_optimisers_and_their_averages(tmp_path):
    model = small_fcid(("audio",))
    model.compile(keras.optimizers.Adam(1e-2, use_ema=True))
    model.fit(small_batch(("audio",)), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (a, b)))


@keras.saving.register_keras_serializable("tests")
class PenalizedDecoder(keras.layers.Layer):
    """A decoder with a loss of its own and a regularised kernel."""

    def build(self, general, specific=None):
        self.dense = keras.layers.Dense(12, kernel_regularizer=keras.regularizers.L2(0.1))
        self.dense.build(general)
        self.built = True

    def call(self, general, specific):
        self.add_loss(3.0 * keras.ops.ones(()))
        return self.dense(general)


@pytest.mark.every_engine
def test_losses_that_layers_add_count_once():
    decoder = PenalizedDecoder()
    model = compiled_fcid(("audio",), decoders={"audio": decoder})
    batch = small_batch(("audio",))
    model.build({name: x.shape for name, x in batch.items()})
    kernel = keras.ops.convert_to_numpy(decoder.dense.kernel)
    logs = model.train_on_batch(batch, return_dict=True)
    terms = sum(weight * float(logs[term]) for term, weight in model.loss_weights.items())
    added = 3.0 + 0.1 * np.square(kernel).sum()
    assert float(logs["loss"]) - terms == pytest.approx(added, rel=1e-4)
