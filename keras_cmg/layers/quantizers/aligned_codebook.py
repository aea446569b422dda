"""A codebook whose rows hold one code for each modality (CoDAAR)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.ops import aligned_codes, counter_random, quantization
from keras_cmg.ops.masking import weights_like
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class AlignedCodebook(Codebook):
    """Replaces vectors of several modalities by rows of codes, one block for each modality.

    A row stands for the same in all modalities. A vector chooses the row whose block of its own
    modality is nearest; it is replaced by the whole row, so that codes of different modalities
    compare. The gradient of a row reaches the vectors of all modalities at the same clip and frame,
    each by its own block.

    In training, each block is updated by moving averages of its own, from mixtures of the
    modalities' features (MM-EMA). The codes of a row are then moved towards one another, see
    `keras_cmg.ops.cascade_blocks`; the averages are not, so that this does not add up from step to
    step. Rows that no modality used for long are replaced as in `Codebook`. In inference, and with
    `trainable=False`, the state does not change.

    Masks: `weights` of zero leave vectors out of the statistics, of their partners' mixtures and of
    replacements, and get no gradient from their partners' rows. A batch in which no vector counts
    changes nothing.

    When to use: where modalities are too different to share one code vector. When not: with
    quantisers that share codes, a probe needs a fraction of the input width.

    Args:
        num_embeddings: int, number of rows.
        embedding_dim: int, length of a block.
        modalities: sequence of names, in the order of the blocks and of the updates.
        own_weight: float, weight of a modality's own feature in its update; the others share the
            rest.
        cascade: bool, whether the codes of a row are moved towards one another.
        replacement_noise: float, standard deviation of the normal noise added to a replacement.
        **kwargs: the arguments of `Codebook`, with `gradient` and `similarity` at their defaults
            and without `replace_in_evaluation`.

    Call arguments:
        inputs: dict of modality to float tensor `(batch, [frames,] embedding_dim)`.
        weights: optional, like `inputs` but without the last axis.
        training: bool, whether the codebook is updated.

    Returns:
        Modality to dict of `"quantized"`, the rows, `(batch, [frames,] code_dim)` with `code_dim`
        modalities times `embedding_dim`; `"codes"`, their blocks of the modality, `(batch,
        [frames,] embedding_dim)` without gradient; and `"indices"`, int32 `(batch, [frames])`.

    Raises:
        ValueError: as `Codebook`, for inputs of unknown modalities or that are no dict, and if
            `own_weight` is not in [0, 1].

    Example:

    >>> codebook = keras_cmg.layers.AlignedCodebook(8, 4, modalities=("video", "audio"))
    >>> out = codebook({"audio": np.ones((2, 4)), "video": np.ones((2, 4))}, training=True)
    >>> tuple(out["audio"]["quantized"].shape), tuple(out["audio"]["codes"].shape)
    ((2, 8), (2, 4))

    References:
        CoDAAR (2026), arXiv:2605.12145, in the form of the authors' code.
    """

    gradients: tuple[str, ...] = ("straight_through",)
    is_by_modality = True

    def __init__(
        self,
        num_embeddings: int = 800,
        embedding_dim: int = 256,
        modalities: Sequence[str] = ("video", "audio", "text"),
        own_weight: float = 0.6,
        cascade: bool = True,
        replacement_noise: float = 0.001,
        **kwargs,
    ):
        super().__init__(
            num_embeddings, embedding_dim, replacement_noise=replacement_noise, **kwargs
        )
        if not 0 <= own_weight <= 1:
            raise ValueError(f"`own_weight` must lie in [0, 1]. Received: {own_weight}")
        if self.similarity != "euclidean" or self.replace_in_evaluation:
            raise ValueError(
                "`similarity` must be 'euclidean' and `replace_in_evaluation` False. "
                f"Received: {self.similarity!r} and {self.replace_in_evaluation}"
            )
        self.modalities = tuple(modalities)
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(
                f"`modalities` must hold at least one name, each once. Received: {self.modalities}"
            )
        self.own_weight = own_weight
        self.cascade = cascade

    @property
    def code_dim(self) -> int:
        """Length of a row: modalities times `embedding_dim`."""
        return len(self.modalities) * self.embedding_dim

    def _build_codes(self, initial_codes):
        super()._build_codes(initial_codes)
        # Each modality counts by itself.
        shape = (len(self.modalities), self.num_embeddings)
        counts = "zeros" if self.zero_initial_counts else "ones"
        self.ema_counts = self._add_state("ema_counts", shape, counts)

    def blocks(self, rows: Tensor) -> dict[str, Tensor]:
        """Cuts rows into the blocks of the modalities.

        Args:
            rows: tensor `(..., code_dim)`, such as `codebook`.

        Returns:
            Modality to tensor `(..., embedding_dim)`.

        Example:

        >>> codebook = keras_cmg.layers.AlignedCodebook(2, 1, modalities=("video", "audio"))
        >>> {m: block.tolist() for m, block in codebook.blocks(np.array([[1, 2]])).items()}
        {'video': [[1]], 'audio': [[2]]}
        """
        dim = self.embedding_dim
        return {m: rows[..., i * dim : (i + 1) * dim] for i, m in enumerate(self.modalities)}

    def call(self, inputs, weights=None, training=False, mask=None):
        weights = mask if weights is None else weights
        inputs, weights, single = self._as_modalities(inputs, weights)
        unknown = sorted(set(inputs) - set(self.modalities))
        if single or unknown:
            raise ValueError(
                f"{self.name}: inputs must be a dict of modalities of {self.modalities}. "
                f"Received: {'one tensor' if single else unknown}"
            )
        outputs = {name: self._assign_row(x, name) for name, x in inputs.items()}
        for name, x in inputs.items():
            sources = self._sources(inputs, weights, x)
            rows = outputs[name]["quantized"]
            # Nothing but gradient: the rows' values are those of the codebook.
            outputs[name]["quantized"] = rows + (sources - ops.stop_gradient(sources))
        if training and self.trainable:
            indices = {name: out["indices"] for name, out in outputs.items()}
            self.update(inputs, indices, weights)
        return outputs

    def _sources(self, inputs, weights, x):
        """The vectors of all modalities, as a row, at the frames of one."""
        parts = []
        for name in self.modalities:
            if name not in inputs:
                parts.append(ops.zeros_like(x))
                continue
            weight = weights.get(name)
            source = quantization.as_frames_of(inputs[name], x, weight)
            if weight is not None:
                # Vectors without weight get no gradient.
                source = source * ops.cast(weights_like(weight, source), x.dtype)[..., None]
            parts.append(ops.broadcast_to(source, ops.shape(x)))
        return parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1)

    def assign_codes(self, x: Tensor, modality: str | None = None) -> dict[str, Tensor]:
        """Quantises vectors of one modality, without gradient and without changing state.

        Args:
            x: float tensor `(..., embedding_dim)`.
            modality: name of the modality.

        Returns:
            Dict of `"quantized"`, `"codes"` and `"indices"`, as from a call.

        Raises:
            ValueError: for an unknown modality.
        """
        return self._assign_row(ops.cast(x, self.compute_dtype), modality)

    def _assign_row(self, x, modality):
        indices = self.encode(x, modality)
        rows = self.decode(indices)
        return {"quantized": rows, "codes": self.blocks(rows)[modality], "indices": indices}

    def encode(self, x: Tensor, modality: str | None = None) -> Tensor:
        """Computes the index of the row whose block of a modality is nearest to each vector.

        Args:
            x: float tensor `(..., embedding_dim)`.
            modality: name of the modality.

        Returns:
            int32 tensor `(...)`.

        Raises:
            ValueError: for an unknown modality.

        Example:

        >>> codebook = keras_cmg.layers.AlignedCodebook(2, 1, modalities=("video", "audio"))
        >>> codebook.adapt(np.array([[0.0, 9.0], [5.0, 7.0]]))
        >>> int(codebook.encode(np.array([[7.5]]), "audio")[0]) == int(
        ...     codebook.encode(np.array([[4.0]]), "video")[0]
        ... )
        True
        """
        if modality not in self.modalities:
            raise ValueError(f"`modality` must be one of {self.modalities}. Received: {modality!r}")
        x = ops.stop_gradient(ops.cast(x, self.compute_dtype))
        return quantization.nearest_codes(x, self.blocks(self._codes())[modality])

    def aligned_rows(
        self, inputs: Mapping[str, Tensor], weights: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Joins the vectors of all modalities at the same clip and frame.

        Args:
            inputs: modality to float tensor `(batch, [frames,] embedding_dim)`, of all modalities;
                the frames are those of the first one.
            weights: optional modality to `(batch, [frames])`.

        Returns:
            Float tensor `(rows, code_dim)`, and bool tensor `(rows,)`, true where all modalities
            count.

        Example:

        >>> codebook = keras_cmg.layers.AlignedCodebook(2, 1, modalities=("video", "audio"))
        >>> x = {"video": np.ones((2, 1)), "audio": np.zeros((2, 1))}
        >>> codebook.aligned_rows(x, {"audio": np.array([1.0, 0.0])})[1].tolist()
        [True, False]
        """
        inputs = {name: ops.convert_to_tensor(inputs[name]) for name in self.modalities}
        weights = weights or {}
        first = inputs[self.modalities[0]]
        rows = self._sources(inputs, {}, first)
        counts = ops.ones(ops.shape(first)[:-1], dtype="bool")
        for weight in weights.values():
            counts = ops.logical_and(counts, weights_like(weight, first) > 0)
        return ops.reshape(rows, (-1, self.code_dim)), ops.reshape(counts, (-1,))

    def _update(self, inputs, indices, weights):
        mixed = inputs
        if self.mix_modalities:
            mixed = quantization.mix_modalities(inputs, weights, self.own_weight)
        before = ops.convert_to_tensor(self.codebook)
        all_counts = ops.convert_to_tensor(self.ema_counts)
        sums = self.blocks(ops.convert_to_tensor(self.ema_sums))
        codes, counts = self.blocks(before), {}
        for i, name in enumerate(self.modalities):
            counts[name] = all_counts[i]
            if name in mixed:
                moved = self._moved(counts[name], sums[name], indices, mixed, weights, name)
                counts[name], sums[name] = moved
            used = counts[name][:, None] > 0
            divisor = ops.where(used, counts[name][:, None], 1.0)
            codes[name] = ops.where(used, sums[name] / divisor, codes[name])
        if self.cascade:
            codes = aligned_codes.cascade_blocks(codes)
        codebook, new_sums = (ops.concatenate(list(x.values()), axis=-1) for x in (codes, sums))
        new_counts = ops.stack(list(counts.values()))
        if all(name in weights for name in inputs):
            # Rows are moved towards one another in steps in which a vector counts.
            counted = sum(ops.sum(weights[name]) for name in inputs) > 0
            codebook = ops.where(counted, codebook, before)
        if self.frozen_codes:
            frozen = self._is_frozen()
            new_counts = ops.where(frozen, all_counts, new_counts)
            old_sums = ops.convert_to_tensor(self.ema_sums)
            new_sums = ops.where(frozen[:, None], old_sums, new_sums)
            codebook = ops.where(frozen[:, None], before, codebook)
        self._assign_if_finite(codebook=codebook, ema_counts=new_counts, ema_sums=new_sums)

    def _moved(self, counts, sums, indices, mixed, weights, name):
        """The moving averages of one block after this batch."""
        new = quantization.code_statistics(
            indices[name], mixed[name], self.num_embeddings, weights.get(name)
        )
        moved = quantization.ema_update(counts, sums, *new, self.decay, self.epsilon)
        if name not in weights:
            return moved
        counted = ops.sum(new[0]) > 0
        pairs = zip(moved, (counts, sums), strict=True)
        return tuple(ops.where(counted, after, before) for after, before in pairs)

    def sample_noise(self) -> Tensor:
        """Samples the noise of replacements.

        Returns:
            float32 tensor `(num_embeddings, code_dim)`, of the standard normal distribution.
        """
        shape = (self.num_embeddings, self.code_dim)
        return counter_random.random_normal(self.step, shape, salt=2)

    def sample_replacements(self, codebook, steps, dead, inputs, weights=None):
        """Samples a row for each row, which replaces it if it is dead.

        Args:
            codebook: `(num_embeddings, code_dim)`.
            steps: `(num_embeddings,)` training steps since each row was used.
            dead: `(num_embeddings,)` bool.
            inputs: modality to `(batch, [frames,] embedding_dim)`.
            weights: optional modality to `(batch, [frames])`.

        Returns:
            Float tensor `(num_embeddings, code_dim)`: rows in use if `replacement` is `"code"`, and
            for inputs that lack a modality; else aligned vectors of the batch.
        """
        bits = counter_random.random_bits(self.step, self.num_embeddings, salt=1)
        live = ops.logical_and(steps < (self.dead_code_patience or 1) / 3, ops.logical_not(dead))
        chosen = ops.take(codebook, counter_random.choose_eligible(live, bits), axis=0)
        if self.replacement == "code" or set(inputs) != set(self.modalities):
            return chosen
        rows, eligible = self.aligned_rows(inputs, weights)
        drawn = ops.take(rows, counter_random.choose_eligible(eligible, bits), axis=0)
        return ops.where(ops.any(eligible), drawn, chosen)

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Sets the rows to the k-means centers of aligned vectors, and resets the EMA statistics.

        Args:
            features: float array or tensor `(..., code_dim)`, such as from `aligned_rows`.
            num_iterations: int, iterations of Lloyd's algorithm.

        Raises:
            ValueError: if `features` is empty, not finite, or of another dimension.

        Example:

        >>> codebook = keras_cmg.layers.AlignedCodebook(2, 1, modalities=("video", "audio"))
        >>> codebook.adapt(np.array([[0.0, 9.0], [5.0, 7.0]]))
        >>> sorted(codebook.codebook.numpy()[:, 1].tolist())
        [7.0, 9.0]
        """
        super().adapt(features, num_iterations)

    def compute_output_spec(self, inputs, weights=None, training=False, mask=None):
        outputs = super().compute_output_spec(inputs, weights, training, mask)
        for output in outputs.values():
            shape = (*output["codes"].shape[:-1], self.code_dim)
            output["quantized"] = keras.KerasTensor(shape, dtype=self.compute_dtype)
        return outputs

    def get_config(self):
        names = "modalities own_weight cascade".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
