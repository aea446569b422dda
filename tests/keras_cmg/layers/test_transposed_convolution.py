"""Transposed convolution as one matrix product."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import TransposedConvolution


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
def test_equals_the_keras_layer(kernel_size):
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    ours = TransposedConvolution(6, kernel_size, "relu")
    theirs = keras.layers.Conv2DTranspose(6, kernel_size, activation="relu")
    ours.build(x.shape)
    theirs.build(x.shape)
    theirs.set_weights([ours.get_weights()[0], np.linspace(-1, 1, 6)])
    ours.set_weights(theirs.get_weights())
    expected = ops.convert_to_numpy(theirs(x))
    np.testing.assert_allclose(ops.convert_to_numpy(ours(x)), expected, rtol=1e-5, atol=1e-6)
    assert tuple(ours.compute_output_shape(x.shape)) == expected.shape


def test_survives_its_config():
    layer = TransposedConvolution(6, 3, "relu", name="up")
    again = TransposedConvolution.from_config(layer.get_config())
    assert (again.filters, again.kernel_size, again.name) == (6, (3, 3), "up")


@pytest.mark.parametrize("argument", [{"strides": 2}, {"padding": "same"}, {"dilation_rate": 2}])
def test_refuses_what_it_does_not_do(argument):
    with pytest.raises(ValueError, match="strides 1, no dilation"):
        TransposedConvolution(6, 3, **argument)
