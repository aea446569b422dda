import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import CLUBEstimator
from keras_cmg.ops import club_upper_bound, log_likelihood
from tests.helpers import numpy_reference


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


@pytest.mark.parametrize("shape", [(5, 3), (5, 4, 3)])
def test_all_negatives_by_moments_equal_the_loop_over_pairs(shape):
    mean, log_variance, y = draw(*shape), draw(*shape, seed=1), draw(*shape, seed=2)
    expected = numpy_reference.club_upper_bound(mean, log_variance, y)
    assert float(club_upper_bound(mean, log_variance, y)) == pytest.approx(expected, rel=1e-4)


def test_permutations_average_to_all_negatives():
    mean, log_variance, y = draw(4, 3), draw(4, 3, seed=1), draw(4, 3, seed=2)
    rolls = [np.roll(np.arange(4), shift) for shift in range(4)]
    sampled = [
        float(club_upper_bound(mean, log_variance, y, "permutation", roll)) for roll in rolls
    ]
    assert np.mean(sampled) == pytest.approx(
        float(club_upper_bound(mean, log_variance, y)), rel=1e-4
    )


def test_pooled_permutation_of_coarse_features_averages_features_and_sums_clips():
    mean, log_variance, y = draw(4, 3), draw(4, 3, seed=1), draw(4, 3, seed=2)
    order = np.array([2, 0, 3, 1])
    gap = (mean - y[order]) ** 2 - (mean - y) ** 2
    expected = np.sum(gap.mean(axis=1) / np.exp(log_variance.mean(axis=1))) / 2
    found = club_upper_bound(mean, log_variance, y, "pooled_permutation", order)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_pooled_permutation_of_sequences_averages_time_first():
    mean, log_variance, y = draw(4, 5, 3), draw(4, 5, 3, seed=1), draw(4, 5, 3, seed=2)
    order = np.array([2, 0, 3, 1])
    gap = ((mean - y[order]) ** 2 - (mean - y) ** 2).mean(axis=1)
    expected = (gap / np.exp(log_variance.mean(axis=1))).sum(axis=1).mean() / 2
    found = club_upper_bound(mean, log_variance, y, "pooled_permutation", order)
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_likelihood_of_a_hand_example():
    found = log_likelihood(
        np.array([[0.0, 1.0]]), np.array([[0.0, np.log(2.0)]]), np.array([[1.0, 3.0]])
    )
    assert float(found) == pytest.approx((-1 - 4 / 2 - np.log(2)) / 2)


def test_a_single_clip_tells_nothing():
    assert float(club_upper_bound(draw(1, 3), draw(1, 3, seed=1), draw(1, 3, seed=2))) == 0.0


@pytest.mark.parametrize(
    "negatives, message", [("some", "'some'"), ("permutation", "`permutation`")]
)
def test_bad_negatives_are_named(negatives, message):
    with pytest.raises(ValueError, match=message):
        club_upper_bound(draw(2, 2), draw(2, 2), draw(2, 2), negatives)


def test_trained_estimator_bounds_the_information_of_correlated_gaussians():
    """I(x; y) is -d/2 ln(1 - rho^2), and CLUB with the true q is d rho^2 / (1 - rho^2)."""
    rho, dim, clips = 0.8, 2, 1024
    x = draw(clips, dim)
    y = rho * x + np.sqrt(1 - rho**2).astype("float32") * draw(clips, dim, seed=1)
    estimator = CLUBEstimator(hidden_units=32)
    inputs = keras.Input((dim,)), keras.Input((dim,))

    class Likelihood(keras.Model):
        def call(self, pair):
            self.add_loss(-estimator.log_likelihood(*pair))
            return pair[0]

    keras.utils.set_random_seed(0)
    estimator(*inputs)
    model = Likelihood()
    model.estimator = estimator
    model.compile(keras.optimizers.Adam(5e-3))
    model.fit([x, y], epochs=12, batch_size=128, verbose=0)
    bound = float(ops.stop_gradient(estimator.club_upper_bound(x, y)))
    truth = -dim / 2 * np.log(1 - rho**2)
    assert bound > truth
    assert bound == pytest.approx(dim * rho**2 / (1 - rho**2), rel=0.15)
