"""Gradient reversal: the same values, the opposite gradient, on every engine."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import CodeDiscriminator, GradientReversal
from keras_cmg.ops import reverse_gradient
from tests.helpers.layer_checks import gradient

X = np.random.default_rng(0).standard_normal((3, 4)).astype("float32")


@pytest.mark.every_engine
def test_values_stay_and_gradients_turn():
    for scale in (1.0, 0.3):
        found = ops.convert_to_numpy(reverse_gradient(X, scale))
        np.testing.assert_array_equal(found, X)
        slope = gradient(lambda v, s=scale: ops.sum(ops.square(reverse_gradient(v, s))), X)
        np.testing.assert_allclose(slope, -scale * 2 * X, rtol=1e-5)


def test_a_discriminator_learns_while_its_features_unlearn():
    layer = CodeDiscriminator(2, hidden_units=3, reversal_scale=0.5)
    layer.build((None, 4))

    def loss(v, forward):
        logits = layer(v) if forward else layer.mlp(v)
        return -ops.sum(ops.log_softmax(logits, axis=-1)[:, 0])

    with_reversal, without = (gradient(lambda v, f=f: loss(v, f), X) for f in (True, False))
    assert np.abs(without).max() > 0
    np.testing.assert_allclose(with_reversal, -0.5 * without, rtol=1e-4, atol=1e-6)


def test_a_negative_scale_is_refused():
    with pytest.raises(ValueError, match=r"`scale` must not be negative\. Received: -1"):
        GradientReversal(-1.0)
