"""The Fréchet distance of generated samples from real ones."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.ops import frechet


@keras.saving.register_keras_serializable("keras_cmg")
class FrechetDistance(keras.metrics.Metric):
    """Computes the squared Fréchet distance of two sets of features.

    With the pool features of the Inception network of Heusel et al. (2017) the result is the FID.
    Distances of other features are not comparable to an FID.

    Args:
        dim: int, length of a feature vector.
        name: str, name of the metric.
        dtype: dtype of the state. `"float64"` is more precise where the engine has it: in single
            precision the distance is exact to about 1e-3 of the summed variances.

    Call arguments:
        y_true: features of real samples, `(batch, dim)`, or None.
        y_pred: features of generated samples, `(batch, dim)`, or None.
        sample_weight: optional `(batch,)`, applies to both.

    Returns:
        Scalar, at least 0, from unbiased covariances. With fewer than `dim` samples the distance is
        defined, but biased upwards.

    Raises:
        ValueError: if `dim` is below 1, or features have another length.

    Example:

    >>> metric = keras_cmg.metrics.FrechetDistance(dim=1)
    >>> metric.update_state(np.array([[0.0], [2.0]]), np.array([[3.0], [5.0]]))
    >>> round(float(metric.result()), 4)
    9.0

    References:
        Heusel et al. (2017), GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash
        Equilibrium, Eq. 6.
    """

    def __init__(self, dim: int, name: str | None = None, dtype: Any = None):
        super().__init__(name=name, dtype=dtype)
        require_sizes(dim=dim)
        self.dim = dim
        self.moments = {
            side: (
                self.add_variable((), "zeros", name=f"{side}_count"),
                self.add_variable((dim,), "zeros", name=f"{side}_mean"),
                self.add_variable((dim, dim), "zeros", name=f"{side}_comoment"),
            )
            for side in ("real", "generated")
        }

    def update_state(self, y_true=None, y_pred=None, sample_weight=None):
        for side, x in (("real", y_true), ("generated", y_pred)):
            if x is None:
                continue
            x = ops.convert_to_tensor(x)
            if len(x.shape) != 2 or x.shape[1] != self.dim:
                raise ValueError(
                    f"Features of {side} samples must have shape (batch, {self.dim}). "
                    f"Received shape {tuple(x.shape)}."
                )
            state = self.moments[side]
            merged = frechet.merge_moments(*state, x, sample_weight)
            for variable, value in zip(state, merged, strict=True):
                variable.assign(value)

    def result(self):
        gaussians = []
        for count, mean, comoment in self.moments.values():
            covariance = ops.convert_to_tensor(comoment) / ops.maximum(count - 1, 1)
            gaussians += [ops.convert_to_tensor(mean), covariance]
        return frechet.frechet_distance(*gaussians)

    def get_config(self):
        return {**super().get_config(), "dim": self.dim}
