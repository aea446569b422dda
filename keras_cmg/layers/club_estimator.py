"""CLUB: how much one feature still tells about another, as an upper bound in nats."""

from __future__ import annotations

from typing import Any

import keras

from keras_cmg.layers.precision import full_precision
from keras_cmg.ops import mutual_information
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class CLUBEstimator(keras.layers.Layer):
    """A Gaussian q(y | x) from two small networks, and the bound on I(x; y) it gives.

    Trained apart from the features it watches: maximise `log_likelihood` on features without
    gradient, then hold the estimator still and minimise `club_upper_bound` over the features.
    Computes     in the dtype of its variables under every mixed-precision policy.

    Args:
        hidden_units: width; the inner layers have half of it.
        negatives: `"all"`, `"permutation"` or `"pooled_permutation"`, see
            `keras_cmg.ops.club_upper_bound`.
        dtype: a policy; computation takes the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        x: float tensor `(batch, [frames,] x_dim)`.
        y: float tensor `(batch, [frames,] y_dim)`.

    Returns:
        Dict of `"mean"` and `"log_variance"`, each `(batch, [frames,] y_dim)`.

    Raises:
        ValueError: for `hidden_units` below 2 or unknown `negatives`.

    Example:

    >>> club = keras_cmg.layers.CLUBEstimator(hidden_units=8)
    >>> out = club(np.zeros((4, 3), "float32"), np.zeros((4, 2), "float32"))
    >>> tuple(out["mean"].shape)
    (4, 2)

    References:
        Cheng et al. (2020), CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information;
        Huang et al. (2025), Eq. 12.
    """

    def __init__(
        self, hidden_units: int = 256, negatives: str = "all", dtype: Any = None, **kwargs
    ):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        if hidden_units < 2:
            raise ValueError(f"`hidden_units` must be at least 2. Received: {hidden_units}")
        if negatives not in mutual_information.NEGATIVES:
            raise ValueError(
                f"`negatives` must be one of {mutual_information.NEGATIVES}. "
                f"Received: {negatives!r}"
            )
        self.hidden_units = hidden_units
        self.negatives = negatives

    def build(self, x_shape, y_shape):
        self.mean_net = self._network(y_shape[-1], None, "mean")
        self.log_variance_net = self._network(y_shape[-1], "tanh", "log_variance")
        self.mean_net.build(x_shape)
        self.log_variance_net.build(x_shape)
        self.built = True

    def _network(self, dim: int, activation: str | None, name: str) -> keras.Sequential:
        width = self.hidden_units // 2
        hidden = [
            keras.layers.Dense(width, "relu", dtype=self.dtype_policy, name=f"hidden_{i}")
            for i in range(3)
        ]
        last = keras.layers.Dense(dim, activation, dtype=self.dtype_policy, name="output")
        return keras.Sequential([*hidden, last], name=name)

    def call(self, x, y):
        return {"mean": self.mean_net(x), "log_variance": self.log_variance_net(x)}

    def log_likelihood(self, x: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """Mean log-density of y given x, without the constant; what the estimator maximises.

        Args:
            x: float tensor `(batch, [frames,] x_dim)`.
            y: float tensor `(batch, [frames,] y_dim)`.
            weights: optional `(batch, [frames])`; 0 leaves a sample out.

        Returns:
            Scalar, in nats.

        Example:

        >>> club = keras_cmg.layers.CLUBEstimator(hidden_units=8)
        >>> club.log_likelihood(np.ones((4, 3)), np.ones((4, 2))).ndim
        0
        """
        q = self(x, y)
        return mutual_information.log_likelihood(q["mean"], q["log_variance"], y, weights)

    def club_upper_bound(
        self,
        x: Tensor,
        y: Tensor,
        permutation: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """The bound on the mutual information; what the features minimise.

        Args:
            x: float tensor `(batch, [frames,] x_dim)`.
            y: float tensor `(batch, [frames,] y_dim)`.
            permutation: int tensor `(batch,)`, for sampled negatives.
            weights: optional `(batch, [frames])`; 0 leaves a sample out.

        Returns:
            Scalar, in nats.

        Raises:
            ValueError: if the negatives are sampled and `permutation` is missing.

        Example:

        >>> club = keras_cmg.layers.CLUBEstimator(hidden_units=8)
        >>> club.club_upper_bound(np.ones((4, 3)), np.ones((4, 2))).ndim
        0
        """
        q = self(x, y)
        return mutual_information.club_upper_bound(
            q["mean"], q["log_variance"], y, self.negatives, permutation, weights
        )

    def get_build_config(self):
        shapes = [self.mean_net.input_shape, self.mean_net.output_shape] if self.built else []
        return {"shapes": shapes}

    def build_from_config(self, config):
        if config["shapes"]:
            self.build(*config["shapes"])

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "negatives": self.negatives,
        }
