"""A codebook shared by all modalities: vector quantisation with (multimodal) moving averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.quantizers.quantizer import Quantizer, frame_weights
from keras_cmg.ops import counter_random, quantization
from keras_cmg.ops.contrastive import l2_normalize
from keras_cmg.ops.k_means import k_means
from keras_cmg.types import Tensor

REPLACEMENTS = ("input", "code")
SIMILARITIES = ("euclidean", "cosine")


@keras.saving.register_keras_serializable("keras_cmg")
class Codebook(Quantizer):
    """Replaces vectors by their nearest code, and updates the codes by moving averages.

    In training, a call computes the codes of its inputs, then updates the codebook with the
    statistics of the batch (of the global batch under data-parallel training) and replaces codes
    that were not used for long. In inference, and with `trainable=False`, the state does not
    change. State and computation are float32 (float64 if `dtype` is) under every mixed-precision
    policy. A batch whose statistics are not finite does not change the codes or their averages.

    With a dict of modalities, each updates the codebook in turn, with mixtures of its own and its
    partners' features (MM-EMA, see `keras_cmg.ops.mix_modalities`).

    Masks: `weights` of zero, such as those of padded frames or missing modalities, leave vectors
    out of the statistics, of their partners' mixtures, and of the replacements of dead codes. Codes
    of such vectors are computed all the same. A batch in which no vector counts changes nothing.

    When to use: as the codebook shared by modalities, and wherever codes are compared, read or
    initialised from data. When not: for large vocabularies (10^4 codes and more), of which moving
    averages leave many unused: see `FSQ`, `LFQ` and `SimVQ`.

    Args:
        num_embeddings: int, number of codes, the paper's H.
        embedding_dim: int, length of a code, the paper's D.
        decay: float, weight of the past in the moving averages, per modality and step.
        epsilon: float, Laplace smoothing of the counts.
        dead_code_patience: int, training steps without use after which a code is replaced, or None
            for never.
        replacement: what replaces a dead code: `"input"`, a vector of the current batch; `"code"`,
            a code in use.
        replacement_noise: float, half-width of uniform noise added to the replacement.
        reset_replaced_state: bool, whether the EMA statistics of a replaced code are reset, so that
            the replacement lasts. In the authors' code they are not, and the code returns to its
            earlier value in the next step.
        replace_in_evaluation: bool, whether dead codes are counted and replaced in inference too,
            as in the authors' code; not those of a frozen codebook.
        replacement_offset: float, added to the replacement; -1/1024 in the authors' code, which has
            no noise.
        zero_initial_counts: bool, whether counts start at zero, as in the authors' code, where
            unused codes move far away in the first steps. Otherwise counts start at one, and unused
            codes do not move.
        usage_modalities: sequence of names, modalities whose use keeps a code from being dead; all
            if None, or if the inputs have none of them.
        mix_modalities: bool, whether updates use mixtures of modalities (MM-EMA); otherwise those
            of each modality use its own features alone.
        initial_scale: float, bound of the uniform initial codes; default `1 / num_embeddings`.
        gradient: gradient of the quantisation: `"straight_through"` (the paper), or `"rotation"`,
            see `keras_cmg.ops.rotation_trick`.
        similarity: `"euclidean"`, or `"cosine"`: vectors and codes are normalised to unit length.
        frozen_codes: sequence of ints, codes that training does not change. As for `trainable`, a
            change of this attribute takes effect when the model is compiled again. It is saved with
            the layer.
        seed: int, seed of the initial codes.
        dtype: dtype policy; state and computation use its variable dtype.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] dim)`, or a dict of modality to such tensors.
        weights: optional, like `inputs` but without the last axis: weight of each vector in the
            statistics.
        training: bool, whether the codebook is updated.

    Returns:
        For one tensor, a dict; for a dict of modalities, a dict of dicts:
        `"quantized"` `(batch, [frames,] dim)` with the gradient of `gradient`, `"codes"` of the
        same shape without gradient, both from before the update, and `"indices"`, int32 `(batch,
        [frames])`.

    Raises:
        ValueError: if a size is below 1, `decay` is not in [0, 1), `replacement`, `gradient` or
            `similarity` is unknown, a code of `frozen_codes` does not exist, or the last axis
            of the inputs is not `embedding_dim`.

    Example:

    >>> codebook = keras_cmg.layers.Codebook(num_embeddings=8, embedding_dim=4)
    >>> out = codebook({"audio": np.ones((2, 4)), "video": np.ones((2, 4))}, training=True)
    >>> tuple(out["audio"]["quantized"].shape), tuple(out["video"]["indices"].shape)
    ((2, 4), (2,))

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, appendix A.1;
        Xia et al. (2023), Achieving Cross Modal Generalization with Multimodal Unified
        Representation (MM-EMA).
    """

    gradients: tuple[str, ...] = ("straight_through", "rotation")
    codebook: Any = None

    def __init__(
        self,
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        decay: float = 0.99,
        epsilon: float = 1e-5,
        dead_code_patience: int | None = 300,
        replacement: str = "input",
        replacement_noise: float = 1 / 1024,
        reset_replaced_state: bool = True,
        replace_in_evaluation: bool = False,
        replacement_offset: float = 0.0,
        zero_initial_counts: bool = False,
        usage_modalities: Sequence[str] | None = None,
        mix_modalities: bool = True,
        initial_scale: float | None = None,
        gradient: str = "straight_through",
        similarity: str = "euclidean",
        frozen_codes: Sequence[int] = (),
        seed: int = 0,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        require_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` must lie in [0, 1). Received: {decay}")
        if replacement not in REPLACEMENTS:
            raise ValueError(
                f"`replacement` must be one of {REPLACEMENTS}. Received: {replacement!r}"
            )
        if gradient not in self.gradients:
            raise ValueError(f"`gradient` must be one of {self.gradients}. Received: {gradient!r}")
        if similarity not in SIMILARITIES:
            raise ValueError(
                f"`similarity` must be one of {SIMILARITIES}. Received: {similarity!r}"
            )
        if dead_code_patience is not None and dead_code_patience < 1:
            raise ValueError(
                f"`dead_code_patience` must be at least 1 or None. Received: {dead_code_patience}"
            )
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.decay = decay
        self.epsilon = epsilon
        self.dead_code_patience = dead_code_patience
        self.replacement = replacement
        self.replacement_noise = replacement_noise
        self.reset_replaced_state = reset_replaced_state
        self.replace_in_evaluation = replace_in_evaluation
        self.replacement_offset = replacement_offset
        self.zero_initial_counts = zero_initial_counts
        self.usage_modalities = None if usage_modalities is None else tuple(usage_modalities)
        self.mix_modalities = mix_modalities
        self.initial_scale = initial_scale
        self.gradient = gradient
        self.similarity = similarity
        self.seed = seed
        self.frozen_codes = frozen_codes

    @property
    def frozen_codes(self) -> tuple[int, ...]:
        """Codes that training leaves as they are."""
        return self._frozen_codes

    @frozen_codes.setter
    def frozen_codes(self, codes: Sequence[int]) -> None:
        codes = tuple(sorted({int(code) for code in codes}))
        if codes and not 0 <= codes[0] <= codes[-1] < self.num_embeddings:
            raise ValueError(
                f"`frozen_codes` must be from 0 to {self.num_embeddings - 1}. "
                f"Received: {codes[0]} to {codes[-1]}"
            )
        self._frozen_codes = codes

    def _is_frozen(self) -> Tensor:
        frozen = np.zeros(self.num_embeddings, bool)
        frozen[list(self.frozen_codes)] = True
        return ops.convert_to_tensor(frozen)

    @property
    def code_dim(self) -> int:
        """Length of a row of the codebook."""
        return self.embedding_dim

    def build(self, input_shape: Any = None) -> None:
        shape = (self.num_embeddings, self.code_dim)
        scale = 1 / self.num_embeddings if self.initial_scale is None else self.initial_scale
        start = np.random.default_rng(self.seed).uniform(-scale, scale, shape)
        if self.similarity == "cosine":
            start /= np.maximum(np.linalg.norm(start, axis=1, keepdims=True), 1e-12)

        def initial_codes(shape, dtype=None):
            return ops.convert_to_tensor(start, dtype=dtype)

        self._build_codes(initial_codes)
        self.steps_since_used = self._add_state("steps_since_used", shape[:1], "zeros")
        self._build_noise()
        self.built = True

    def _build_codes(self, initial_codes: Any) -> None:
        """Creates the codes and their statistics."""
        shape = (self.num_embeddings, self.code_dim)
        counts = "zeros" if self.zero_initial_counts else "ones"
        self.codebook = self._add_state("codebook", shape, initial_codes)
        self.ema_sums = self._add_state("ema_sums", shape, initial_codes)
        self.ema_counts = self._add_state("ema_counts", shape[:1], counts)

    def _add_state(self, name, shape, initializer):
        return self.add_weight(
            name=name, shape=shape, initializer=initializer, trainable=False, aggregation="mean"
        )

    def _normalize(self, x: Tensor) -> Tensor:
        """Vectors as they are compared with codes."""
        return l2_normalize(x) if self.similarity == "cosine" else x

    def _codes(self) -> Tensor:
        """All codes, with gradient where they are learned by it."""
        self._ensure_built()
        return ops.stop_gradient(ops.convert_to_tensor(self.codebook))

    def call(self, inputs, weights=None, training=False, mask=None):
        weights = mask if weights is None else weights
        outputs = super().call(inputs, weights, training)
        if self.replace_in_evaluation and self.trainable and not training:
            inputs, weights, single = self._as_modalities(inputs, weights)
            found = {"": outputs} if single else outputs
            indices = {name: found[name]["indices"] for name in inputs}
            self._learn(inputs, indices, weights, False)
        return outputs

    def _assign(self, x, training):
        return super()._assign(self._normalize(x), training)

    def update(self, inputs, indices, weights=None):
        """Moves the codes that were chosen, and replaces those that have not been for long.

        Args:
            inputs: modality to float tensor `(batch, [frames,] embedding_dim)`.
            indices: modality to int tensor `(batch, [frames])`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """
        self._learn(inputs, indices, weights or {}, True)

    def _learn(self, inputs, indices, weights, learning):
        inputs = {name: self._normalize(x) for name, x in inputs.items()}
        # Replicas then all move the codebook alike, as one device would.
        held = keras.tree.map_structure(ops.stop_gradient, (inputs, indices, weights))
        inputs, indices, weights = engine.global_batch(held)
        if learning:
            self._update(inputs, indices, weights)
        if self.dead_code_patience is not None:
            self._replace_dead_codes(inputs, indices, weights)
        if learning:
            self.step.assign(self.step + 1)

    def encode(self, x: Tensor) -> Tensor:
        """Computes the index of the nearest code of each vector.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            int32 tensor `(...)`.

        Example:

        >>> codebook = keras_cmg.layers.Codebook(num_embeddings=2, embedding_dim=1)
        >>> codebook.adapt(np.array([[0.0], [5.0]]))
        >>> indices = codebook.encode(np.array([[4.0], [6.0]]))
        >>> bool(indices[0] == indices[1])
        True
        """
        x = self._normalize(ops.stop_gradient(ops.cast(x, self.compute_dtype)))
        return quantization.nearest_codes(x, ops.stop_gradient(self._codes()))

    def decode(self, indices: Tensor) -> Tensor:
        """Looks up codes by index.

        Args:
            indices: int tensor `(...)`, from 0 to `num_embeddings - 1`.

        Returns:
            Float tensor `(..., embedding_dim)`, without gradient.

        Example:

        >>> codebook = keras_cmg.layers.Codebook(num_embeddings=2, embedding_dim=1)
        >>> codebook.adapt(np.array([[0.0], [5.0]]))
        >>> codebook.decode(codebook.encode(np.array([[4.0], [1.0]])))[:, 0].tolist()
        [5.0, 0.0]
        """
        return ops.take(self._codes(), indices, axis=0)

    def _update(self, inputs, indices, weights):
        mixed = quantization.mix_modalities(inputs, weights) if self.mix_modalities else inputs
        counts, sums = ops.convert_to_tensor(self.ema_counts), ops.convert_to_tensor(self.ema_sums)
        for name, mixture in mixed.items():
            new_counts, new_sums = quantization.code_statistics(
                indices[name], mixture, self.num_embeddings, weights.get(name)
            )
            moved = quantization.ema_update(
                counts, sums, new_counts, new_sums, self.decay, self.epsilon
            )
            if name in weights:
                counted = ops.sum(new_counts) > 0
                moved = tuple(
                    ops.where(counted, new, old)
                    for new, old in zip(moved, (counts, sums), strict=True)
                )
            counts, sums = moved
        codebook = self._normalize(sums / counts[:, None])
        if self.frozen_codes:
            frozen = self._is_frozen()
            counts = ops.where(frozen, ops.convert_to_tensor(self.ema_counts), counts)
            sums = ops.where(frozen[:, None], ops.convert_to_tensor(self.ema_sums), sums)
            codebook = ops.where(frozen[:, None], self._codes(), codebook)
        self._assign_if_finite(codebook=codebook, ema_counts=counts, ema_sums=sums)

    def _assign_if_finite(self, **values: Tensor) -> None:
        """Assigns all of the values, or none if one is not finite.

        One batch with NaN would otherwise leave NaN in the moving averages for good.
        """
        finite = ops.all(ops.stack([ops.all(ops.isfinite(x)) for x in values.values()]))
        for name, value in values.items():
            variable = getattr(self, name)
            variable.assign(ops.where(finite, value, ops.convert_to_tensor(variable)))

    def _replace_dead_codes(self, inputs, indices, weights):
        used = ops.zeros((self.num_embeddings,), dtype=self.compute_dtype)
        counted = set(self.usage_modalities or ()) & set(indices) or set(indices)
        for name, index in indices.items():
            if name not in counted:
                continue
            ones = ops.ones((*ops.shape(index), 1), dtype=self.compute_dtype)
            counts, _ = quantization.code_statistics(
                index, ones, self.num_embeddings, weights.get(name)
            )
            used = used + counts
        before = ops.convert_to_tensor(self.steps_since_used)
        steps = ops.where(used > 0, 0.0, before + 1.0)
        if all(name in weights for name in counted):
            # Where nothing counts, nothing was unused, and no vector can replace a code.
            steps = ops.where(ops.sum(used) > 0, steps, before)
        dead = steps > self.dead_code_patience
        if self.frozen_codes:
            dead = ops.logical_and(dead, ops.logical_not(self._is_frozen()))
        steps = ops.where(dead, 0.0, steps)
        codebook = ops.stop_gradient(self._codes())
        replacements = self.sample_replacements(codebook, steps, dead, inputs, weights)
        noise = ops.cast(self.sample_noise(), self.compute_dtype) * self.replacement_noise
        replacements = self._normalize(replacements + noise + self.replacement_offset)
        # A vector that is not finite replaces no code.
        dead = ops.logical_and(dead, ops.all(ops.isfinite(replacements), axis=1))
        self.steps_since_used.assign(steps)
        self._replace_codes(ops.where(dead[:, None], replacements, codebook), dead)

    def sample_noise(self) -> Tensor:
        """Samples the noise of replacements, of unit size.

        Returns:
            float32 tensor `(num_embeddings, code_dim)`, uniform in [-1, 1).
        """
        shape = (self.num_embeddings, self.code_dim)
        return 2 * counter_random.random_uniform(self.step, shape, salt=2) - 1

    def _replace_codes(self, codebook: Tensor, dead: Tensor) -> None:
        """Sets the codes; where `dead`, their statistics too."""
        self.codebook.assign(codebook)
        if self.reset_replaced_state:
            counts, sums = (ops.convert_to_tensor(v) for v in (self.ema_counts, self.ema_sums))
            self.ema_counts.assign(ops.where(dead, 1.0, counts))
            self.ema_sums.assign(ops.where(dead[:, None], codebook, sums))

    def sample_replacements(
        self,
        codebook: Tensor,
        steps: Tensor,
        dead: Tensor,
        inputs: dict[str, Tensor],
        weights: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Samples a vector for each code, which replaces the code if it is dead.

        Args:
            codebook: `(num_embeddings, dim)`.
            steps: `(num_embeddings,)` training steps since each code was used.
            dead: `(num_embeddings,)` bool.
            inputs: modality to `(batch, [frames,] dim)`, this step's features, of all replicas.
            weights: optional modality to `(batch, [frames])`; vectors of weight zero are not
                sampled.

        Returns:
            Float tensor `(num_embeddings, dim)`, the same on every replica.
        """
        bits = counter_random.random_bits(self.step, self.num_embeddings, salt=1)
        if self.replacement == "code":
            live = ops.logical_and(
                steps < (self.dead_code_patience or 1) / 3, ops.logical_not(dead)
            )
            return ops.take(codebook, counter_random.choose_eligible(live, bits), axis=0)
        rows = ops.concatenate(
            [ops.reshape(ops.stop_gradient(x), (-1, self.embedding_dim)) for x in inputs.values()]
        )
        if not weights:
            return ops.take(rows, ops.mod(bits, ops.shape(rows)[0]), axis=0)
        eligible = ops.concatenate(
            [
                ops.reshape(
                    ops.ones(ops.shape(x)[:-1], dtype="bool")
                    if name not in weights
                    else frame_weights(weights[name], x) > 0,
                    (-1,),
                )
                for name, x in inputs.items()
            ]
        )
        return ops.take(rows, counter_random.choose_eligible(eligible, bits), axis=0)

    def adaptable_parts(self) -> list[Quantizer]:
        """Returns the quantiser itself, as `adapt` places its codes.

        Returns:
            List of this quantiser.
        """
        return [self]

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Sets the codes to the k-means centers of features, and resets the EMA statistics.

        Codes of `frozen_codes` stay as they are.

        Args:
            features: float array or tensor `(..., dim)`, such as the encoders' outputs for the
                first batches. With fewer vectors than codes, vectors are repeated with small noise.
            num_iterations: int, iterations of Lloyd's algorithm.

        Raises:
            ValueError: if `features` is empty, not finite, or of another dimension.

        Example:

        >>> codebook = keras_cmg.layers.Codebook(num_embeddings=2, embedding_dim=1)
        >>> codebook.adapt(np.array([[0.0], [0.1], [5.0], [5.1]]))
        >>> sorted(round(float(c), 2) for c in codebook.codebook.numpy()[:, 0])
        [0.05, 5.05]
        """
        self._ensure_built()
        points = self._features(features)
        if self.similarity == "cosine":
            points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        codes = k_means(points, self.num_embeddings, num_iterations, self.seed)
        if self.similarity == "cosine":
            codes = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
        frozen = list(self.frozen_codes)
        codes[frozen] = ops.convert_to_numpy(self._codes())[frozen]
        self._place_codes(codes)
        self.steps_since_used.assign(np.zeros(self.num_embeddings))

    def _place_codes(self, codes: np.ndarray) -> None:
        """Sets all codes and resets their statistics."""
        self.codebook.assign(codes)
        self.ema_sums.assign(codes)
        self.ema_counts.assign(np.ones(self.ema_counts.shape))

    def get_config(self):
        names = (
            "num_embeddings embedding_dim decay epsilon dead_code_patience replacement "
            "replacement_noise reset_replaced_state replace_in_evaluation replacement_offset "
            "zero_initial_counts usage_modalities mix_modalities "
            "initial_scale gradient similarity frozen_codes seed"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
