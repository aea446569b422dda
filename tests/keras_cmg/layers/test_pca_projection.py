"""Features are projected in a model as `data_tools` does it."""

import keras
import numpy as np
import pytest

import keras_cmg
from data_tools.features.pretrained import PCAReduction


@pytest.mark.every_engine
@pytest.mark.parametrize("whiten", [False, True])
def test_projections_are_those_of_the_extraction(whiten):
    random = np.random.default_rng(0)
    features = random.normal(size=(5, 4, 3, 3, 20)) * np.linspace(0.1, 9, 20) + 3
    features = features.astype("float32")
    reduction = PCAReduction(6, whiten).fit([features])
    layer = keras_cmg.layers.PCAProjection(6)
    layer.assign(reduction.mean, reduction.components)
    for x in (features, features[0, 0]):
        found = keras.ops.convert_to_numpy(layer(x))
        np.testing.assert_allclose(found, reduction(x), rtol=0, atol=1e-5)


def test_first_dimensions_are_kept_before_assignment():
    x = np.arange(6, dtype="float32").reshape(2, 3)
    layer = keras_cmg.layers.PCAProjection(2)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(x)), x[:, :2])


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="`num_components` must be at least 1"):
        keras_cmg.layers.PCAProjection(0)
    layer = keras_cmg.layers.PCAProjection(2)
    with pytest.raises(ValueError, match=r"Received num_components=2 for 1 dimensions"):
        layer.build((None, 1))
    with pytest.raises(ValueError, match=r"shapes \(3, 1\) and \(3,\)"):
        layer.assign(np.zeros(3), np.zeros((3, 1)))
    with pytest.raises(ValueError, match="`mean` must be finite"):
        layer.assign([np.nan, 0], np.eye(2))
    layer.assign(np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match="`mean` must have 2 dimensions"):
        layer.assign(np.zeros(3), np.zeros((3, 2)))
