"""Residual quantisation: each level quantises the residual of the levels before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.quantizers.composite_quantizer import CompositeQuantizer
from keras_cmg.layers.quantizers.quantizer import (
    MAX_COMBINATIONS,
    Quantizer,
    check_gradient,
)
from keras_cmg.ops.counter_random import random_integer
from keras_cmg.ops.residual_search import residual_beam_search
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class ResidualQuantizer(CompositeQuantizer):
    """Quantises vectors by a sum of codes, one from each of several levels.

    `r_1 = x`, `q_l = Q_l(r_l)`, `r_{l+1} = r_l - sg q_l`, and the result is `sum_l q_l`: L indices
    describe a vector, coarse to fine. The gradient passes the sum once, from the result to x, by
    `gradient`; it is not added up over levels, and levels see the same residuals in training and
    inference. Losses of level l reach x through `r_l`.

    When to use: for reconstruction at a rate that can be chosen afterwards (the first levels alone
    are a coarse description), as neural audio codecs do. When not: where a code has to carry a
    meaning shared by modalities: the codes of higher levels only mean something together with those
    before.

    State, losses and weights of vectors are those of the inner quantisers. A level that
    `min_levels` leaves out of a step sees vectors of weight 0.

    Masks: `weights` are passed to the inner quantisers; vectors of zero weight, such as padded
    frames, get codes all the same.

    Args:
        quantizers: one `keras_cmg.layers.Quantizer`, or one for each level, of equal widths.
        num_levels: int, number of levels, for one quantiser. Copies have other seeds; those of
            `FSQ`, `LFQ` and `BSQ` have finer codes at higher levels.
        shared: bool, whether one quantiser serves all levels; its state is updated once a step from
            the residuals of all levels.
        gradient: how a gradient passes the choice of codes: `"straight_through"`, `"rotation"` or
            `"diveq"`, as for `SimVQ`.
        min_levels: int; each training step then uses the first n levels alone, with n drawn
            from `min_levels` to `num_levels` (dropout of levels). Indices of levels left out are
            -1.
        beam_size: int, sums of codes kept from level to level, see
            `keras_cmg.ops.residual_beam_search`; 1 is the greedy search.
        input_bound: float, or one per channel: maps inputs into [-input_bound, input_bound] by
            `c tanh(x / c)`, for quantisers that cover a fixed range, as `FSQ(bound="clip")`.
        noise_scale: float, standard deviation of the noise of `"diveq"` in training.
        dtype: a policy; state and computation take the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] dim)`, or a dict of modality to such tensors.
        weights: as for the inner quantisers.
        training: as for the inner quantisers; also whether levels are dropped.

    Returns:
        As from every `keras_cmg.layers.Quantizer`; `"indices"` have a last axis `num_levels`
        (followed by the axes of the inner ones).

    Raises:
        ValueError: if the number of levels is missing, below 1 or another than that of
            `quantizers`; if widths differ; for an unknown `gradient`, a `min_levels` outside 1 to
            `num_levels`, a `beam_size` below 1, or one above 1 for quantisers without a codebook,
            or an `input_bound` that is not positive or of another length.

    Example:

    >>> quantizer = keras_cmg.layers.ResidualQuantizer(
    ...     keras_cmg.layers.LFQ(num_bits=2), num_levels=3
    ... )
    >>> outputs = quantizer(np.array([[0.9, -0.4]], "float32"))
    >>> outputs["codes"].tolist(), outputs["indices"].tolist()
    ([[0.75, -0.25]], [[2, 1, 3]])

    References:
        Zeghidour et al. (2021), SoundStream: An End-to-End Neural Audio Codec, algorithm 1 and
        section III.C (dropout of levels).
    """

    def __init__(
        self,
        quantizers: Quantizer | Sequence[Quantizer],
        num_levels: int | None = None,
        shared: bool = False,
        gradient: str = "straight_through",
        min_levels: int | None = None,
        beam_size: int = 1,
        input_bound: float | Sequence[float] | None = None,
        noise_scale: float = 0.01,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(quantizers, num_levels, "num_levels", shared, dtype=dtype, **kwargs)
        check_gradient(gradient)
        dims = [part.embedding_dim for part in self.quantizers]
        if len(set(dims)) > 1:
            raise ValueError(f"`quantizers` must have equal `embedding_dim`. Received: {dims}")
        if min_levels is not None and not 1 <= min_levels <= self.count:
            raise ValueError(f"`min_levels` must be from 1 to {self.count}. Received: {min_levels}")
        if beam_size < 1:
            raise ValueError(f"`beam_size` must be at least 1. Received: {beam_size}")
        if beam_size > 1 and len(self.index_shape) > 1:
            raise ValueError(
                f"`beam_size` must be 1 for quantisers without a codebook. Received: {beam_size}"
            )
        self.num_levels = self.count
        self.embedding_dim = dims[0]
        self.gradient = gradient
        self.min_levels = min_levels
        self.beam_size = beam_size
        if input_bound is not None and not isinstance(input_bound, (int, float)):
            input_bound = tuple(float(value) for value in input_bound)
        bounds = input_bound if isinstance(input_bound, tuple) else (input_bound,)
        if input_bound is not None and not (len(bounds) in (1, dims[0]) and min(bounds) > 0):
            raise ValueError(
                f"`input_bound` must be positive, one number or one for each of {dims[0]} "
                f"channels. Received: {input_bound}"
            )
        self.input_bound = input_bound
        self.noise_scale = noise_scale

    def _part(self, quantizer, number):
        return quantizer.copy_for_level(number)

    def build(self, input_shape: Any = None) -> None:
        super().build(input_shape)
        if self.gradient == "diveq" or self.min_levels is not None:
            self._build_noise()

    def _bounded(self, x: Tensor) -> Tensor:
        if self.input_bound is None:
            return x
        bound = ops.convert_to_tensor(self.input_bound, dtype=x.dtype)
        return ops.tanh(x / bound) * bound

    def _assign(self, x, training):
        x = self._bounded(x)
        indices = self._search(x)
        if training and self.min_levels is not None:
            indices = self._drop_levels(indices)
        codes = self.decode(indices)
        return {
            "quantized": self._pass_gradient(x, codes, training),
            "codes": ops.stop_gradient(codes),
            "indices": indices,
        }

    def _search(self, x: Tensor) -> Tensor:
        """Indices of all levels."""
        self._ensure_built()
        residual = ops.stop_gradient(x)
        if self.beam_size > 1:
            codebooks = [self.part(level).codebook for level in range(self.num_levels)]
            rows = ops.reshape(residual, (-1, self.embedding_dim))
            indices = residual_beam_search(rows, codebooks, self.beam_size)
            return ops.reshape(indices, (*ops.shape(x)[:-1], self.num_levels))
        indices = []
        for level in range(self.num_levels):
            part = self.part(level)
            indices.append(part.encode(residual))
            if level + 1 < self.num_levels:
                residual = residual - ops.stop_gradient(part.decode(indices[-1]))
        return self._stack(indices)

    def _drop_levels(self, indices: Tensor) -> Tensor:
        """Indices with -1 at the levels left out of this step."""
        used = random_integer(self.step, self.min_levels or 1, self.num_levels + 1, salt=4)
        if self.gradient != "diveq":
            self.step.assign(self.step + 1)
        kept = ops.arange(self.num_levels, dtype="int32") < used
        kept = ops.reshape(kept, (self.num_levels, *(1,) * (len(self.index_shape) - 1)))
        return ops.where(kept, indices, -1)

    def encode(self, x: Tensor) -> Tensor:
        """Computes the indices of vectors.

        Args:
            x: float tensor `(..., dim)`.

        Returns:
            int32 tensor `(..., num_levels)`.

        Example:

        >>> inner = keras_cmg.layers.LFQ(num_bits=2)
        >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=3)
        >>> quantizer.encode(np.array([0.9, -0.4], "float32")).tolist()
        [2, 1, 3]
        """
        return self._search(self._bounded(ops.cast(x, self.compute_dtype)))

    def decode(self, indices: Tensor) -> Tensor:
        """Computes the sum of codes from their indices.

        Args:
            indices: int tensor `(..., num_levels)`; levels of index -1 add nothing. Fewer levels
                than `num_levels` are a coarse description.

        Returns:
            Float tensor `(..., dim)`, with gradient to codes learned by gradient.

        Example:

        >>> inner = keras_cmg.layers.LFQ(num_bits=2)
        >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=3)
        >>> [quantizer.decode(np.array(i)).tolist() for i in ([2, 1, 3], [2, 1, -1], [2])]
        [[0.75, -0.25], [0.5, -0.5], [1.0, -1.0]]
        """
        self._ensure_built()
        indices = ops.convert_to_tensor(indices)
        levels = indices.shape[-len(self.index_shape)]
        total = 0.0
        for level in range(levels):
            total = total + self._codes_of(level, self._indices_of(indices, level))
        return total

    def _codes_of(self, level: int, indices: Tensor) -> Tensor:
        codes = self.part(level).decode(ops.maximum(indices, 0))
        return codes * ops.cast(self._used(indices), codes.dtype)[..., None]

    def _used(self, indices: Tensor) -> Tensor:
        """Whether a level was used for each vector."""
        inner = tuple(range(-len(self.index_shape) + 1, 0))
        return ops.all(indices >= 0, axis=inner) if inner else indices >= 0

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Places the codes of each level at k-means centers of the residuals that it quantises.

        Levels whose codes cannot be placed, such as those of `FSQ`, and levels that are frozen by
        themselves keep them; a shared quantiser gets the vectors of the first level.

        Args:
            features: float array or tensor `(..., dim)`.
            num_iterations: int, iterations of Lloyd's algorithm.

        Raises:
            ValueError: if `features` is empty, not finite, or of another dimension, or no level has
                codes that can be placed.

        Example:

        >>> inner = keras_cmg.layers.Codebook(num_embeddings=2, embedding_dim=1)
        >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=2)
        >>> x = np.array([[0.0], [1.0], [10.0], [11.0]], "float32")
        >>> quantizer.adapt(x)
        >>> quantizer(x)["codes"][:, 0].tolist()
        [0.0, 1.0, 10.0, 11.0]
        """
        if not self.adaptable_parts():
            super().adapt(features)
        self._ensure_built()
        residual = ops.convert_to_numpy(self._bounded(self._features(features)))
        for level in range(self.num_levels):
            part = self.part(level)
            if not (self.shared and level):
                self._adapt_part(level, residual, num_iterations)
            residual = residual - ops.convert_to_numpy(part.decode(part.encode(residual)))

    def coarse_codes(self, max_count: int = MAX_COMBINATIONS) -> tuple[np.ndarray, np.ndarray]:
        """Computes the sums of the codes of the leading levels; the others add nothing.

        Args:
            max_count: int, codes at most.

        Returns:
            Float array `(codes, dim)`, and the number of values of each index, 0 for those left
            out.

        Example:

        >>> inner = keras_cmg.layers.LFQ(num_bits=1)
        >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=3)
        >>> codes, sizes = quantizer.coarse_codes(max_count=4)
        >>> codes[:, 0].tolist(), sizes.tolist()
        ([-1.5, -0.5, 0.5, 1.5], [2, 2, 0])
        """
        codes, sizes = self.part(0).coarse_codes(max_count)
        used = [sizes]
        for level in range(1, self.num_levels):
            found, sizes = self.part(level).coarse_codes(max_count // len(codes))
            # A level describes what is left by all of the levels before.
            if not (np.all(sizes) and np.all(used[-1])):
                break
            codes = (codes[:, None] + found).reshape(-1, self.embedding_dim)
            used.append(sizes)
        empty = [np.zeros_like(sizes)] * (self.num_levels - len(used))
        return codes, np.stack([*used, *empty])

    def split_by_index(self, x: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
        """Computes the vectors that each level quantises: the residuals of the levels before it.

        Args:
            x: float tensor `(..., dim)`.
            tables: as from `code_tables`.

        Returns:
            A float tensor `(..., dim)` for each level, or for each index of each level.
        """
        residual, vectors = self._bounded(x), []
        by_level = self._tables_of_parts(tables)
        for level, own in enumerate(by_level):
            part = self.part(level)
            vectors += part.split_by_index(residual, own)
            if level + 1 < self.num_levels:
                residual = residual - ops.stop_gradient(part._nearest_in(residual, own))
        return vectors

    def _nearest_in(self, x, tables):
        residual = self._bounded(x)
        total = 0.0
        for level, own in enumerate(self._tables_of_parts(tables)):
            code = self.part(level)._nearest_in(residual, own)
            total, residual = total + code, residual - ops.stop_gradient(code)
        return total

    def update(self, inputs, indices, weights=None):
        """Updates the state of the inner quantisers and adds their losses.

        Args:
            inputs: modality to float tensor `(batch, [frames,] dim)`.
            indices: modality to int tensor `(batch, [frames], num_levels)`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """
        residuals = {name: self._bounded(x) for name, x in inputs.items()}
        weights = weights or {}
        seen, chosen, counts = [], [], []
        for level in range(self.num_levels):
            index = {name: self._indices_of(value, level) for name, value in indices.items()}
            seen.append(residuals)
            chosen.append({name: ops.maximum(value, 0) for name, value in index.items()})
            counts.append(self._level_weights(index, weights))
            residuals = {
                name: x - ops.stop_gradient(self._codes_of(level, index[name]))
                for name, x in residuals.items()
            }
        self._update_parts(seen, chosen, counts)

    def _level_weights(self, indices, weights):
        if self.min_levels is None:
            return weights
        used = {
            name: ops.cast(self._used(index), self.compute_dtype) for name, index in indices.items()
        }
        return {
            name: value * weights[name] if name in weights else value
            for name, value in used.items()
        }

    def get_config(self):
        names = "num_levels gradient min_levels beam_size input_bound noise_scale".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
