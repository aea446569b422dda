"""Product quantisation: groups of channels are quantised by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.quantizers.composite_quantizer import CompositeQuantizer
from keras_cmg.layers.quantizers.quantizer import MAX_COMBINATIONS, Quantizer
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class GroupedQuantizer(CompositeQuantizer):
    """Splits vectors into groups of channels and quantises each group by itself.

    `Q(x) = [Q_1(x_1), ..., Q_G(x_G)]`, product quantisation: G indices describe a vector, and H
    codes a group give `H^G` codes at the cost of `G H`.

    When to use: where one codebook cannot be large enough, and tokens in parallel are welcome; with
    `shared`, for features whose channels are alike. When not: where groups of channels depend on
    each other strongly (use `ResidualQuantizer`), or one index per vector is needed.

    State, losses and weights of vectors are those of the inner quantisers.

    Masks: `weights` are passed to the inner quantisers; vectors of zero weight, such as padded
    frames, get codes all the same.

    Args:
        quantizers: one `keras_cmg.layers.Quantizer`, whose width is that of a group, or one for
            each group, whose widths may differ.
        num_groups: int, number of groups, for one quantiser; copies have other seeds.
        shared: bool, whether one quantiser serves all groups; its state is updated once a step from
            the vectors of all groups.
        dtype: a policy; computation takes the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] dim)`, where `dim` is the sum of the widths, or a
            dict of modality to such tensors.
        weights: as for the inner quantisers.
        training: as for the inner quantisers.

    Returns:
        As from every `keras_cmg.layers.Quantizer`; `"indices"` have a last axis `num_groups`
        (followed by the axes of the inner ones).

    Raises:
        ValueError: if the number of groups is missing, below 1 or another than that of
            `quantizers`.

    Example:

    >>> quantizer = keras_cmg.layers.GroupedQuantizer(keras_cmg.layers.FSQ((3, 3)), num_groups=2)
    >>> quantizer(np.array([[9.0, 9.0, 0.0, 0.0]], "float32"))["indices"].tolist()
    [[8, 4]]

    References:
        Jegou et al. (2011), Product Quantization for Nearest Neighbor Search;
        Yang et al. (2023), HiFi-Codec: Group-residual Vector Quantization for High Fidelity Audio
        Codec (groups of residual quantisers).
    """

    def __init__(
        self,
        quantizers: Quantizer | Sequence[Quantizer],
        num_groups: int | None = None,
        shared: bool = False,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(quantizers, num_groups, "num_groups", shared, dtype=dtype, **kwargs)
        self.num_groups = self.count
        self.embedding_dim = sum(self.part(i).embedding_dim for i in range(self.num_groups))

    def _split(self, x: Tensor) -> list[Tensor]:
        groups, start = [], 0
        for number in range(self.num_groups):
            stop = start + self.part(number).embedding_dim
            groups.append(x[..., start:stop])
            start = stop
        return groups

    def _assign(self, x, training):
        parts = [(self.part(i), group) for i, group in enumerate(self._split(x))]
        found = [part._assign(group, training and part.trainable) for part, group in parts]
        return {
            "quantized": ops.concatenate([part["quantized"] for part in found], axis=-1),
            "codes": ops.concatenate([part["codes"] for part in found], axis=-1),
            "indices": self._stack([part["indices"] for part in found]),
        }

    def encode(self, x: Tensor) -> Tensor:
        """Computes the indices of vectors.

        Args:
            x: float tensor `(..., dim)`.

        Returns:
            int32 tensor `(..., num_groups)`.

        Example:

        >>> quantizer = keras_cmg.layers.GroupedQuantizer(keras_cmg.layers.FSQ((3, 3)), 2)
        >>> quantizer.encode(np.array([9.0, 9.0, 0.0, 0.0], "float32")).tolist()
        [8, 4]
        """
        self._ensure_built()
        groups = self._split(ops.cast(x, self.compute_dtype))
        return self._stack([self.part(i).encode(group) for i, group in enumerate(groups)])

    def decode(self, indices: Tensor) -> Tensor:
        """Computes codes from their indices.

        Args:
            indices: int tensor `(..., num_groups)`.

        Returns:
            Float tensor `(..., dim)`.

        Example:

        >>> quantizer = keras_cmg.layers.GroupedQuantizer(keras_cmg.layers.FSQ((3, 3)), 2)
        >>> quantizer.decode(np.array([8, 4])).tolist()
        [1.0, 1.0, 0.0, 0.0]
        """
        self._ensure_built()
        indices = ops.convert_to_tensor(indices)
        codes = [self.part(i).decode(self._indices_of(indices, i)) for i in range(self.num_groups)]
        return ops.concatenate(codes, axis=-1)

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Places the codes of each group at k-means centers of its channels.

        Groups whose codes cannot be placed, such as those of `FSQ`, and groups that are frozen by
        themselves keep them; a shared quantiser gets the channels of all groups.

        Args:
            features: float array or tensor `(..., dim)`.
            num_iterations: int, iterations of Lloyd's algorithm.

        Raises:
            ValueError: if `features` is empty, not finite, or of another dimension, or no group has
                codes that can be placed.

        Example:

        >>> inner = keras_cmg.layers.Codebook(num_embeddings=2, embedding_dim=1)
        >>> quantizer = keras_cmg.layers.GroupedQuantizer(inner, num_groups=2)
        >>> quantizer.adapt(np.array([[0.0, 3.0], [5.0, 4.0]]))
        >>> quantizer(np.array([[4.0, 3.1]], "float32"))["codes"].tolist()
        [[5.0, 3.0]]
        """
        if not self.adaptable_parts():
            super().adapt(features)
        self._ensure_built()
        groups = self._split(self._features(features))
        if self.shared:
            groups = [np.concatenate(groups)]
        for number, group in enumerate(groups):
            self._adapt_part(number, group, num_iterations)

    def coarse_codes(self, max_count: int = MAX_COMBINATIONS) -> tuple[np.ndarray, np.ndarray]:
        """Computes the codes of the leading groups; the others have the mean of their codes.

        Args:
            max_count: int, codes at most.

        Returns:
            Float array `(codes, dim)`, and the number of values of each index, 0 for those left
            out.

        Example:

        >>> quantizer = keras_cmg.layers.GroupedQuantizer(keras_cmg.layers.FSQ((3, 3)), 2)
        >>> codes, sizes = quantizer.coarse_codes(max_count=9)
        >>> codes[5].tolist(), sizes.tolist()
        ([1.0, 0.0, 0.0, 0.0], [9, 0])
        """
        codes, sizes = np.zeros((1, 0), "float32"), []
        for number in range(self.num_groups):
            found, used = self.part(number).coarse_codes(max_count // len(codes))
            codes = np.concatenate(
                [np.repeat(codes, len(found), axis=0), np.tile(found, (len(codes), 1))], axis=1
            )
            sizes.append(used)
        return codes, np.stack(sizes)

    def split_by_index(self, x: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
        """Computes the channels that each index describes.

        Args:
            x: float tensor `(..., dim)`.
            tables: as from `code_tables`.

        Returns:
            A float tensor `(..., channels)` for each index.
        """
        parts = zip(self._split(x), self._tables_of_parts(tables), strict=True)
        found = [self.part(i).split_by_index(*each) for i, each in enumerate(parts)]
        return [vectors for part in found for vectors in part]

    def index_similarities(self, x: Tensor) -> list[Tensor]:
        """Computes the cosine similarity of each group of channels with the codes of the group.

        Args:
            x: float tensor `(..., dim)`.

        Returns:
            A float tensor `(..., values)` for each index.
        """
        groups = enumerate(self._split(ops.cast(x, self.compute_dtype)))
        found = [self.part(number).index_similarities(group) for number, group in groups]
        return [similarities for part in found for similarities in part]

    def _nearest_in(self, x, tables):
        parts = zip(self._split(x), self._tables_of_parts(tables), strict=True)
        found = [self.part(i)._nearest_in(*each) for i, each in enumerate(parts)]
        return ops.concatenate(found, axis=-1)

    def update(self, inputs, indices, weights=None):
        """Updates the state of the inner quantisers and adds their losses.

        Args:
            inputs: modality to float tensor `(batch, [frames,] dim)`.
            indices: modality to int tensor `(batch, [frames], num_groups)`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """
        groups = {name: self._split(x) for name, x in inputs.items()}
        numbers = range(self.num_groups)
        self._update_parts(
            [{name: parts[i] for name, parts in groups.items()} for i in numbers],
            [
                {name: self._indices_of(index, i) for name, index in indices.items()}
                for i in numbers
            ],
            [weights or {} for _ in numbers],
        )

    def get_config(self):
        return {**super().get_config(), "num_groups": self.num_groups}
