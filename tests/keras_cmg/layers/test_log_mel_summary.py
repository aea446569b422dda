"""Sound is summarised in a model as `data_tools` does it."""

import keras
import numpy as np
import pytest

import keras_cmg
from data_tools.features import AudioFeatures
from data_tools.raw.registry import open_raw


@pytest.fixture(scope="module")
def waveforms():
    dataset = open_raw("synthetic")
    return np.stack([dataset.waveform(clip) for clip in dataset.plan({"train": 12}, seed=0)])


@pytest.mark.every_engine
def test_features_are_those_of_the_preparation(waveforms):
    features = AudioFeatures(8000).fit(waveforms)
    found = keras.ops.convert_to_numpy(features.layer("float32")(waveforms.astype("float32")))
    difference = np.abs(found - features(waveforms))
    assert difference.max() < 5e-3
    assert difference.mean() < 1e-5


def test_the_last_second_is_filled_with_silence(waveforms):
    layer = keras_cmg.layers.LogMelSummary(8000)
    cut = waveforms[:2, :12000].astype("float32")
    filled = np.pad(cut, [(0, 0), (0, 4000)])
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(layer(cut)), keras.ops.convert_to_numpy(layer(filled))
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_rate": 10}, "`sample_rate` must be at least 1000"),
        ({"mean": [0.0]}, "`mean` must hold 128 finite numbers"),
        ({"std": [np.nan] * 128}, "`std` must hold 128 finite numbers"),
        ({"std": [0.0] * 128}, "`std` must be positive"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        keras_cmg.layers.LogMelSummary(**arguments)


def test_features_are_no_waveforms():
    with pytest.raises(ValueError, match=r"must have shape \(batch, samples\)"):
        keras_cmg.layers.LogMelSummary()(np.zeros((1, 2, 3)))
