"""SimVQ: a codebook that is a learned linear map of fixed vectors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.arguments import require_positive, require_sizes
from keras_cmg.layers.quantizers.quantizer import (
    Quantizer,
    check_gradient,
    distances_to_codes,
    flatten_modalities,
)
from keras_cmg.ops import quantization
from keras_cmg.types import Tensor

RELATIVE_LENGTH = 0.25
"""Length of codes after the first training step, relative to that of its vectors."""


@keras.saving.register_keras_serializable("keras_cmg")
class SimVQ(Quantizer):
    """Replaces vectors by their nearest code, where codes are a learned map of fixed vectors.

    The codebook is `C W`: C is drawn once, `N(0, 1 / latent_dim)`, and stays; the matrix W is
    learned by gradient. A step therefore moves all codes, chosen or not. A training call adds the
    loss `loss_weight (mean (sg x - q)^2 + commitment_cost mean (x - sg q)^2)`.

    W is `s W_0 + V` with an orthogonal W_0, a scale s and the learned V, which starts at zero. The
    paper has no scale. Here the first training step sets it, for good, so that codes are a quarter
    as long as its vectors: each vector then gets a code of about its own direction. Of codes that
    start longer than the vectors, the shortest ones are the nearest to most vectors, and few stay
    in use; codes that start much shorter take long to reach the vectors.

    When to use: for large learned codebooks (10^4 codes and more) that an EMA codebook leaves
    unused. When not: where single codes must stay where they are (`frozen_codes` needs codes of
    their own) or start from data, or where memory is short: each training step computes all codes.
    Vectors of weight 0 have no part in the loss.

    Masks: vectors with `weights` of zero, such as padded frames or missing modalities, have no part
    in losses and statistics; they get codes all the same.

    Args:
        num_embeddings: int, number of codes.
        embedding_dim: int, length of a code.
        latent_dim: int, length of the fixed vectors; default `embedding_dim`.
        commitment_cost: float, weight of the term that moves vectors towards codes, relative to the
            one that moves codes.
        loss_weight: float, weight of the loss; 0 leaves it out, for `gradient="diveq"`.
        gradient: how a gradient passes the choice of a code: `"straight_through"`, `"rotation"`
            (see `keras_cmg.ops.rotation_trick`) or `"diveq"` (see `keras_cmg.ops.diveq`).
        noise_scale: float, standard deviation of the noise of `"diveq"` in training.
        initial_scale: float, the scale s, about the length of codes at first; 1 is that of the
            paper. By default the first training step sets it; until then it is `1 /
            sqrt(embedding_dim)`, so that codes are short beside vectors of unit length.
        seed: int, of the fixed vectors and of W.
        dtype: a policy; state and computation take the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] embedding_dim)`, or a dict of modality to such
            tensors.
        weights: optional, like `inputs` but without the last axis: weight of each vector in the
            loss.
        training: whether to add the loss.

    Returns:
        As from every `keras_cmg.layers.Quantizer`.

    Raises:
        ValueError: for sizes below 1, an `initial_scale` that is not positive or an unknown
            `gradient`.

    Example:

    >>> quantizer = keras_cmg.layers.SimVQ(num_embeddings=16, embedding_dim=4)
    >>> outputs = quantizer(np.ones((2, 3, 4), "float32"), training=True)
    >>> tuple(outputs["codes"].shape), len(quantizer.losses), tuple(quantizer.codebook.shape)
    ((2, 3, 4), 1, (16, 4))

    References:
        Zhu et al. (2024), Addressing Representation Collapse in Vector Quantized Models with One
        Linear Layer, arXiv:2411.02038.
    """

    def __init__(
        self,
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        latent_dim: int | None = None,
        commitment_cost: float = 0.25,
        loss_weight: float = 1.0,
        gradient: str = "rotation",
        noise_scale: float = 0.01,
        initial_scale: float | None = None,
        seed: int = 0,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        require_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if latent_dim is not None:
            require_sizes(latent_dim=latent_dim)
        if initial_scale is not None:
            require_positive(initial_scale=initial_scale)
        check_gradient(gradient)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.latent_dim = latent_dim
        self.commitment_cost = commitment_cost
        self.loss_weight = loss_weight
        self.gradient = gradient
        self.noise_scale = noise_scale
        self.initial_scale = initial_scale
        self.seed = seed

    def build(self, input_shape: Any = None) -> None:
        latent_dim = self.latent_dim or self.embedding_dim
        shape = (self.num_embeddings, latent_dim)
        start = np.random.default_rng(self.seed).standard_normal(shape) / np.sqrt(latent_dim)

        def fixed(shape, dtype=None):
            return ops.convert_to_tensor(start, dtype=dtype)

        self.latent_codes = self.add_weight(
            name="latent_codes", shape=shape, initializer=fixed, trainable=False
        )
        shape = (latent_dim, self.embedding_dim)
        self.initial_projection = self.add_weight(
            name="initial_projection",
            shape=shape,
            initializer=keras.initializers.Orthogonal(seed=self.seed),
            trainable=False,
        )
        self.projection_offset = self.add_weight(
            name="projection_offset", shape=shape, initializer="zeros"
        )
        # Set by the first training step where it is 0.
        self.scale = self.add_weight(
            name="scale",
            shape=(),
            initializer=keras.initializers.Constant(self.initial_scale or 0.0),
            trainable=False,
            aggregation="mean",
        )
        if self.gradient == "diveq":
            self._build_noise()
        self.built = True

    @property
    def projection(self) -> Tensor:
        """The matrix W, float tensor `(latent_dim, embedding_dim)`."""
        self._ensure_built()
        scale = ops.convert_to_tensor(self.scale)
        initial = ops.convert_to_tensor(self.initial_projection)
        scale = ops.where(scale > 0, scale, self.embedding_dim**-0.5)
        return initial * scale + self.projection_offset

    @property
    def codebook(self) -> Tensor:
        """All codes, float tensor `(num_embeddings, embedding_dim)`."""
        self._ensure_built()
        return ops.matmul(self.latent_codes, self.projection)

    def encode(self, x: Tensor) -> Tensor:
        """Computes the index of the nearest code of each vector.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            int32 tensor `(...)`.

        Example:

        >>> quantizer = keras_cmg.layers.SimVQ(num_embeddings=4, embedding_dim=2)
        >>> quantizer.build()
        >>> quantizer.encode(quantizer.codebook).tolist()
        [0, 1, 2, 3]
        """
        x = ops.cast(x, self.compute_dtype)
        return quantization.nearest_codes(ops.stop_gradient(x), ops.stop_gradient(self.codebook))

    def decode(self, indices: Tensor) -> Tensor:
        """Computes codes from their indices.

        Args:
            indices: int tensor `(...)`, from 0 to `num_embeddings - 1`.

        Returns:
            Float tensor `(..., embedding_dim)`, with gradient to the learned map.

        Example:

        >>> quantizer = keras_cmg.layers.SimVQ(num_embeddings=4, embedding_dim=2)
        >>> quantizer.build()
        >>> tuple(quantizer.decode(np.array([[0, 3]])).shape)
        (1, 2, 2)
        """
        self._ensure_built()
        latent = ops.take(ops.convert_to_tensor(self.latent_codes), indices, axis=0)
        return ops.matmul(latent, self.projection)

    def update(self, inputs, indices, weights=None):
        """Adds the loss of codes and the commitment loss; sets the scale in the first step.

        Args:
            inputs: modality to float tensor `(batch, [frames,] embedding_dim)`.
            indices: modality to int tensor `(batch, [frames])`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """
        if self.loss_weight:
            codes = {name: self.decode(index) for name, index in indices.items()}
            pull, commitment = distances_to_codes(inputs, codes, weights)
            self.add_loss(self.loss_weight * (pull + self.commitment_cost * commitment))
        if self.initial_scale is None:
            self._set_scale(*flatten_modalities(inputs, weights))

    def _set_scale(self, vectors, counts):
        squared = ops.sum(ops.square(ops.stop_gradient(vectors)), axis=-1)
        found = RELATIVE_LENGTH * ops.sqrt(engine.global_mean(squared, counts))
        scale = ops.convert_to_tensor(self.scale)
        is_due = ops.logical_and(scale == 0, ops.logical_and(ops.isfinite(found), found > 0))
        self.scale.assign(ops.where(is_due, found, scale))

    def get_config(self):
        names = (
            "num_embeddings embedding_dim latent_dim commitment_cost loss_weight gradient "
            "noise_scale initial_scale seed"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
