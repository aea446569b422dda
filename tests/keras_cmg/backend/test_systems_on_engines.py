"""Every system without a test of its own takes the same steps on every engine."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from tests.helpers import small_systems
from tests.helpers.small_systems import ON_ENGINES

ENGINE = keras.backend.backend()


def array(value):
    return np.array(ops.convert_to_numpy(value))


@pytest.mark.every_engine
@pytest.mark.parametrize("name", ON_ENGINES)
def test_three_steps_repeat_the_numbers_of_float64(name, tmp_path):
    model = small_systems.fixed_system(name)
    found = small_systems.three_steps(model)
    expected = json.loads(small_systems.EXPECTED.read_text())[name]
    assert set(found) == set(expected) == {"loss", *model.log_keys}
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, rel=1e-3, abs=1e-4), key
    # One compiled model for all that is engine's own: saving, and that inference moves nothing.
    before = [array(v) for v in model.weights]
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True, compile=False)
    x = small_systems.batch()
    for m in ("audio", "text"):
        codes = [array(system.backbone.encode(m, x[m])["quantized"]) for system in (model, loaded)]
        np.testing.assert_allclose(codes[0], codes[1], rtol=1e-5, atol=1e-6)
    for old, new, again in zip(before, model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(old, array(new))
        np.testing.assert_array_equal(old, array(again))


@pytest.mark.skipif(ENGINE != "torch", reason="the file was written on PyTorch")
def test_expected_numbers_are_up_to_date():
    expected = json.loads(small_systems.EXPECTED.read_text())
    for name, logs in small_systems.expected_steps().items():
        assert set(logs) == set(expected[name])
        for key, values in expected[name].items():
            assert logs[key] == pytest.approx(values, rel=1e-5, abs=1e-6), (name, key)
