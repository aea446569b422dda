"""The interface that all quantisers share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.precision import variable_dtype
from keras_cmg.ops import quantization
from keras_cmg.ops.contrastive import cosine_logits
from keras_cmg.ops.counter_random import random_normal
from keras_cmg.ops.diveq import diveq
from keras_cmg.ops.rotation_trick import rotation_trick
from keras_cmg.types import Tensor

GRADIENTS = ("straight_through", "rotation", "diveq")
MAX_CODEBOOK = 2**26
"""Numbers in an implicit codebook that is built at once: 256 MB in float32."""
MAX_COMBINATIONS = 2**16
"""Codes that `Quantizer.sample_indices` names, and lists of a `keras_cmg.search.CodeIndex`."""


class Quantizer(keras.layers.Layer):
    """Base class of layers that replace vectors by codes.

    A subclass defines `encode`, `decode`, `num_embeddings` and `embedding_dim`, and where training
    changes state or adds losses, `update`. What holds for all of them:

    - Training: quantises with the codes as they are, then updates state and adds losses by
      `add_loss`, from the statistics of the global batch. Inference changes no state and adds no
      loss. `trainable=False` freezes all codes: no state changes and no loss is added. Of a
      quantiser within another one, it freezes the codes of that one alone.
    - State and computation are float32 (or the float64 of `dtype`) under every policy, so that
      inputs of half precision keep all codes.
    - Vectors of weight 0 are quantised like all others, but have no part in state and losses.
    - An index has the axes of its vector, and those of `index_shape` for quantisers that describe
      a vector by several codes.

    Masks: vectors with `weights` of zero, such as padded frames or missing modalities, have no part
    in losses and statistics; they get codes all the same. Without `weights`, the mask that Keras
    attaches to inputs is used, such as that of `keras.layers.Embedding(mask_zero=True)`.

    Args:
        dtype: a policy; state and computation take the dtype of its variables, float32 at least.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] dim)`, or a dict of modality to such tensors.
        weights: optional, like `inputs` but without the last axis, or `(batch,)`: the weight of
            each vector in state and losses; 0 leaves it out. For a dict of inputs, a dict with
            some or all of its modalities.
        training: whether to update state and add losses.
        mask: the mask of Keras, used where `weights` is None.

    Returns:
        For one tensor, a dict; for a dict of modalities, a dict of dicts: `"quantized"`
        `(batch, [frames,] dim)` with gradient, `"codes"` of the same shape without gradient, and
        `"indices"`, int32 `(batch, [frames], *index_shape)`.

    Raises:
        ValueError: if the last axis of an input is not `embedding_dim`, or `weights` do not have
            the shape of their inputs.

    Example:

    >>> class Sign(Quantizer):
    ...     num_embeddings, embedding_dim = 2, 1
    ...
    ...     def encode(self, x):
    ...         return ops.cast(x[..., 0] > 0, "int32")
    ...
    ...     def decode(self, indices):
    ...         return 2.0 * ops.cast(indices, "float32")[..., None] - 1.0
    >>> Sign()(np.array([[0.3], [-0.2]], "float32"))["codes"][:, 0].tolist()
    [1.0, -1.0]
    """

    num_embeddings: int
    """Number of values that an index takes."""
    embedding_dim: int
    """Last axis of inputs and codes."""
    index_shape: tuple[int, ...] = ()
    """Axes of the indices of one vector; empty for a single index."""
    gradient: str = "straight_through"
    is_grid: bool = False
    """Whether codes are a fixed grid, the same before and after training."""
    is_by_modality: bool = False
    """Whether each modality has codes of its own, so that `encode` needs its name."""

    def __init__(self, *, dtype: Any = None, **kwargs):
        super().__init__(dtype=variable_dtype(dtype), **kwargs)

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def _ensure_built(self) -> None:
        """Creates the state, which needs no input shape, before the first call."""
        if not self.built:
            self.build()

    def encode(self, x: Tensor) -> Tensor:
        """Computes the indices of vectors.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            int32 tensor `(..., *index_shape)`.

        Raises:
            NotImplementedError: if a subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `encode`.")

    def decode(self, indices: Tensor) -> Tensor:
        """Looks up codes by index.

        Args:
            indices: int tensor `(..., *index_shape)`.

        Returns:
            Float tensor `(..., embedding_dim)`. Where codes are learned by gradient, they receive
            it.

        Raises:
            NotImplementedError: if a subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} must define `decode`.")

    def update(
        self,
        inputs: Mapping[str, Tensor],
        indices: Mapping[str, Tensor],
        weights: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Updates state and adds losses for vectors and the indices chosen for them.

        Args:
            inputs: modality to float tensor `(batch, [frames,] embedding_dim)`.
            indices: modality to int tensor `(batch, [frames], *index_shape)`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """

    def clone(self, number: int) -> Quantizer:
        """Creates another quantiser of the same configuration.

        Args:
            number: int; codes drawn at random are drawn with `seed + number`.

        Returns:
            A new quantiser.
        """
        return self._clone(number)

    def copy_for_level(self, level: int) -> Quantizer:
        """Creates the quantiser of a level of a `ResidualQuantizer`.

        Args:
            level: int, from 0.

        Returns:
            A new quantiser. Those with a fixed grid have a finer grid at higher levels.
        """
        return self._clone(level)

    def _clone(self, number: int, **changes) -> Quantizer:
        config = {**self.get_config(), **changes, "name": f"{self.name}_{number}"}
        if "seed" in config:
            config["seed"] += number
        return type(self).from_config(config)

    def call(self, inputs, weights=None, training=False, mask=None):
        weights = mask if weights is None else weights
        inputs, weights, single = self._as_modalities(inputs, weights)
        learning = bool(training) and self.trainable
        outputs = {name: self._assign(x, learning) for name, x in inputs.items()}
        if learning:
            indices = {name: out["indices"] for name, out in outputs.items()}
            self.update(inputs, indices, weights)
        return outputs[""] if single else outputs

    def assign_codes(self, x: Tensor) -> dict[str, Tensor]:
        """Quantises vectors as a call in inference does, without changing state.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            Dict of `"quantized"`, `"codes"` and `"indices"`, as from a call.
        """
        return self._assign(ops.cast(x, self.compute_dtype), False)

    def _assign(self, x: Tensor, training: bool) -> dict[str, Tensor]:
        indices = self.encode(x)
        codes = self.decode(indices)
        return {
            "quantized": self._pass_gradient(x, codes, training),
            "codes": ops.stop_gradient(codes),
            "indices": indices,
        }

    def _pass_gradient(self, x: Tensor, codes: Tensor, training: bool) -> Tensor:
        """The codes, with the gradient that `gradient` names."""
        if self.gradient == "rotation":
            return rotation_trick(x, codes)
        if self.gradient == "diveq":
            return diveq(x, codes, self._draw_noise(x) if training else None)
        return quantization.straight_through(x, codes)

    def _build_noise(self) -> None:
        """Creates the counter of random draws; to be called by `build`."""
        self.step = self.add_weight(
            name="step",
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
        )

    def _draw_noise(self, x: Tensor) -> Tensor:
        noise = random_normal(self.step, tuple(ops.shape(x)), salt=3)
        self.step.assign(self.step + 1)
        return ops.cast(noise, x.dtype) * self.noise_scale

    noise_scale: float = 0.0

    def _as_modalities(self, inputs, weights):
        """Inputs and weights as dicts, cast and checked, and whether there was one tensor."""
        single = not isinstance(inputs, Mapping)
        weights = self._weights_by_modality(inputs, weights)
        inputs = {"": inputs} if single else inputs
        inputs = {name: ops.cast(x, self.compute_dtype) for name, x in inputs.items()}
        for name, x in inputs.items():
            if len(x.shape) not in (2, 3) or x.shape[-1] != self.embedding_dim:
                raise ValueError(
                    f"{type(self).__name__} inputs{f' of {name!r}' if name else ''} must have "
                    f"shape (batch, [frames,] {self.embedding_dim}). "
                    f"Received shape {tuple(x.shape)}."
                )
        weights = {
            name: frame_weights(ops.cast(weight, self.compute_dtype), inputs[name])
            for name, weight in weights.items()
            if weight is not None
        }
        return inputs, weights, single

    def _weights_by_modality(self, inputs, weights) -> Mapping[str, Any]:
        """Weights as a dict of the modalities of the inputs."""
        if weights is None:
            return {}
        single = not isinstance(inputs, Mapping)
        if single == isinstance(weights, Mapping):
            raise ValueError(
                f"`weights` of {type(self).__name__} must be a {'tensor' if single else 'dict'}, "
                f"as the inputs are. Received: {type(weights).__name__}"
            )
        if single:
            return {"": weights}
        unknown = sorted(set(weights) - set(inputs))
        if unknown:
            raise ValueError(
                f"`weights` of {type(self).__name__} must name modalities of the inputs, "
                f"{tuple(inputs)}. Received: {unknown}"
            )
        return weights

    @property
    def codebook(self) -> Tensor:
        """All codes, float tensor `(num_embeddings, embedding_dim)`, built on demand.

        Raises ValueError if that takes more than 256 MB; `code_blocks` has them in parts.
        """
        if self.index_shape:
            raise ValueError(
                f"{type(self).__name__} has no single codebook: a vector has indices of shape "
                f"{self.index_shape}. Its parts have codebooks."
            )
        if self.num_embeddings * self.embedding_dim > MAX_CODEBOOK:
            raise ValueError(
                f"`codebook` holds at most {MAX_CODEBOOK} numbers; use `code_blocks` or `decode`. "
                f"Received: {self.num_embeddings} codes of dimension {self.embedding_dim}"
            )
        return self.decode(ops.arange(self.num_embeddings, dtype="int32"))

    def code_blocks(self, block_size: int = 2**16) -> Iterator[Tensor]:
        """Yields all codes in the order of their indices, in blocks of bounded memory.

        Args:
            block_size: int, codes in a block.

        Yields:
            Float tensor `(block_size or fewer, embedding_dim)`.

        Raises:
            ValueError: for a quantiser that describes a vector by several codes.
        """
        if self.index_shape:
            raise ValueError(
                f"`code_blocks` must be those of a quantiser of one index. {type(self).__name__} "
                f"has indices of shape {self.index_shape}; see `sample_indices`."
            )
        for start in range(0, self.num_embeddings, block_size):
            stop = min(start + block_size, self.num_embeddings)
            yield self.decode(ops.arange(start, stop, dtype="int32"))

    def adaptable_parts(self) -> list[Quantizer]:
        """Finds the quantisers that store codes which `adapt` places: itself, or those within it.

        Returns:
            List of quantisers, those of `trainable=False` among them.

        Example:

        >>> keras_cmg.layers.FSQ((5, 5)).adaptable_parts()
        []
        """
        return []

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Places the codes at k-means centers of features, for quantisers that store their codes.

        Args:
            features: float array or tensor `(..., embedding_dim)`.
            num_iterations: int, iterations of Lloyd's algorithm.

        Raises:
            ValueError: for a quantiser whose codes cannot be placed.
        """
        raise ValueError(
            f"{type(self).__name__} stores no codes that could be placed at k-means centers."
        )

    def _features(self, features: Any) -> np.ndarray:
        """Features for `adapt` as finite vectors, float32 `(vectors, dim)`."""
        # Codes of aligned modalities are wider than the vectors that they stand for.
        dim = getattr(self, "code_dim", self.embedding_dim)
        points = np.asarray(ops.convert_to_numpy(features), "float32")
        if points.size == 0 or points.shape[-1] != dim:
            raise ValueError(
                f"`features` must have shape (..., {dim}) and hold at least one "
                f"vector. Received shape {points.shape}."
            )
        if not np.isfinite(points).all():
            raise ValueError("`features` must be finite. Received NaN or infinity.")
        return points.reshape(-1, dim)

    @property
    def index_sizes(self) -> np.ndarray:
        """Number of values of each index of a vector, int64 array of shape `index_shape`."""
        return np.full(self.index_shape, self.num_embeddings, "int64")

    def sample_indices(self, max_count: int = MAX_COMBINATIONS, seed: int = 0) -> np.ndarray:
        """Returns the indices of all codes, or of a sample of codes if there are more.

        The sample is a Latin hypercube: each index alone takes all of its values equally often, as
        far as `max_count` allows, and the indices of one vector are independent of each other.

        Args:
            max_count: int, codes at most.
            seed: int, of the sample.

        Returns:
            int32 array `(codes, *index_shape)`.

        Example:

        >>> quantizer = keras_cmg.layers.GroupedQuantizer(keras_cmg.layers.LFQ(1), num_groups=2)
        >>> quantizer.sample_indices().tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]
        >>> quantizer.sample_indices(max_count=2)[:, 0].tolist()
        [0, 1]
        """
        sizes = self.index_sizes.reshape(-1)
        if np.prod(sizes, dtype=float) <= max_count:
            columns = np.indices(tuple(sizes.tolist())).reshape(len(sizes), -1)
        else:
            random = np.random.default_rng(seed)
            numbers = np.arange(max_count)
            columns = np.stack(
                [
                    random.permutation(numbers % size)
                    if size <= max_count
                    else (random.permutation(numbers) + random.random(max_count))
                    * (size / max_count)
                    for size in sizes
                ]
            )
        return columns.T.reshape(-1, *self.index_shape).astype("int32")

    def coarse_codes(self, max_count: int = MAX_COMBINATIONS) -> tuple[np.ndarray, np.ndarray]:
        """Computes the codes of the leading indices alone, as many indices as a bound allows.

        For quantisers of one index, these are all codes. Levels of a `ResidualQuantizer` that are
        left out add nothing; groups of a `GroupedQuantizer` that are left out have the mean of
        their codes.

        Args:
            max_count: int, codes at most.

        Returns:
            Float array `(codes, embedding_dim)`, in the order of the mixed-radix numbers of the
            indices that are used, the last lowest; and an int array of shape `index_shape`, the
            number of values of each index, 0 for those left out.

        Example:

        >>> inner = keras_cmg.layers.LFQ(num_bits=2)
        >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=3)
        >>> codes, sizes = quantizer.coarse_codes(max_count=16)
        >>> codes.shape, sizes.tolist()
        ((16, 2), [4, 4, 0])
        """
        if self.num_embeddings > max_count:
            indices = self.sample_indices()
            mean = ops.convert_to_numpy(self.decode(indices)).mean(axis=0, keepdims=True)
            return mean, np.zeros(self.index_shape, "int64")
        indices = np.arange(self.num_embeddings, dtype="int32")
        return ops.convert_to_numpy(self.decode(indices)), self.index_sizes

    @property
    def codebooks(self) -> list[Tensor]:
        """All codes of each index of a vector, float tensors `(values, dim)`.

        In the order of `index_shape`: one codebook where there is one index. Those of levels are as
        wide as the vectors, those of groups as their channels.
        """
        return [ops.convert_to_tensor(self.codebook)]

    def code_tables(self) -> list[Tensor]:
        """Returns all codes of each index of a vector where vectors are compared with them.

        They are `codebooks`, but of a `ProjectedQuantizer` those of the inner space.

        Returns:
            A float tensor `(values, dim)` for each index, in the order of `index_shape`.

        Example:

        >>> inner = keras_cmg.layers.LFQ(num_bits=2)
        >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=3)
        >>> [tuple(table.shape) for table in quantizer.code_tables()]
        [(4, 2), (4, 2), (4, 2)]
        """
        return [ops.convert_to_tensor(self.codebook)]

    @property
    def distance_units(self) -> list[float]:
        """Unit of the distances to the codes of each index, by which code matching divides them.

        1 for codes that follow the vectors; for a grid, whose size is fixed, the largest absolute
        value of a channel of its codes, so that distances are those of a grid from -1 to 1.
        """
        return [1.0]

    def split_by_index(self, x: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
        """Computes the vectors that each index describes, to be compared with its codes.

        Args:
            x: float tensor `(..., embedding_dim)`.
            tables: as from `code_tables`, of now or of an earlier step.

        Returns:
            For each index, a float tensor `(..., dim)` as wide as its codes: of a
            `GroupedQuantizer` the groups of channels, of a `ResidualQuantizer` what the nearest
            codes of the levels before leave, of a `ProjectedQuantizer` the mapped vectors. A grid
            bounds vectors as it does before it rounds, so that the nearest code is the one chosen.

        Example:

        >>> inner = keras_cmg.layers.LFQ(num_bits=2)
        >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=2)
        >>> x = ops.convert_to_tensor([0.75, -0.25])
        >>> [v.tolist() for v in quantizer.split_by_index(x, quantizer.code_tables())]
        [[0.75, -0.25], [-0.25, 0.75]]
        """
        return [x]

    def index_similarities(self, x: Tensor) -> list[Tensor]:
        """Computes the cosine similarity of vectors with all codes of each index.

        Gradients reach the vectors, and of the codes those of `Prototypes` alone, which learn by
        such similarities.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            A float tensor `(..., values)` for each index, in the order of `index_shape`: what
            `split_by_index` returns, compared with `code_tables`.

        Example:

        >>> inner = keras_cmg.layers.Prototypes(num_embeddings=8, embedding_dim=2)
        >>> quantizer = keras_cmg.layers.GroupedQuantizer(inner, num_groups=3)
        >>> quantizer.build()
        >>> [tuple(x.shape) for x in quantizer.index_similarities(np.ones((5, 6), "float32"))]
        [(5, 8), (5, 8), (5, 8)]
        """
        x = ops.cast(x, self.compute_dtype)
        tables = [ops.stop_gradient(table) for table in self.code_tables()]
        parts = zip(self.split_by_index(x, tables), tables, strict=True)
        return [cosine_logits(vectors, codes) for vectors, codes in parts]

    def _nearest_in(self, x: Tensor, tables: Sequence[Tensor]) -> Tensor:
        """The nearest code of each vector in given tables."""
        (vectors,) = self.split_by_index(x, tables)
        index = quantization.nearest_codes(ops.stop_gradient(vectors), tables[0])
        return ops.take(tables[0], index, axis=0)

    def code_metrics(self, indices: Tensor, weights: Tensor | None = None) -> dict[str, Tensor]:
        """Computes how the codes of a batch are used.

        Args:
            indices: int tensor `(batch, [frames], *index_shape)`, as from a call; -1, a level that
                a training step left out, is not counted.
            weights: optional float tensor `(batch, [frames])`; 0 leaves a vector out.

        Returns:
            Dict of `"perplexity"`, the effective number of codes, `"used"` and `"unused"`, numbers
            of codes: scalars, means over the axes of `index_shape`. Codes of a batch only: use
            `keras_cmg.metrics.Perplexity` for whole sets.
        """
        parts = int(np.prod(self.index_shape, dtype=int))
        columns = ops.reshape(indices, (-1, parts))
        counts = ops.cast(columns >= 0, "float32")
        if weights is not None:
            counts = counts * ops.reshape(ops.cast(weights, "float32"), (-1, 1))
        sizes = self.index_sizes.reshape(-1).tolist()
        usage = [
            quantization.code_usage(ops.maximum(columns[:, i], 0), size, counts[:, i])
            for i, size in enumerate(sizes)
        ]
        perplexity = sum(quantization.perplexity(share) for share in usage) / parts
        used = sum(ops.sum(ops.cast(share > 0, "float32")) for share in usage) / parts
        return {"perplexity": perplexity, "used": used, "unused": sum(sizes) / parts - used}

    def compute_mask(self, inputs, previous_mask):
        def masks(mask):
            return dict.fromkeys(("quantized", "codes", "indices"), mask)

        if not isinstance(inputs, Mapping):
            return masks(previous_mask)
        return {name: masks((previous_mask or {}).get(name)) for name in inputs}

    def compute_output_spec(self, inputs, weights=None, training=False, mask=None):
        def spec(x):
            frames = tuple(x.shape[:-1])
            vectors = keras.KerasTensor((*frames, self.embedding_dim), dtype=self.compute_dtype)
            return {
                "quantized": vectors,
                "codes": vectors,
                "indices": keras.KerasTensor((*frames, *self.index_shape), dtype="int32"),
            }

        if not isinstance(inputs, Mapping):
            return spec(inputs)
        return {name: spec(x) for name, x in inputs.items()}


def frame_weights(weight: Tensor, x: Tensor) -> Tensor:
    """Brings weights of clips to the vectors of a tensor.

    Args:
        weight: float tensor `(batch,)`, `(batch, 1)` or `(batch, frames)`.
        x: float tensor `(batch, [frames,] dim)`.

    Returns:
        Float tensor `(batch, [frames])`.

    Raises:
        ValueError: if the shape is another one.

    Example:

    >>> tuple(frame_weights(ops.ones((2,)), ops.ones((2, 3, 4))).shape)
    (2, 3)
    """
    shape, expected = tuple(weight.shape), tuple(x.shape[:-1])
    known = (size for size in zip(shape, expected, strict=False) if None not in size)
    if len(shape) not in (1, 2) or any(size not in (1, other) for size, other in known):
        raise ValueError(
            f"`weights` must have shape (batch,) or (batch, frames), here {expected}. "
            f"Received shape {shape}."
        )
    if len(shape) > len(expected):
        if shape[1] != 1:
            raise ValueError(
                f"`weights` must have shape {expected}, that of vectors without frames. "
                f"Received shape {shape}."
            )
        weight = weight[:, 0]
    elif len(shape) < len(expected):
        weight = weight[:, None]
    return ops.broadcast_to(weight, ops.shape(x)[:-1])


def check_part(quantizer: Any, argument: str) -> None:
    """Raises a `ValueError` unless a quantiser can be a part of another one.

    Args:
        quantizer: anything.
        argument: str, name of the argument.

    Raises:
        ValueError: if it is no `Quantizer`, or one whose modalities have codes of their own.

    Example:

    >>> check_part(keras_cmg.layers.FSQ((5, 5)), "quantizer")
    """
    if not isinstance(quantizer, Quantizer):
        raise ValueError(f"`{argument}` must be a `Quantizer`. Received: {quantizer!r}")
    if quantizer.is_by_modality:
        raise ValueError(
            f"`{argument}` must have the same codes for all modalities within another quantiser. "
            f"Received: {type(quantizer).__name__}"
        )


def flatten_modalities(
    inputs: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None = None
) -> tuple[Tensor, Tensor | None]:
    """Joins the vectors of all modalities.

    Args:
        inputs: modality to tensor `(batch, [frames,] dim)`.
        weights: optional modality to float tensor `(batch, [frames])`.

    Returns:
        Tensor `(vectors, dim)`, and weights `(vectors,)` or None if no modality has any.

    Example:

    >>> vectors, weights = flatten_modalities({"a": np.ones((2, 3, 4)), "b": np.ones((2, 4))})
    >>> tuple(vectors.shape), weights
    ((8, 4), None)
    """
    rows = [ops.reshape(x, (-1, x.shape[-1])) for x in inputs.values()]
    vectors = rows[0] if len(rows) == 1 else ops.concatenate(rows)
    if not weights:
        return vectors, None
    counts = [
        ops.reshape(ops.cast(weights[name], x.dtype), (-1,))
        if name in weights
        else ops.ones_like(x[:, 0])
        for name, x in zip(inputs, rows, strict=True)
    ]
    return vectors, counts[0] if len(counts) == 1 else ops.concatenate(counts)


def check_gradient(gradient: str) -> None:
    """Raises a `ValueError` unless `gradient` is one of the gradients of quantisation.

    Args:
        gradient: str.

    Raises:
        ValueError: if the name is unknown.

    Example:

    >>> check_gradient("rotation")
    """
    if gradient not in GRADIENTS:
        raise ValueError(f"`gradient` must be one of {GRADIENTS}. Received: {gradient!r}")


def distances_to_codes(inputs, codes, weights=None) -> tuple[Tensor, Tensor]:
    """Computes the mean squared distance of vectors and codes, over all modalities and replicas.

    Args:
        inputs: modality to float tensor `(batch, [frames,] dim)`.
        codes: modality to the codes of the vectors, of the same shapes.
        weights: optional modality to float tensor `(batch, [frames])`.

    Returns:
        The same scalar twice: with gradient to the codes, and with gradient to the vectors.

    Example:

    >>> x, codes = {"": np.zeros((2, 3), "float32")}, {"": np.ones((2, 3), "float32")}
    >>> [float(value) for value in distances_to_codes(x, codes)]
    [1.0, 1.0]
    """
    vectors, counts = flatten_modalities(inputs, weights)
    chosen, _ = flatten_modalities(codes)

    def distance(a, b):
        return engine.global_mean(ops.mean(ops.square(a - b), axis=-1), counts)

    return (
        distance(ops.stop_gradient(vectors), chosen),
        distance(vectors, ops.stop_gradient(chosen)),
    )
