import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import PatchConvolution, patch_convolution
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.every_engine
@pytest.mark.parametrize("small_kernel", [0, patch_convolution.SMALL_KERNEL])
@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3},
        {"kernel_size": (2, 3), "padding": "same", "use_bias": False},
        {"kernel_size": 1, "activation": "relu"},
    ],
    ids=str,
)
def test_same_numbers_and_gradients_as_keras(arguments, small_kernel, monkeypatch):
    monkeypatch.setattr(patch_convolution, "SMALL_KERNEL", small_kernel)
    ours, theirs = PatchConvolution(4, **arguments), keras.layers.Conv2D(4, **arguments)
    x = draw(2, 6, 5, 3)
    for layer in (ours, theirs):
        layer.build(x.shape)
        layer.set_weights([draw(*w.shape, seed=i) for i, w in enumerate(layer.get_weights())])
    found, expected = (ops.convert_to_numpy(ops.stop_gradient(f(x))) for f in (ours, theirs))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    weight = ops.convert_to_tensor(draw(*expected.shape, seed=9))
    gradients = [gradient(lambda v, f=f: ops.sum(f(v) * weight), x) for f in (ours, theirs)]
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "argument",
    [{"strides": 2}, {"dilation_rate": 2}, {"groups": 2}, {"padding": "causal"}],
    ids=str,
)
def test_what_it_does_not_do_is_named(argument):
    with pytest.raises(ValueError, match=r"strides|dilation|groups|padding"):
        PatchConvolution(4, **argument)
