"""The discrete code space shared by all modalities: vector quantisation with (multimodal) EMA."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.precision import full_precision
from keras_cmg.ops import counter_random, quantization
from keras_cmg.ops.k_means import k_means
from keras_cmg.ops.rotation_trick import rotation_trick
from keras_cmg.types import Tensor

REPLACEMENTS = ("input", "code")
GRADIENTS: dict[str, Any] = {
    "straight_through": quantization.straight_through,
    "rotation": rotation_trick,
}


@keras.saving.register_keras_serializable("keras_cmg")
class Codebook(keras.layers.Layer):
    """Replaces vectors by their nearest code; codes follow the vectors by moving averages.

    Training: looks up codes, then moves the codebook (statistics of the global batch under
    data-parallel training) and revives codes that nothing chooses. Inference and
    `trainable=False`: looks up codes and leaves every state as it is. State and computation are
    float32 (or the float64 of `dtype`) under every mixed-precision policy.

    Given a dict of modalities, each updates the codebook in turn with mixtures of its own and its
    partners' features (MM-EMA, see `keras_cmg.ops.mix_modalities`).

    Args:
        num_embeddings: number of codes, the paper's H.
        embedding_dim: length of a code, the paper's D.
        decay: share of the past in the moving averages, per modality and step.
        epsilon: Laplace smoothing of the counts.
        dead_code_patience: training steps without use after which a code is replaced; `None` never.
        replacement: what replaces a dead code: `"input"`, a vector of the current batch;
            `"code"`, a code in use.
        replacement_noise: half-width of the uniform noise added to the replacement.
        reset_replaced_state: gives a replaced code fresh EMA statistics, so that the
            replacement lasts. The authors' code does not, and the code falls back in the next step.
        replace_in_evaluation: also counts and revives when not training, as the authors' code does.
        replacement_offset: constant added to the replacement; the authors' code has -1/1024 here
            in place of noise.
        zero_initial_counts: starts the counts at zero as the authors' code does, which throws
            unused codes far away in the first steps; otherwise counts start at one, and an unused
            code stays.
        mix_modalities: MM-EMA; otherwise each modality moves the codes with its own features alone.
        initial_scale: codes start uniform within plus and minus this; default `1/num_embeddings`.
        gradient: how a gradient passes through the choice of a code: `"straight_through"`,
            unchanged (the paper); `"rotation"`, see `keras_cmg.ops.rotation_trick`.
        seed: of the initial codes.
        dtype: a policy; state and computation take the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] dim)`, or a dict of modality to such tensors.
        weights: optional, like `inputs` but without the last axis: weight of each vector in the
            statistics; 0 leaves it out (a missing caption, say), also of its partners' mixtures.
        training: whether to move the codebook.

    Returns:
        For one tensor, a dict; for a dict of modalities, a dict of dicts:
        `"quantized"` `(batch, [frames,] dim)` with the gradient asked for, `"codes"` of the same
        shape without gradient, from before the update, and `"indices"` `(batch, [frames])`.

    Raises:
        ValueError: for sizes below 1, a decay outside [0, 1), an unknown `replacement` or
            `gradient`, or inputs whose last axis is not `embedding_dim`.

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
        mix_modalities: bool = True,
        initial_scale: float | None = None,
        gradient: str = "straight_through",
        seed: int = 0,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=full_precision(dtype), **kwargs)
        for name, value in (("num_embeddings", num_embeddings), ("embedding_dim", embedding_dim)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        if not 0 <= decay < 1:
            raise ValueError(f"`decay` must lie in [0, 1). Received: {decay}")
        if replacement not in REPLACEMENTS:
            raise ValueError(
                f"`replacement` must be one of {REPLACEMENTS}. Received: {replacement!r}"
            )
        if gradient not in GRADIENTS:
            raise ValueError(
                f"`gradient` must be one of {tuple(GRADIENTS)}. Received: {gradient!r}"
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
        self.mix_modalities = mix_modalities
        self.initial_scale = initial_scale
        self.gradient = gradient
        self.seed = seed

    def build(self, input_shape: Any = None) -> None:
        shape = (self.num_embeddings, self.embedding_dim)
        scale = self.initial_scale or 1 / self.num_embeddings
        start = np.random.default_rng(self.seed).uniform(-scale, scale, shape)

        def initial_codes(shape, dtype=None):
            return ops.convert_to_tensor(start, dtype=dtype)

        def state(name, shape, initializer, dtype=None):
            return self.add_weight(
                name=name,
                shape=shape,
                initializer=initializer,
                dtype=dtype,
                trainable=False,
                aggregation="mean",
            )

        self.codebook = state("codebook", shape, initial_codes)
        self.ema_sums = state("ema_sums", shape, initial_codes)
        self.ema_counts = state(
            "ema_counts", shape[:1], "zeros" if self.zero_initial_counts else "ones"
        )
        self.steps_since_used = state("steps_since_used", shape[:1], "zeros")
        self.step = self.add_weight(
            name="step",
            shape=(),
            initializer="zeros",
            dtype="int32",
            trainable=False,
            aggregation="only_first_replica",
        )
        self.built = True

    def call(self, inputs, weights=None, training=False):
        single = not isinstance(inputs, Mapping)
        inputs = {"": inputs} if single else inputs
        weights = {"": weights} if single and weights is not None else (weights or {})
        inputs = {name: ops.cast(x, self.compute_dtype) for name, x in inputs.items()}
        for name, x in inputs.items():
            if len(x.shape) not in (2, 3) or x.shape[-1] != self.embedding_dim:
                raise ValueError(
                    f"Codebook inputs{f' of {name!r}' if name else ''} must have shape "
                    f"(batch, [frames,] {self.embedding_dim}). Received shape {tuple(x.shape)}."
                )
        outputs = {name: self.assign_codes(x) for name, x in inputs.items()}
        indices = {name: out["indices"] for name, out in outputs.items()}
        learning = training and self.trainable
        reviving = self.dead_code_patience is not None and (learning or self.replace_in_evaluation)
        if learning or reviving:
            # Replicas then all move the codebook alike, as one device would.
            held = keras.tree.map_structure(ops.stop_gradient, (inputs, indices, weights))
            inputs, indices, weights = engine.global_batch(held)
        if learning:
            self._update(inputs, indices, weights)
        if reviving:
            self._replace_dead_codes(inputs, indices, weights)
        if learning:
            self.step.assign(self.step + 1)
        return outputs[""] if single else outputs

    def assign_codes(self, x: Tensor) -> dict[str, Tensor]:
        """The nearest code of each vector; unlike a call, never counts nor changes anything.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            Dict of `"quantized"`, `"codes"` and `"indices"`, as from a call.

        Example:

        >>> codebook = keras_cmg.layers.Codebook(num_embeddings=8, embedding_dim=4)
        >>> codebook.build()
        >>> tuple(codebook.assign_codes(np.ones((2, 4), "float32"))["indices"].shape)
        (2,)
        """
        x = ops.cast(x, self.compute_dtype)
        indices = self.encode(x)
        codes = self.decode(indices)
        return {
            "quantized": GRADIENTS[self.gradient](x, codes),
            "codes": codes,
            "indices": indices,
        }

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
        x = ops.cast(x, self.compute_dtype)
        return quantization.nearest_codes(
            ops.stop_gradient(x), ops.convert_to_tensor(self.codebook)
        )

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
        return ops.stop_gradient(ops.take(ops.convert_to_tensor(self.codebook), indices, axis=0))

    def _update(self, inputs, indices, weights):
        mixed = quantization.mix_modalities(inputs, weights) if self.mix_modalities else inputs
        counts, sums = ops.convert_to_tensor(self.ema_counts), ops.convert_to_tensor(self.ema_sums)
        for name, mixture in mixed.items():
            new_counts, new_sums = quantization.code_statistics(
                indices[name],
                ops.stop_gradient(mixture),
                self.num_embeddings,
                _frame_weights(weights.get(name), indices[name]),
            )
            counts, sums = quantization.ema_update(
                counts, sums, new_counts, new_sums, self.decay, self.epsilon
            )
        self.ema_counts.assign(counts)
        self.ema_sums.assign(sums)
        self.codebook.assign(sums / counts[:, None])

    def _replace_dead_codes(self, inputs, indices, weights):
        used = ops.zeros((self.num_embeddings,), dtype=self.compute_dtype)
        for name, index in indices.items():
            ones = ops.ones((*ops.shape(index), 1), dtype=self.compute_dtype)
            weight = _frame_weights(weights.get(name), index)
            counts, _ = quantization.code_statistics(index, ones, self.num_embeddings, weight)
            used = used + counts
        steps = ops.where(used > 0, 0.0, self.steps_since_used + 1.0)
        dead = steps > self.dead_code_patience
        steps = ops.where(dead, 0.0, steps)
        codebook = ops.convert_to_tensor(self.codebook)
        donors = self.sample_replacements(codebook, steps, dead, inputs, weights)
        noise = counter_random.random_uniform(
            self.step, (self.num_embeddings, self.embedding_dim), salt=2
        )
        noise = ops.cast(2 * noise - 1, self.compute_dtype) * self.replacement_noise
        revived = donors + noise + self.replacement_offset
        dead = dead[:, None]
        codebook = ops.where(dead, revived, codebook)
        self.codebook.assign(codebook)
        self.steps_since_used.assign(steps)
        if self.reset_replaced_state:
            counts, sums = (ops.convert_to_tensor(v) for v in (self.ema_counts, self.ema_sums))
            self.ema_counts.assign(ops.where(dead[:, 0], 1.0, counts))
            self.ema_sums.assign(ops.where(dead, codebook, sums))

    def sample_replacements(
        self,
        codebook: Tensor,
        steps: Tensor,
        dead: Tensor,
        inputs: dict[str, Tensor],
        weights: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Vectors that would replace each code if it were dead.

        Args:
            codebook: `(num_embeddings, dim)`.
            steps: `(num_embeddings,)` training steps since each code was used.
            dead: `(num_embeddings,)` bool.
            inputs: modality to `(batch, [frames,] dim)`, this step's features, of all replicas.
            weights: optional modality to `(batch, [frames])`; vectors of weight zero are no donors.

        Returns:
            Float tensor `(num_embeddings, dim)`, the same on every replica.
        """
        bits = counter_random.random_bits(self.step, self.num_embeddings, salt=1)
        if self.replacement == "code":
            # Recently used codes first, in index order; a drawn rank among them is a donor.
            live = ops.logical_and(
                steps < (self.dead_code_patience or 1) / 3, ops.logical_not(dead)
            )
            return ops.take(codebook, _drawn(live, bits, self.num_embeddings), axis=0)
        rows = ops.concatenate(
            [ops.reshape(ops.stop_gradient(x), (-1, self.embedding_dim)) for x in inputs.values()]
        )
        count = ops.shape(rows)[0]
        if not weights:
            return ops.take(rows, ops.mod(bits, count), axis=0)
        counted = ops.concatenate(
            [
                ops.reshape(
                    ops.ones(ops.shape(x)[:-1], dtype="bool")
                    if name not in weights
                    else _frame_weights(weights[name], x[..., 0]) > 0,
                    (-1,),
                )
                for name, x in inputs.items()
            ]
        )
        return ops.take(rows, _drawn(counted, bits, count), axis=0)

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Places the codes by k-means on features (k-means start), and resets all EMA state.

        Args:
            features: float array or tensor `(..., dim)`, such as the encoders' output on the
                first batches. With fewer vectors than codes, codes double up with small noise.
            num_iterations: of Lloyd's algorithm.

        Raises:
            ValueError: if the features are empty, not finite, or of another dimension.

        Example:

        >>> codebook = keras_cmg.layers.Codebook(num_embeddings=2, embedding_dim=1)
        >>> codebook.adapt(np.array([[0.0], [0.1], [5.0], [5.1]]))
        >>> sorted(round(float(c), 2) for c in codebook.codebook.numpy()[:, 0])
        [0.05, 5.05]
        """
        if not self.built:
            self.build()
        points = np.asarray(ops.convert_to_numpy(features), "float32")
        if points.size == 0 or points.shape[-1] != self.embedding_dim:
            raise ValueError(
                f"`features` must have shape (..., {self.embedding_dim}) and hold at least one "
                f"vector. Received shape {points.shape}."
            )
        if not np.isfinite(points).all():
            raise ValueError("`features` must be finite. Received NaN or infinity.")
        codes = k_means(
            points.reshape(-1, self.embedding_dim), self.num_embeddings, num_iterations, self.seed
        )
        self.codebook.assign(codes)
        self.ema_sums.assign(codes)
        self.ema_counts.assign(np.ones(self.num_embeddings))
        self.steps_since_used.assign(np.zeros(self.num_embeddings))

    def compute_output_spec(self, inputs, weights=None, training=False):
        def spec(x):
            frames = tuple(x.shape[:-1])
            vectors = keras.KerasTensor((*frames, self.embedding_dim), dtype=self.compute_dtype)
            return {
                "quantized": vectors,
                "codes": vectors,
                "indices": keras.KerasTensor(frames, dtype="int32"),
            }

        if not isinstance(inputs, Mapping):
            return spec(inputs)
        return {name: spec(x) for name, x in inputs.items()}

    def get_config(self):
        names = (
            "num_embeddings embedding_dim decay epsilon dead_code_patience replacement "
            "replacement_noise reset_replaced_state replace_in_evaluation replacement_offset "
            "zero_initial_counts mix_modalities "
            "initial_scale gradient seed"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _drawn(eligible, bits, count):
    """Positions drawn among the eligible of `count`, in the order of their numbers."""
    order = ops.argsort(ops.where(eligible, 0, 1) * count + ops.arange(count))
    return ops.take(order, ops.mod(bits, ops.maximum(ops.sum(ops.cast(eligible, "int32")), 1)))


def _frame_weights(weight, indices):
    """Per-clip weights `(batch,)` or `(batch, 1)` brought to the shape of the indices."""
    if weight is None:
        return None
    if len(weight.shape) < len(indices.shape):
        weight = weight[:, None]
    return ops.broadcast_to(weight, ops.shape(indices))
