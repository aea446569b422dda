"""The base class of quantisers that describe a vector by the codes of several quantisers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.quantizers.quantizer import Quantizer, check_part
from keras_cmg.types import Tensor


class CompositeQuantizer(Quantizer):
    """Base class of `ResidualQuantizer` and `GroupedQuantizer`.

    Args:
        quantizers: one quantiser, of which copies are made, or a sequence of them.
        count: int, number of parts; needed for one quantiser alone.
        count_name: str, its name as an argument of the subclass.
        shared: bool, whether one quantiser serves all parts.
        dtype: a policy; state and computation take the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Raises:
        ValueError: if `quantizers` are no quantisers, one of them twice, or differ in the shape of
            their indices, or if the number of parts is missing, below 1 or another than that of
            `quantizers`.
    """

    def __init__(
        self,
        quantizers: Quantizer | Sequence[Quantizer],
        count: int | None,
        count_name: str,
        shared: bool,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        if count is not None:
            require_sizes(**{count_name: count})
        parts: list[Any]
        for quantizer in quantizers if isinstance(quantizers, list | tuple) else (quantizers,):
            check_part(quantizer, "quantizers")
        if isinstance(quantizers, Quantizer):
            if count is None:
                raise ValueError(f"`{count_name}` must be given with one quantiser. Received: None")
            parts = [quantizers] if shared else [self._part(quantizers, i) for i in range(count)]
        else:
            if shared:
                raise ValueError(
                    "`quantizers` must be one quantiser if `shared`. Received: several"
                )
            parts = list(quantizers)
            if len({id(part) for part in parts}) < len(parts):
                raise ValueError(
                    "`quantizers` must be different layers; one for all parts is given alone, with "
                    f"`shared=True`. Received: {[part.name for part in parts]}"
                )
            if not parts or count not in (None, len(parts)):
                raise ValueError(
                    f"`quantizers` must hold `{count_name}` quantisers. "
                    f"Received: {len(parts)} with {count_name}={count}"
                )
        if len({part.index_shape for part in parts}) > 1:
            raise ValueError(
                "`quantizers` must have equal `index_shape`. "
                f"Received: {[part.index_shape for part in parts]}"
            )
        self.quantizers: Any = parts
        self.shared = shared
        self.count: int = count if shared and count else len(parts)
        self.num_embeddings = max(part.num_embeddings for part in parts)
        self.index_shape = (self.count, *parts[0].index_shape)
        self.is_grid = all(part.is_grid for part in parts)

    def _part(self, quantizer: Quantizer, number: int) -> Quantizer:
        """The quantiser of a part, from the one given for all."""
        return quantizer.clone(number)

    def part(self, number: int) -> Quantizer:
        """Returns the quantiser of a level or group.

        Args:
            number: int, from 0.

        Returns:
            `keras_cmg.layers.Quantizer`.
        """
        return self.quantizers[0 if self.shared else number]

    def adaptable_parts(self) -> list[Quantizer]:
        """Finds the quantisers within this one of which `adapt` places the codes.

        Returns:
            List of quantisers.
        """
        return [inner for part in self.quantizers for inner in part.adaptable_parts()]

    def _adapt_part(self, number: int, features: np.ndarray, num_iterations: int) -> None:
        part = self.part(number)
        frozen = self.trainable and not part.trainable
        if part.adaptable_parts() and not frozen:
            part.adapt(features, num_iterations)

    @property
    def index_sizes(self) -> np.ndarray:
        """Number of values of each index of a vector, int64 array of shape `index_shape`."""
        return np.stack([self.part(number).index_sizes for number in range(self.count)])

    @property
    def codebooks(self) -> list[Tensor]:
        """All codes of each index of a vector, float tensors `(values, dim)`, part by part."""
        return [codes for number in range(self.count) for codes in self.part(number).codebooks]

    @property
    def distance_units(self) -> list[float]:
        """Unit of the distances to the codes of each index, part by part."""
        return [unit for number in range(self.count) for unit in self.part(number).distance_units]

    def code_tables(self) -> list[Tensor]:
        """Returns all codes of each index of a vector, for `split_by_index`.

        Returns:
            A float tensor `(values, dim)` for each index, part by part.
        """
        return [table for number in range(self.count) for table in self.part(number).code_tables()]

    def _tables_of_parts(self, tables: Sequence[Tensor]) -> list[Sequence[Tensor]]:
        """Tables of all indices, by part."""
        size = len(tables) // self.count
        return [tables[size * number : size * (number + 1)] for number in range(self.count)]

    def build(self, input_shape: Any = None) -> None:
        for quantizer in self.quantizers:
            if not quantizer.built:
                quantizer.build((None, quantizer.embedding_dim))
        self.built = True

    def _indices_of(self, indices: Tensor, number: int) -> Tensor:
        """Indices of a part; the axis of parts is followed by those of its quantiser."""
        inner = (slice(None),) * (len(self.index_shape) - 1)
        return indices[(..., number, *inner)]

    def _stack(self, indices: Sequence[Tensor]) -> Tensor:
        return ops.stack(indices, axis=-len(self.index_shape))

    def _update_parts(
        self,
        inputs: Sequence[Mapping[str, Tensor]],
        indices: Sequence[Mapping[str, Tensor]],
        weights: Sequence[Mapping[str, Tensor]],
    ) -> None:
        """Updates each part that is not frozen; the shared one once, with the vectors of all."""
        if not self.shared:
            for part, *values in zip(self.quantizers, inputs, indices, weights, strict=True):
                if part.trainable:
                    part.update(*values)
            return
        if not self.quantizers[0].trainable:
            return

        def together(parts):
            return {name: ops.concatenate([part[name] for part in parts]) for name in parts[0]}

        self.quantizers[0].update(together(inputs), together(indices), together(weights))

    def clone(self, number: int) -> Quantizer:
        """Creates another quantiser of the same configuration.

        Args:
            number: int; seeds of its parts are those of no part of this one.

        Returns:
            A quantiser of the same class.
        """
        config = self.get_config()
        parts = [part.clone(number * self.count) for part in self.quantizers]
        parts = [keras.saving.serialize_keras_object(part) for part in parts]
        return type(self).from_config(
            {**config, "quantizers": parts, "name": f"{self.name}_{number}"}
        )

    def get_config(self):
        parts = [keras.saving.serialize_keras_object(part) for part in self.quantizers]
        return {**super().get_config(), "quantizers": parts, "shared": self.shared}

    @classmethod
    def from_config(cls, config):
        parts = [keras.saving.deserialize_keras_object(part) for part in config["quantizers"]]
        shared = config.get("shared", False)
        return cls(**{**config, "quantizers": parts[0] if shared else parts})
