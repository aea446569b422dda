"""The same steps, the same numbers, on every engine."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.backend import engine
from tests.helpers import five_steps
from tests.helpers.small_fcid import compiled_fcid, small_batch

pytestmark = pytest.mark.every_engine

ENGINE = keras.backend.backend()


def array(value):
    return np.array(ops.convert_to_numpy(value))


@pytest.fixture(scope="module")
def trained():
    """One model for all tests here, since compiling it is what takes the time."""
    model = five_steps.fixed_model()
    return model, five_steps.run(model)


def test_five_steps_repeat_the_numbers_of_float64(trained):
    expected = json.loads(five_steps.EXPECTED.read_text())
    _, found = trained
    assert set(found) == set(expected)
    for key, values in expected.items():
        # The estimators' fit crosses zero.
        smallest = 5e-5 if key.endswith("_nll") else 1e-5
        assert found[key] == pytest.approx(values, rel=1e-4, abs=smallest), key


@pytest.mark.skipif(ENGINE != "torch", reason="the file was written on PyTorch")
def test_expected_numbers_are_up_to_date():
    with_float64 = keras.config.floatx()
    keras.config.set_floatx("float64")
    try:
        found = five_steps.run(five_steps.fixed_model("float64"))
    finally:
        keras.config.set_floatx(with_float64)
    for key, values in json.loads(five_steps.EXPECTED.read_text()).items():
        # Logs are running means in single precision, whatever the model's own.
        assert found[key] == pytest.approx(values, rel=1e-5, abs=1e-6), key


def test_evaluation_moves_nothing_and_reports_every_term(trained):
    model, _ = trained
    before = [array(v) for v in model.weights]
    logs = model.evaluate(small_batch(), verbose=0, return_dict=True)
    assert set(logs) == {"loss", *model.log_keys}
    assert logs["club_audio_nll"] != 0
    for old, new in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, array(new))


def test_a_loaded_model_goes_on_where_the_saved_one_does(trained, tmp_path):
    model, _ = trained
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    batch = small_batch(seed=7)
    losses = [
        m.fit(batch, batch_size=4, epochs=2, shuffle=False, verbose=0).history["loss"]
        for m in (model, loaded)
    ]
    # XLA may fuse the two programs differently.
    assert losses[1] == pytest.approx(losses[0], rel=0 if ENGINE == "torch" else 1e-6)


@pytest.mark.parametrize("jit_compile", ["auto", True])
def test_half_precision_with_and_without_xla(jit_compile):
    if jit_compile is True and ENGINE == "torch":
        pytest.skip("torch.compile takes minutes")
    batch = small_batch(("audio",))
    model = compiled_fcid(("audio",), dtype="mixed_bfloat16", jit_compile=jit_compile)
    history = model.fit(batch, epochs=3, shuffle=False, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    exact = compiled_fcid(("audio",), jit_compile=jit_compile)
    expected = exact.fit(batch, epochs=3, shuffle=False, verbose=0).history
    assert history["loss"][0] == pytest.approx(expected["loss"][0], rel=0.05)
    assert {v.dtype for v in model.backbone.quantizer.weights} == {"float32", "int32"}


@pytest.mark.skipif(ENGINE == "torch", reason="Keras takes one step per execution on PyTorch")
def test_several_steps_per_execution():
    batch = small_batch(("text",), clips=8)
    histories = []
    for steps in (1, 2):
        model = compiled_fcid(("text",), steps_per_execution=steps)
        histories.append(model.fit(batch, batch_size=2, shuffle=False, verbose=0).history)
    assert histories[1]["loss"] == pytest.approx(histories[0]["loss"], rel=1e-5)


def test_rows_of_negative_segments_are_left_out():
    x = np.arange(8, dtype="float32").reshape(4, 2)
    indices = ops.convert_to_tensor(np.array([2, -1, 0, -5], "int32"))
    total = engine.segment_sum(ops.convert_to_tensor(x), indices, 3)
    np.testing.assert_array_equal(array(total), [x[2], [0, 0], x[0]])


def test_adding_patches_is_the_gradient_of_taking_them():
    random = np.random.default_rng(0)
    x = random.standard_normal((2, 5, 4, 3)).astype("float32")
    y = random.standard_normal((2, 4, 2, 2 * 3 * 3)).astype("float32")
    taken = engine.patches(ops.convert_to_tensor(x), 2, 3)
    np.testing.assert_array_equal(array(taken)[1, 2, 1], x[1, 2:4, 1:4].ravel())
    added = engine.add_patches(ops.convert_to_tensor(y), 2, 3)
    assert np.vdot(array(taken), y) == pytest.approx(np.vdot(x, array(added)), rel=1e-5)

    def product(inputs):
        patches = engine.patches(inputs["x"], 2, 3)
        return ops.sum(patches * inputs["y"]) + ops.sum(
            engine.add_patches(inputs["y"], 2, 3) * inputs["x"]
        )

    _, slopes = engine.gradients(product, [], {"x": x, "y": y})
    np.testing.assert_allclose(array(slopes["x"]), 2 * array(added), rtol=1e-5)
    np.testing.assert_allclose(array(slopes["y"]), 2 * array(taken), rtol=1e-5)
