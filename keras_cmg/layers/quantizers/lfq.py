"""Lookup-free quantisation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.quantizers.quantizer import Quantizer, flatten_modalities
from keras_cmg.ops import binary_codes, quantization
from keras_cmg.types import Tensor

MAX_BITS = 30
MAX_JOINT_BITS = 22
"""Bits of which the joint distribution is computed: 2^22 probabilities take 16 MB."""


@keras.saving.register_keras_serializable("keras_cmg")
class LFQ(Quantizer):
    """Replaces each channel by its sign (lookup-free quantisation).

    `q_i = scale` where `x_i > 0`, else `-scale`: `2**num_bits` codes without a codebook. A training
    call adds the loss `entropy_weight (E H(p(q|x)) - diversity_weight H(E p(q|x))) +
    commitment_cost E (x - sg q)^2`, with `p(q|x)` proportional to `exp(2 inverse_temperature x.q)`:
    the first entropy makes choices sure, the second makes all codes used.

    Channels are independent given x, so that the first entropy is a sum over channels, and the
    second one product of matrices (see `keras_cmg.ops.summed_sign_probabilities`); no softmax over
    all codes is computed. Other implementations cut the logarithm off at 1e-5, from where on, with
    more than 10^5 codes, the second entropy has no maximum at even use; here it is exact.

    When to use: for very large vocabularies (2^14 codes and more), where a learned codebook is slow
    and badly used, and for tokens that a model predicts bit by bit. When not: for few codes, where
    `FSQ` gives the same without a loss to weigh; without the entropy terms most codes stay unused.

    The layer has as many channels as bits; wrap it in a `ProjectedQuantizer` for other widths.
    Vectors of weight 0 have no part in the loss.

    Masks: vectors with `weights` of zero, such as padded frames or missing modalities, have no part
    in losses and statistics; they get codes all the same.

    Args:
        num_bits: int, number of channels, 1 to 30.
        entropy_weight: float, weight of the entropy terms; 0 leaves them out.
        diversity_weight: float, weight of the entropy of the mean distribution, relative to that of
            single vectors.
        commitment_cost: float, weight of the squared distance to the code; 0 leaves it out.
        inverse_temperature: float, sharpness of `p(q|x)`.
        scale: float, absolute value of each channel of a code.
        joint_entropy: bool, whether the entropy of the mean distribution is that over all codes;
            otherwise the sum over bits, an upper bound that ignores their dependence. Default: of
            all codes up to 22 bits.
        dtype: a policy; computation takes the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] num_bits)`, or a dict of modality to such tensors.
        weights: optional, like `inputs` but without the last axis: weight of each vector in the
            loss.
        training: whether to add the loss.

    Returns:
        As from every `keras_cmg.layers.Quantizer`, with straight-through gradient. The first
        channel is the highest bit of an index.

    Raises:
        ValueError: if `num_bits` is not 1 to 30, `scale` is not positive, or `joint_entropy` is
            asked for with more than 22 bits.

    Example:

    >>> quantizer = keras_cmg.layers.LFQ(num_bits=3)
    >>> outputs = quantizer(np.array([[0.2, -0.5, 3.0]], "float32"), training=True)
    >>> outputs["codes"][0].tolist(), int(outputs["indices"][0]), len(quantizer.losses)
    ([1.0, -1.0, 1.0], 5, 1)

    References:
        Yu et al. (2023), Language Model Beats Diffusion: Tokenizer is Key to Visual Generation,
        arXiv:2310.05737, section 3.1.
    """

    is_grid = True

    def __init__(
        self,
        num_bits: int = 10,
        entropy_weight: float = 0.1,
        diversity_weight: float = 1.0,
        commitment_cost: float = 0.0,
        inverse_temperature: float = 100.0,
        scale: float = 1.0,
        joint_entropy: bool | None = None,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        if not 1 <= num_bits <= MAX_BITS:
            raise ValueError(f"`num_bits` must be from 1 to {MAX_BITS}. Received: {num_bits}")
        if not scale > 0:
            raise ValueError(f"`scale` must be positive. Received: {scale}")
        if joint_entropy and num_bits > MAX_JOINT_BITS:
            raise ValueError(
                f"`joint_entropy` must be False with more than {MAX_JOINT_BITS} bits. "
                f"Received: True with {num_bits} bits"
            )
        self.num_bits = num_bits
        self.num_embeddings = 2**num_bits
        self.embedding_dim = num_bits
        self.entropy_weight = entropy_weight
        self.diversity_weight = diversity_weight
        self.commitment_cost = commitment_cost
        self.inverse_temperature = inverse_temperature
        self.scale = scale
        self.joint_entropy = joint_entropy

    @property
    def code_value(self) -> float:
        """Absolute value of each channel of a code."""
        return self.scale

    def _normalize(self, x: Tensor) -> Tensor:
        """The vectors of which signs are taken."""
        return x

    def _assign(self, x, training):
        x = self._normalize(x)
        value = ops.cast(self.code_value, x.dtype)
        codes = ops.where(ops.stop_gradient(x) > 0, value, -value)
        return {
            "quantized": quantization.straight_through(x, codes),
            "codes": codes,
            "indices": binary_codes.pack_signs(ops.stop_gradient(x)),
        }

    def encode(self, x: Tensor) -> Tensor:
        """Computes the indices of vectors.

        Args:
            x: float tensor `(..., num_bits)`.

        Returns:
            int32 tensor `(...)`.

        Example:

        >>> int(keras_cmg.layers.LFQ(num_bits=3).encode(np.array([1.0, -1.0, 1.0])))
        5
        """
        return binary_codes.pack_signs(ops.cast(x, self.compute_dtype))

    def decode(self, indices: Tensor) -> Tensor:
        """Computes codes from their indices.

        Args:
            indices: int tensor `(...)`, from 0 to `num_embeddings - 1`.

        Returns:
            Float tensor `(..., num_bits)`.

        Example:

        >>> keras_cmg.layers.LFQ(num_bits=3).decode(np.array(5)).tolist()
        [1.0, -1.0, 1.0]
        """
        signs = binary_codes.unpack_signs(indices, self.num_bits)
        return ops.cast(signs * self.code_value, self.compute_dtype)

    def update(self, inputs, indices, weights=None):
        """Adds the entropy and commitment losses.

        Args:
            inputs: modality to float tensor `(batch, [frames,] num_bits)`.
            indices: modality to int tensor `(batch, [frames])`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """
        if not self.entropy_weight and not self.commitment_cost:
            return
        vectors, counts = flatten_modalities(inputs, weights)
        x = self._normalize(vectors)
        loss = 0.0
        if self.entropy_weight:
            single, diversity = self.entropies(x, counts)
            loss = self.entropy_weight * (single - self.diversity_weight * diversity)
        if self.commitment_cost:
            value = ops.cast(self.code_value, x.dtype)
            codes = ops.where(ops.stop_gradient(x) > 0, value, -value)
            distance = ops.mean(ops.square(x - codes), axis=-1)
            loss = loss + self.commitment_cost * engine.global_mean(distance, counts)
        self.add_loss(loss)

    def entropies(self, x: Tensor, weights: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Computes the two entropies of the loss, over the vectors of all replicas.

        Args:
            x: float tensor `(vectors, num_bits)`.
            weights: optional float tensor `(vectors,)`.

        Returns:
            Two scalars in nats: the mean entropy of the choice of single vectors, and the entropy
            of the mean distribution.

        Example:

        >>> x = np.array([[4.0, 4.0], [4.0, -4.0]], "float32")
        >>> single, diversity = keras_cmg.layers.LFQ(num_bits=2).entropies(x)
        >>> round(float(single), 4), round(float(diversity), 4)
        (0.0, 0.6931)
        """
        # exp(2 b x.q) over both signs of a channel: a sigmoid of the difference.
        logits = ops.convert_to_tensor(x) * (4 * self.inverse_temperature * self.code_value)
        single = engine.global_mean(binary_codes.sign_entropy(logits), weights)
        joint = (
            self.num_bits <= MAX_JOINT_BITS if self.joint_entropy is None else (self.joint_entropy)
        )
        if joint:
            total = engine.global_sum(binary_codes.summed_sign_probabilities(logits, weights))
            mean = total / ops.maximum(ops.sum(total), 1e-6)
            return single, binary_codes.entropy(mean)
        ones = ops.ones_like(logits[:, 0]) if weights is None else ops.cast(weights, logits.dtype)
        count = ops.maximum(engine.global_sum(ops.sum(ones)), 1e-6)
        mean = engine.global_sum(ops.matmul(ones, ops.sigmoid(logits))) / count
        return single, ops.sum(binary_codes.entropy(ops.stack([mean, 1 - mean], axis=-1)))

    @property
    def distance_units(self) -> list[float]:
        """Absolute value of each channel of a code, a list of one."""
        return [self.code_value]

    def split_by_index(self, x: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
        """Computes the vectors of which signs are taken: those of `BSQ` at the length of codes.

        Args:
            x: float tensor `(..., num_bits)`.
            tables: as from `code_tables`.

        Returns:
            List of one float tensor `(..., num_bits)`.
        """
        return [self._normalize(x)]

    def copy_for_level(self, level: int) -> Quantizer:
        """Creates the quantiser of a level, whose codes are half as long as those of the last one.

        Args:
            level: int, from 0.

        Returns:
            A layer of the same class with `scale * 2**-level`.

        Example:

        >>> keras_cmg.layers.LFQ(num_bits=3).copy_for_level(2).scale
        0.25
        """
        return self._clone(level, scale=self.scale * 2.0**-level)

    def get_config(self):
        names = (
            "num_bits entropy_weight diversity_weight commitment_cost inverse_temperature scale "
            "joint_entropy"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable("keras_cmg")
class BSQ(LFQ):
    """Replaces vectors on the unit sphere by their signs (binary spherical quantisation).

    As `LFQ`, with vectors and codes of length `scale`: `u = scale x / |x|`, and `q_i` is `scale /
    sqrt(num_bits)` with the sign of `u_i`. The distance of a vector to its code is bounded, so that
    no commitment loss is needed.

    When to use: as `LFQ`, where the length of features carries no meaning, and as tokens of a
    transformer; the paper finds it the better of the two for images and video. When not: where the
    length of a vector matters, which is lost here. Vectors of weight 0 have no part in the loss.

    Masks: vectors with `weights` of zero, such as padded frames or missing modalities, have no part
    in losses and statistics; they get codes all the same.

    Args:
        num_bits: int, number of channels, 1 to 30.
        **kwargs: the other arguments of `LFQ`, and of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] num_bits)`, or a dict of modality to such tensors.
        weights: as for `LFQ`.
        training: as for `LFQ`.

    Returns:
        As from every `keras_cmg.layers.Quantizer`, with straight-through gradient to `u`.

    Raises:
        ValueError: as for `LFQ`.

    Example:

    >>> quantizer = keras_cmg.layers.BSQ(num_bits=4)
    >>> quantizer(np.array([[2.0, -5.0, 3.0, 1.0]], "float32"))["codes"][0].tolist()
    [0.5, -0.5, 0.5, 0.5]

    References:
        Zhao et al. (2024), Image and Video Tokenization with Binary Spherical Quantization,
        arXiv:2406.07548.
    """

    def __init__(self, num_bits: int = 18, **kwargs):
        super().__init__(num_bits=num_bits, **kwargs)

    @property
    def code_value(self) -> float:
        """Absolute value of each channel of a code."""
        return self.scale / math.sqrt(self.num_bits)

    def _normalize(self, x):
        length = ops.sqrt(ops.maximum(ops.sum(ops.square(x), axis=-1, keepdims=True), 1e-24))
        return x / length * self.scale
