"""A codebook that is learned by gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.quantizer import GRADIENTS, Quantizer, distances_to_codes
from keras_cmg.ops.orthogonality import orthogonality_loss
from keras_cmg.types import Tensor

OF_AVERAGES = (
    "decay",
    "epsilon",
    "mix_modalities",
    "replace_in_evaluation",
    "replacement_offset",
    "reset_replaced_state",
    "usage_modalities",
    "zero_initial_counts",
)
"""Arguments of `Codebook` that codes learned by gradient do not have."""


@keras.saving.register_keras_serializable("keras_cmg")
class LearnedCodebook(Codebook):
    """Replaces vectors by their nearest code; codes follow the gradient of the loss.

    A training call adds the loss `codebook_cost mean (sg x - q)^2 + commitment_cost mean (x - sg
    q)^2 + orthogonality_weight O(codes)`, see `keras_cmg.ops.orthogonality_loss`, with means over
    the vectors of all modalities and replicas. With `gradient="diveq"` the loss of the model alone
    moves codes, and both costs can be 0.

    A code is the sum of a place, where it was started or replaced, and of a learned offset: so that
    dead codes can be replaced on every engine, and weight decay pulls codes to where they started.

    When to use: where the optimiser of the model has to see the codes, as for `"diveq"` or an
    orthogonality term; when codes are fine-tuned. When not: from scratch on features that move
    fast, where `Codebook` follows within a step. Vectors of weight 0 have no part in loss and use.

    Masks: vectors with `weights` of zero, such as padded frames or missing modalities, have no part
    in losses and statistics; they get codes all the same.

    Args:
        num_embeddings: int, number of codes.
        embedding_dim: int, length of a code.
        similarity: `"euclidean"`, or `"cosine"`: vectors and codes are taken at unit length.
        codebook_cost: float, weight of the term that moves codes towards vectors.
        commitment_cost: float, weight of the term that moves vectors towards codes.
        orthogonality_weight: float, weight of the mean squared cosine between codes.
        dead_code_patience: int, training steps without use after which a code is replaced; `None`
            never.
        replacement: `"input"`, a vector of the batch, or `"code"`, a code in use.
        replacement_noise: float, half-width of the uniform noise added to the replacement.
        initial_scale: float, codes start uniform within plus and minus this; default
            `1/num_embeddings`.
        gradient: `"straight_through"`, `"rotation"` or `"diveq"`, as for `SimVQ`.
        noise_scale: float, standard deviation of the noise of `"diveq"` in training.
        frozen_codes: sequence of ints, codes that training leaves as they are, as for `Codebook`;
            codes other than those at which they started need an optimiser without weight decay.
        seed: int, of the initial codes.
        dtype: a policy; state and computation take the dtype of its variables.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] embedding_dim)`, or a dict of modality to such
            tensors.
        weights: optional, like `inputs` but without the last axis: weight of each vector in the
            loss.
        training: whether to add the loss and to count the use of codes.

    Returns:
        As from every `keras_cmg.layers.Quantizer`.

    Raises:
        ValueError: as for `Codebook`, or for arguments of its moving averages.

    Example:

    >>> quantizer = keras_cmg.layers.LearnedCodebook(num_embeddings=8, embedding_dim=4)
    >>> outputs = quantizer(np.ones((2, 3, 4), "float32"), training=True)
    >>> tuple(outputs["codes"].shape), len(quantizer.losses), len(quantizer.trainable_variables)
    ((2, 3, 4), 1, 1)

    References:
        van den Oord et al. (2017), Neural Discrete Representation Learning, equation 3.
    """

    gradients = GRADIENTS

    def __init__(
        self,
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        similarity: str = "euclidean",
        codebook_cost: float = 1.0,
        commitment_cost: float = 0.25,
        orthogonality_weight: float = 0.0,
        dead_code_patience: int | None = 300,
        replacement: str = "input",
        replacement_noise: float = 1 / 1024,
        initial_scale: float | None = None,
        gradient: str = "straight_through",
        noise_scale: float = 0.01,
        frozen_codes: Sequence[int] = (),
        seed: int = 0,
        dtype: Any = None,
        **kwargs,
    ):
        refused = sorted(set(kwargs) & set(OF_AVERAGES))
        if refused:
            raise ValueError(
                "LearnedCodebook has no moving averages, and must be made without their arguments. "
                f"Received: {refused}"
            )
        super().__init__(
            num_embeddings,
            embedding_dim,
            dead_code_patience=dead_code_patience,
            replacement=replacement,
            replacement_noise=replacement_noise,
            initial_scale=initial_scale,
            gradient=gradient,
            similarity=similarity,
            frozen_codes=frozen_codes,
            seed=seed,
            dtype=dtype,
            **kwargs,
        )
        self.codebook_cost = codebook_cost
        self.commitment_cost = commitment_cost
        self.orthogonality_weight = orthogonality_weight
        self.noise_scale = noise_scale

    def _build_codes(self, initial_codes):
        shape = (self.num_embeddings, self.embedding_dim)
        self.places = self._add_state("places", shape, initial_codes)
        self.offsets = self.add_weight(name="offsets", shape=shape, initializer="zeros")

    @property
    def codebook(self) -> Tensor:
        """All codes, float tensor `(num_embeddings, embedding_dim)`."""
        return self._codes()

    def _codes(self):
        self._ensure_built()
        codes = ops.convert_to_tensor(self.places) + ops.convert_to_tensor(self.offsets)
        if self.frozen_codes:
            codes = ops.where(self._is_frozen()[:, None], ops.stop_gradient(codes), codes)
        return self._normalize(codes)

    def _update(self, inputs, indices, weights):
        """Nothing: the codes follow the loss, which needs the gradient of the inputs."""

    def update(self, inputs, indices, weights=None):
        """Adds the loss, and replaces codes that were not chosen for long.

        Args:
            inputs: modality to float tensor `(batch, [frames,] embedding_dim)`.
            indices: modality to int tensor `(batch, [frames])`.
            weights: optional modality to float tensor `(batch, [frames])`.
        """
        loss = None
        if self.codebook_cost or self.commitment_cost:
            vectors = {name: self._normalize(x) for name, x in inputs.items()}
            codes = {name: self.decode(index) for name, index in indices.items()}
            pull, commitment = distances_to_codes(vectors, codes, weights)
            loss = self.codebook_cost * pull + self.commitment_cost * commitment
        if self.orthogonality_weight:
            term = self.orthogonality_weight * orthogonality_loss(self._codes())
            loss = term if loss is None else loss + term
        if loss is not None:
            self.add_loss(loss)
        super().update(inputs, indices, weights)

    def _replace_codes(self, codebook, dead):
        places, offsets = (ops.convert_to_tensor(v) for v in (self.places, self.offsets))
        places = ops.where(dead[:, None], codebook - offsets, places)
        self.places.assign(ops.stop_gradient(places))

    def _place_codes(self, codes):
        self.places.assign(codes)
        self.offsets.assign(np.zeros(codes.shape))

    def get_config(self):
        names = (
            "num_embeddings embedding_dim similarity codebook_cost commitment_cost "
            "orthogonality_weight dead_code_patience replacement replacement_noise initial_scale "
            "gradient noise_scale frozen_codes seed"
        ).split()
        return {**Quantizer.get_config(self), **{name: getattr(self, name) for name in names}}
