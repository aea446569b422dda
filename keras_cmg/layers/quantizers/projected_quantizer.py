"""Quantisation in another space than that of the features."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.quantizers.quantizer import MAX_COMBINATIONS, Quantizer, check_part
from keras_cmg.ops.contrastive import l2_normalize
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class ProjectedQuantizer(Quantizer):
    """Maps features to the width of a quantiser, quantises them, and maps codes back.

    `quantized = W_out Q(W_in x + b_in) + b_out`, with learned maps.

    When to use: for `FSQ`, `LFQ` and `BSQ`, whose width is given by their levels or bits, in a
    model of another width; and for codebooks of low dimension (8 to 32), which use more of their
    codes than those of the width of the features (reference below). When not: with
    `TOCChannelMask` and other methods that read single channels of the codes, as the maps mix them.

    State, losses and weights of vectors are those of the inner quantiser.

    Masks: `weights` are passed to the inner quantisers; vectors of zero weight, such as padded
    frames, get codes all the same.

    Args:
        quantizer: the inner `keras_cmg.layers.Quantizer`.
        embedding_dim: int, width of the features.
        use_bias: bool, whether the maps have biases.
        normalize_inputs: bool, whether each vector is divided by the root mean square of its
            channels before the first map. The values in the inner space are then of about 1 for
            features of any length, as a grid such as that of `FSQ` needs.
        seed: int, of the initial maps.
        dtype: a policy; state and computation take the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] embedding_dim)`, or a dict of modality to such
            tensors.
        weights: as for the inner quantiser.
        training: as for the inner quantiser.

    Returns:
        As from every `keras_cmg.layers.Quantizer`; `"codes"` are mapped back too.

    Raises:
        ValueError: if `embedding_dim` is below 1, or `quantizer` is no `Quantizer`.

    Example:

    >>> quantizer = keras_cmg.layers.ProjectedQuantizer(
    ...     keras_cmg.layers.FSQ(levels=(8, 5, 5, 5)), embedding_dim=16
    ... )
    >>> outputs = quantizer(np.ones((2, 3, 16), "float32"))
    >>> tuple(outputs["quantized"].shape), tuple(outputs["indices"].shape)
    ((2, 3, 16), (2, 3))

    References:
        Yu et al. (2021), Vector-quantized Image Modeling with Improved VQGAN, section 3.2.
    """

    def __init__(
        self,
        quantizer: Quantizer,
        embedding_dim: int = 256,
        use_bias: bool = True,
        normalize_inputs: bool = False,
        seed: int = 0,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        require_sizes(embedding_dim=embedding_dim)
        check_part(quantizer, "quantizer")
        self.quantizer = quantizer
        self.embedding_dim = embedding_dim
        self.num_embeddings = quantizer.num_embeddings
        self.index_shape = quantizer.index_shape
        self.use_bias = use_bias
        self.normalize_inputs = normalize_inputs
        self.seed = seed

        def projection(units, name, seed):
            return keras.layers.Dense(
                units,
                use_bias=use_bias,
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed),
                dtype=self.dtype_policy,
                name=name,
            )

        self.project_in = projection(quantizer.embedding_dim, "project_in", seed)
        self.project_out = projection(embedding_dim, "project_out", seed + 1)

    def build(self, input_shape: Any = None) -> None:
        self.project_in.build((None, self.embedding_dim))
        self.project_out.build((None, self.quantizer.embedding_dim))
        if not self.quantizer.built:
            self.quantizer.build((None, self.quantizer.embedding_dim))
        self.built = True

    def _inner(self, x):
        """Vectors in the space of the inner quantiser."""
        if self.normalize_inputs:
            x = l2_normalize(x) * math.sqrt(self.embedding_dim)
        return self.project_in(x)

    def _assign(self, x, training):
        self._ensure_built()
        inner = self.quantizer._assign(self._inner(x), training and self.quantizer.trainable)
        return {
            "quantized": self.project_out(inner["quantized"]),
            "codes": ops.stop_gradient(self.project_out(inner["codes"])),
            "indices": inner["indices"],
        }

    def encode(self, x: Tensor) -> Tensor:
        """Computes the indices of vectors.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            int32 tensor `(..., *index_shape)`.

        Example:

        >>> quantizer = keras_cmg.layers.ProjectedQuantizer(keras_cmg.layers.FSQ((5, 5)), 4)
        >>> quantizer.encode(np.zeros((1, 4), "float32")).tolist()
        [12]
        """
        self._ensure_built()
        return self.quantizer.encode(self._inner(ops.cast(x, self.compute_dtype)))

    def decode(self, indices: Tensor) -> Tensor:
        """Computes codes, mapped back, from their indices.

        Args:
            indices: int tensor `(..., *index_shape)`.

        Returns:
            Float tensor `(..., embedding_dim)`, with gradient to the map and to learned codes.

        Example:

        >>> quantizer = keras_cmg.layers.ProjectedQuantizer(keras_cmg.layers.FSQ((5, 5)), 4)
        >>> quantizer.decode(np.array([12])).tolist()
        [[0.0, 0.0, 0.0, 0.0]]
        """
        self._ensure_built()
        return self.project_out(self.quantizer.decode(indices))

    @property
    def index_sizes(self) -> np.ndarray:
        """Number of values of each index of a vector, int64 array of shape `index_shape`."""
        return self.quantizer.index_sizes

    def adaptable_parts(self) -> list[Quantizer]:
        """Finds the quantisers within this one of which `adapt` places the codes.

        Returns:
            List of quantisers.
        """
        return self.quantizer.adaptable_parts()

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Places the codes of the inner quantiser at k-means centers of mapped features.

        An inner quantiser that is frozen by itself keeps its codes.

        Args:
            features: float array or tensor `(..., embedding_dim)`.
            num_iterations: int, iterations of Lloyd's algorithm.

        Raises:
            ValueError: as for the inner quantiser.

        Example:

        >>> inner = keras_cmg.layers.Codebook(num_embeddings=2, embedding_dim=1)
        >>> quantizer = keras_cmg.layers.ProjectedQuantizer(inner, embedding_dim=3)
        >>> quantizer.adapt(np.eye(3)[:2])
        >>> sorted(quantizer.encode(np.eye(3)[:2]).tolist())
        [0, 1]
        """
        self._ensure_built()
        frozen = self.trainable and not self.quantizer.trainable
        if not (self.adaptable_parts() and frozen):
            self.quantizer.adapt(self._inner(self._features(features)), num_iterations)

    def coarse_codes(self, max_count: int = MAX_COMBINATIONS) -> tuple[np.ndarray, np.ndarray]:
        """Computes the codes of the leading indices of the inner quantiser, mapped back.

        Args:
            max_count: int, codes at most.

        Returns:
            Float array `(codes, embedding_dim)`, and the number of values of each index, 0 for
            those left out.
        """
        self._ensure_built()
        codes, sizes = self.quantizer.coarse_codes(max_count)
        return ops.convert_to_numpy(self.project_out(codes)), sizes

    @property
    def codebooks(self) -> list[Tensor]:
        """All codes of each index: mapped back if there is one, else of the inner space."""
        return self.quantizer.codebooks if self.index_shape else super().codebooks

    def code_tables(self) -> list[Tensor]:
        """Returns all codes of each index in the inner space, where they are chosen.

        Returns:
            A float tensor `(values, dim)` for each index.
        """
        self._ensure_built()
        return self.quantizer.code_tables()

    @property
    def distance_units(self) -> list[float]:
        """Unit of the distances to the codes of each index, those of the inner quantiser."""
        return self.quantizer.distance_units

    def split_by_index(self, x: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
        """Computes the vectors that each index describes, in the inner space.

        Args:
            x: float tensor `(..., embedding_dim)`.
            tables: as from `code_tables`.

        Returns:
            A float tensor `(..., dim)` for each index.
        """
        return self.quantizer.split_by_index(self._inner(x), tables)

    def index_similarities(self, x: Tensor) -> list[Tensor]:
        """Computes the similarity of vectors with all codes of each index, in the inner space.

        Codes are chosen there, so that what learns from the similarities learns the map too.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            A float tensor `(..., values)` for each index, as from the inner quantiser.
        """
        self._ensure_built()
        return self.quantizer.index_similarities(self._inner(ops.cast(x, self.compute_dtype)))

    def _nearest_in(self, x, tables):
        return self.project_out(self.quantizer._nearest_in(self._inner(x), tables))

    def update(self, inputs, indices, weights=None):
        """Updates the state of the inner quantiser and adds its losses.

        Args:
            inputs: modality to float tensor `(batch, [frames,] embedding_dim)`.
            indices: modality to int tensor `(batch, [frames], *index_shape)`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """
        if not self.quantizer.trainable:
            return
        projected = {name: self._inner(x) for name, x in inputs.items()}
        self.quantizer.update(projected, indices, weights or {})

    def clone(self, number: int) -> Quantizer:
        """Creates another quantiser of the same configuration.

        Args:
            number: int, added to seeds.

        Returns:
            `ProjectedQuantizer`.

        Example:

        >>> inner = keras_cmg.layers.SimVQ(num_embeddings=4, embedding_dim=2, seed=3)
        >>> keras_cmg.layers.ProjectedQuantizer(inner, 4).clone(2).quantizer.seed
        5
        """
        return self._clone(
            number, quantizer=keras.saving.serialize_keras_object(self.quantizer.clone(number))
        )

    def copy_for_level(self, level: int) -> Quantizer:
        """Creates the quantiser of a level of a `ResidualQuantizer`, with maps of its own.

        Args:
            level: int, from 0.

        Returns:
            `ProjectedQuantizer`.

        Example:

        >>> inner = keras_cmg.layers.LFQ(num_bits=2)
        >>> keras_cmg.layers.ProjectedQuantizer(inner, 4).copy_for_level(1).quantizer.scale
        0.5
        """
        inner = self.quantizer.copy_for_level(level)
        return self._clone(level, quantizer=keras.saving.serialize_keras_object(inner))

    def get_config(self):
        return {
            **super().get_config(),
            "quantizer": keras.saving.serialize_keras_object(self.quantizer),
            "embedding_dim": self.embedding_dim,
            "use_bias": self.use_bias,
            "normalize_inputs": self.normalize_inputs,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["quantizer"] = keras.saving.deserialize_keras_object(config["quantizer"])
        return cls(**config)
