import numpy as np
import pytest
import torch
from keras import ops

from keras_cmg.layers import BatchNormMapEncoder, GlobalBatchNormalization

X = np.random.default_rng(0).normal(2, 3, (4, 5, 5, 3)).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def test_two_steps_are_those_of_pytorch():
    ours, theirs = GlobalBatchNormalization(), torch.nn.BatchNorm2d(3)
    for x in (X, 2 * X + 1):
        expected = theirs(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        found = array(ours(x, training=True))
        np.testing.assert_allclose(found, expected.detach().numpy(), atol=1e-5)
    np.testing.assert_allclose(array(ours.moving_mean), theirs.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(array(ours.moving_variance), theirs.running_var.numpy(), rtol=1e-5)
    theirs.eval()
    expected = theirs(torch.tensor(X).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(array(ours(X)), expected.detach().numpy(), atol=1e-5)


def test_rows_without_weight_have_no_part():
    whole, part = GlobalBatchNormalization(), GlobalBatchNormalization()
    weights = np.array([1.0, 0.0, 1.0, 0.0])
    junk = np.where(weights[:, None, None, None] > 0, X, 1e3).astype("float32")
    found = array(part(junk, weights=weights, training=True))[::2]
    np.testing.assert_allclose(found, array(whole(X[::2], training=True)), atol=1e-5)
    np.testing.assert_allclose(array(part.moving_variance), array(whole.moving_variance), rtol=1e-5)


@pytest.mark.parametrize("case", ["no row", "not finite"])
def test_such_a_batch_changes_nothing(case):
    layer = GlobalBatchNormalization()
    layer(X, training=True)
    before = array(layer.moving_mean), array(layer.moving_variance)
    x = X if case == "no row" else np.where(X > 2, np.nan, X)
    out = array(layer(x, weights=np.zeros(4) if case == "no row" else None, training=True))
    assert np.isfinite(out).all() == (case == "no row")
    np.testing.assert_array_equal(before[0], array(layer.moving_mean))
    np.testing.assert_array_equal(before[1], array(layer.moving_variance))


def test_masked_frames_have_no_part_in_the_map_encoder():
    x = np.random.default_rng(1).normal(size=(2, 3, 5, 5, 2)).astype("float32")
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    junk = np.where(mask[..., None, None, None] > 0, x, 50.0).astype("float32")
    layer = BatchNormMapEncoder(3, 4)
    expected = array(layer(x, frame_mask=mask, training=True))
    found = array(layer(junk, frame_mask=mask, training=True))
    np.testing.assert_allclose(found[mask > 0], expected[mask > 0], atol=1e-5)
    with pytest.raises(ValueError, match="height and width of at least 5"):
        BatchNormMapEncoder(3, 4).build((None, 3, 4, 5, 2))
