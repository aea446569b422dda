"""Layers on parts of a batch: results and gradients of the whole, in the memory of a part."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.backend.rematerialization import compute_in_chunks
from tests.helpers.small_fcid import compiled, small_batch, small_fcid

BACKBONE = {"general": {"feedforward_units": 8, "num_heads": 2, "dropout": 0.0}}


def trained(batch_chunks, modalities, **weights):
    """Logs and weights of a model after two steps on clips with masks.

    By gradient descent: Adam makes whole steps of gradients that are zero but for rounding.
    """
    model = small_fcid(modalities, BACKBONE, loss_weights=weights)
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), batch_chunks=batch_chunks)
    batch = small_batch(modalities, clips=6)
    name = modalities[-1]
    batch[f"{name}_mask"] = np.ones(batch[name].shape[:2], bool)
    batch[f"{name}_mask"][0, 3:] = batch[f"{name}_mask"][2] = False
    logs = [model.train_on_batch(batch, return_dict=True) for _ in range(2)]
    logs = [{name: float(value) for name, value in log.items()} for log in logs]
    return logs, [(v.path, ops.convert_to_numpy(v)) for v in model.variables]


def check_chunks_change_nothing(batch_chunks, modalities, **weights):
    whole_logs, whole = trained(1, modalities, **weights)
    logs, found = trained(batch_chunks, modalities, **weights)
    for expected, log in zip(whole_logs, logs, strict=True):
        assert log == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for (path, expected), (_, value) in zip(whole, found, strict=True):
        np.testing.assert_allclose(value, expected, 1e-5, 2e-6, err_msg=path)


@pytest.mark.every_engine
def test_training_in_chunks_equals_training_on_the_whole_batch():
    """InfoNCE, CPC, CLUB and its estimators, decoders, and the moving codebook."""
    check_chunks_change_nothing(2, ("audio", "imu"), segment_infonce=1.0)


@pytest.mark.parametrize("batch_chunks", [2, 4], ids=["equal", "unequal"])
def test_chunks_of_feature_maps_change_nothing(batch_chunks):
    check_chunks_change_nothing(batch_chunks, ("audio", "video", "text"))


@pytest.mark.every_engine
@pytest.mark.parametrize("num_chunks", [2, 3], ids=["unequal", "one row each"])
def test_weights_get_the_gradient_of_all_chunks(num_chunks):
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    inputs = {"x": np.random.default_rng(0).standard_normal((3, 3)).astype("float32")}

    def whole(inputs):
        return ops.sum(ops.square(layer(inputs["x"])))

    def chunked(inputs):
        return ops.sum(ops.square(compute_in_chunks(layer, [layer], [inputs["x"]], num_chunks)))

    variables = layer.trainable_variables
    expected, slopes = engine.gradients(whole, variables, inputs)
    found, chunked_slopes = engine.gradients(chunked, variables, inputs)
    for a, b in zip([*expected, slopes["x"]], [*found, chunked_slopes["x"]], strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(b), ops.convert_to_numpy(a), 1e-5)


@pytest.mark.every_engine
def test_dropout_draws_for_each_chunk_the_same_mask_in_both_passes():
    """With y = mask x, the gradient is the mask: it shows what the backward pass drew."""
    layer = keras.layers.Dropout(0.5, seed=1)
    layer.build((None, 64))
    x = np.ones((4, 64), "float32")

    def objective(inputs):
        found = compute_in_chunks(
            lambda rows: layer(rows, training=True), [layer], [inputs["x"]], 2
        )
        return ops.sum(found * inputs["weights"]) + ops.sum(ops.square(found)) / 2

    before = ops.convert_to_numpy(layer.seed_generator.state)
    _, found = engine.gradients(objective, [], {"x": x, "weights": 0 * x})
    mask = ops.convert_to_numpy(found["weights"])  # the values y
    np.testing.assert_allclose(ops.convert_to_numpy(found["x"]), mask * mask)
    assert not np.array_equal(mask[:2], mask[2:])
    if keras.backend.backend() != "jax":  # there, state within a gradient is undefined
        assert not np.array_equal(ops.convert_to_numpy(layer.seed_generator.state), before)


def test_layers_that_depend_on_the_rows_beside_are_refused():
    layer = keras.layers.BatchNormalization()
    layer.build((None, 3))
    with pytest.raises(ValueError, match=r"`batch_chunks` must be 1 .*moving_mean"):
        compute_in_chunks(lambda x: layer(x, training=True), [layer], [ops.ones((4, 3))], 2)
    layer = keras.layers.ActivityRegularization(0.1)
    layer.build((None, 3))
    with pytest.raises(ValueError, match="`batch_chunks` must be 1 with layers that call"):
        compute_in_chunks(layer, [layer], [ops.ones((4, 3))], 2)


def test_bad_numbers_of_chunks_are_named():
    layer = keras.layers.Dense(1)
    layer.build((None, 3))
    with pytest.raises(ValueError, match=r"`batch_chunks` must be at most .* 2. Received: 3"):
        compute_in_chunks(layer, [layer], [ops.ones((2, 3))], 3)
    with pytest.raises(ValueError, match=r"`batch_chunks` must be at least 1. Received: 0"):
        small_fcid(("audio",)).compile(batch_chunks=0)


def test_the_setting_is_saved_with_the_optimisers(tmp_path):
    model = compiled(small_fcid(("audio",)), batch_chunks=2)
    model.train_on_batch(small_batch(("audio",)))
    model.save(tmp_path / "model.keras")
    assert keras.saving.load_model(tmp_path / "model.keras").backbone.batch_chunks == 2


def test_the_last_batch_may_have_fewer_clips_than_chunks():
    model = small_fcid(("audio", "imu"), BACKBONE, loss_weights={"segment_infonce": 1.0})
    model.compile("adam", batch_chunks=3)
    batch = small_batch(("audio", "imu"), clips=5)
    history = model.fit(batch, batch_size=4, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
