"""CLUB: an estimator of an upper bound on mutual information."""

from __future__ import annotations

import itertools
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.precision import variable_dtype
from keras_cmg.ops import mutual_information
from keras_cmg.types import Tensor

NETWORKS = ("mean", "log_variance")


@keras.saving.register_keras_serializable("keras_cmg")
class CLUBEstimator(keras.layers.Layer):
    """Estimates a Gaussian q(y | x) with two networks, and bounds the mutual information I(x; y).

    The estimator is trained apart from the features: maximise `log_likelihood` on features without
    gradient, then minimise `club_upper_bound` over the features with the estimator's weights fixed.
    Computation is in the variable dtype under every mixed-precision policy.

    Masks: calls read none. `log_likelihood` and `club_upper_bound` take `weights`; samples of
    weight zero, such as padded frames, are ignored, also as negatives of others.

    Args:
        hidden_units: int, twice the width of the hidden layers.
        negatives: `"all"`, `"permutation"` or `"pooled_permutation"`, see
            `keras_cmg.ops.club_upper_bound`.
        dtype: dtype policy; computation uses its variable dtype.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        x: float tensor `(batch, [frames,] x_dim)`.
        y: float tensor `(batch, [frames,] y_dim)`.

    Returns:
        Dict of `"mean"` and `"log_variance"`, each `(batch, [frames,] y_dim)`.

    Raises:
        ValueError: if `hidden_units` is below 2, or `negatives` is unknown.

    Example:

    >>> club = keras_cmg.layers.CLUBEstimator(hidden_units=8)
    >>> out = club(np.zeros((4, 3), "float32"), np.zeros((4, 2), "float32"))
    >>> tuple(out["mean"].shape)
    (4, 2)

    References:
        Cheng et al. (2020), CLUB: A Contrastive Log-ratio Upper Bound of Mutual Information,
        section 3.2;
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Eq. 12.
    """

    def __init__(
        self, hidden_units: int = 256, negatives: str = "all", dtype: Any = None, **kwargs
    ):
        super().__init__(dtype=variable_dtype(dtype), **kwargs)
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
        width, dim = self.hidden_units // 2, y_shape[-1]
        sizes = [x_shape[-1], *(width,) * 3, dim]
        seeds = [[keras.initializers.GlorotUniform() for _ in sizes[1:]] for _ in NETWORKS]

        def kernels(layer):
            # Each network is initialized as if its layers were `keras.layers.Dense`.
            def draw(shape, dtype=None):
                return ops.stack([network[layer](shape[1:], dtype) for network in seeds])

            return draw

        self.kernels, self.biases = [], []
        for i, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            shape = (len(NETWORKS), fan_in, fan_out)
            self.kernels.append(self.add_weight(shape, kernels(i), name=f"kernel_{i}"))
            shape = (len(NETWORKS), 1, fan_out)
            self.biases.append(self.add_weight(shape, "zeros", name=f"bias_{i}"))
        self.built = True

    def call(self, x, y):
        hidden = ops.reshape(x, (1, -1, x.shape[-1]))
        last = len(self.kernels) - 1
        for i, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            # Both networks in one product per layer.
            hidden = ops.matmul(hidden, kernel) + bias
            hidden = hidden if i == last else ops.relu(hidden)
        mean, log_variance = ops.split(hidden, len(NETWORKS))
        shape = (-1, *ops.shape(x)[1:-1], self.kernels[-1].shape[-1])
        return {
            "mean": ops.reshape(mean, shape),
            "log_variance": ops.reshape(ops.tanh(log_variance), shape),
        }

    def log_likelihood(self, x: Tensor, y: Tensor, weights: Tensor | None = None) -> Tensor:
        """Computes the mean log-density of y given x, which the estimator maximises.

        Args:
            x: float tensor `(batch, [frames,] x_dim)`.
            y: float tensor `(batch, [frames,] y_dim)`.
            weights: optional `(batch, [frames])`; samples of weight 0 are ignored.

        Returns:
            Scalar, in nats, without the constant of the density.

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
        """Computes the bound on the mutual information, which the features minimise.

        Args:
            x: float tensor `(batch, [frames,] x_dim)`.
            y: float tensor `(batch, [frames,] y_dim)`.
            permutation: int tensor `(batch,)`, the partners of sampled negatives.
            weights: optional `(batch, [frames])`; samples of weight 0 are ignored.

        Returns:
            Scalar, in nats.

        Raises:
            ValueError: if negatives are sampled and `permutation` is None.

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
        if not self.built:
            return {"shapes": []}
        return {"shapes": [(None, self.kernels[0].shape[1]), (None, self.kernels[-1].shape[2])]}

    def build_from_config(self, config):
        if config["shapes"]:
            self.build(*config["shapes"])

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_units": self.hidden_units,
            "negatives": self.negatives,
        }
