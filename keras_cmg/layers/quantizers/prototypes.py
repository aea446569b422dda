"""A codebook of unit vectors that are learned by gradient."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.arguments import require_sizes
from keras_cmg.layers.quantizers.quantizer import Quantizer
from keras_cmg.ops import quantization
from keras_cmg.ops.contrastive import l2_normalize
from keras_cmg.ops.k_means import k_means
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class Prototypes(Quantizer):
    """Replaces vectors by the most similar of prototypes, which are learned by gradient.

    Prototypes and vectors are compared at unit length, so that the nearest prototype has the
    highest cosine similarity. Calls change no state, in training and inference alike.

    Masks: `weights` are accepted for the interface of `Codebook` and ignored, as no statistics are
    kept; the losses that train the prototypes leave out masked vectors.

    Args:
        num_embeddings: int, number of prototypes.
        embedding_dim: int, length of a prototype.
        initial_norm: float, length that prototypes start with; only their direction counts, and a
            step of the optimiser turns shorter ones further.
        seed: int, seed of the initial prototypes, normal draws.
        dtype: dtype policy; weights and computation use its variable dtype.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(batch, [frames,] dim)`, or a dict of modality to such tensors.
        weights: ignored.
        training: ignored.

    Returns:
        As `Codebook`.

    Raises:
        ValueError: if a size is below 1, or `initial_norm` is not positive.

    Example:

    >>> prototypes = keras_cmg.layers.Prototypes(num_embeddings=8, embedding_dim=4)
    >>> tuple(prototypes(np.ones((2, 4), "float32"))["indices"].shape)
    (2,)

    References:
        Duan et al. (2022), Multi-modal Alignment using Representation Codebook.
    """

    def __init__(
        self,
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        initial_norm: float = 1.0,
        seed: int = 0,
        dtype: Any = None,
        **kwargs,
    ):
        super().__init__(dtype=dtype, **kwargs)
        require_sizes(num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        if not initial_norm > 0:
            raise ValueError(f"`initial_norm` must be positive. Received: {initial_norm}")
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.initial_norm = initial_norm
        self.seed = seed

    def build(self, input_shape: Any = None) -> None:
        shape = (self.num_embeddings, self.embedding_dim)
        # Of about one length, so that steps of the optimiser turn all of them alike.
        start = np.random.default_rng(self.seed).standard_normal(shape)
        start *= self.initial_norm / np.sqrt(shape[1])

        def initial(shape, dtype=None):
            return ops.convert_to_tensor(start, dtype=dtype)

        self.prototypes = self.add_weight(name="prototypes", shape=shape, initializer=initial)
        self.built = True

    @property
    def codebook(self) -> Tensor:
        """The prototypes at unit length, float tensor `(num_embeddings, embedding_dim)`."""
        self._ensure_built()
        return l2_normalize(self.prototypes)

    def encode(self, x: Tensor) -> Tensor:
        """Computes the index of the most similar prototype of each vector.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            int32 tensor `(...)`.

        Example:

        >>> prototypes = keras_cmg.layers.Prototypes(num_embeddings=2, embedding_dim=2)
        >>> prototypes.adapt(np.array([[1.0, 0.0], [0.0, 2.0]]))
        >>> indices = prototypes.encode(np.array([[0.1, 3.0], [0.0, 1.0]]))
        >>> bool(indices[0] == indices[1])
        True
        """
        # At unit length, vectors are compared at the scale of the prototypes.
        x = l2_normalize(ops.stop_gradient(ops.cast(x, self.compute_dtype)))
        return quantization.nearest_codes(x, ops.stop_gradient(self.codebook))

    def decode(self, indices: Tensor) -> Tensor:
        """Looks up prototypes by index.

        Args:
            indices: int tensor `(...)`, from 0 to `num_embeddings - 1`.

        Returns:
            Float tensor `(..., embedding_dim)` of unit length, without gradient.

        Example:

        >>> prototypes = keras_cmg.layers.Prototypes(num_embeddings=2, embedding_dim=2)
        >>> prototypes.adapt(np.array([[1.0, 0.0], [0.0, 2.0]]))
        >>> prototypes.decode(prototypes.encode(np.array([[0.1, 3.0]])))[0].tolist()
        [0.0, 1.0]
        """
        return ops.take(ops.stop_gradient(self.codebook), indices, axis=0)

    def similarities(self, x: Tensor) -> Tensor:
        """Computes the cosine similarity of vectors with every prototype.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            Float tensor `(..., num_embeddings)`.

        Example:

        >>> prototypes = keras_cmg.layers.Prototypes(num_embeddings=8, embedding_dim=4)
        >>> prototypes.build()
        >>> tuple(prototypes.similarities(np.ones((2, 4), "float32")).shape)
        (2, 8)
        """
        x = l2_normalize(ops.cast(x, self.compute_dtype))
        return engine.matmul(x, ops.transpose(self.codebook))

    def index_similarities(self, x: Tensor) -> list[Tensor]:
        """Computes `similarities`, with gradient to the prototypes, as a list of one.

        Args:
            x: float tensor `(..., embedding_dim)`.

        Returns:
            List of one float tensor `(..., num_embeddings)`.
        """
        return [self.similarities(x)]

    def adaptable_parts(self) -> list[Quantizer]:
        """Returns the quantiser itself, as `adapt` places its codes.

        Returns:
            List of this quantiser.
        """
        return [self]

    def adapt(self, features: Any, num_iterations: int = 10) -> None:
        """Sets the prototypes to the k-means centers of features at unit length.

        Args:
            features: float array or tensor `(..., dim)`.
            num_iterations: int, iterations of Lloyd's algorithm.

        Raises:
            ValueError: if `features` is empty, not finite, or of another dimension.

        Example:

        >>> prototypes = keras_cmg.layers.Prototypes(num_embeddings=2, embedding_dim=2)
        >>> prototypes.adapt(np.array([[1.0, 0.0], [0.0, 2.0]]))
        >>> sorted(ops.convert_to_numpy(prototypes.codebook)[:, 0].round(2).tolist())
        [0.0, 1.0]
        """
        self._ensure_built()
        points = self._features(features)
        points = points / np.maximum(np.linalg.norm(points, axis=1, keepdims=True), 1e-12)
        centers = k_means(points, self.num_embeddings, num_iterations, self.seed)
        norms = np.linalg.norm(centers, axis=1, keepdims=True)
        self.prototypes.assign(self.initial_norm * centers / np.maximum(norms, 1e-12))

    def get_config(self):
        names = "num_embeddings embedding_dim initial_norm seed".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
