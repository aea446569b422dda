"""A layer that selects the channels chosen by training-free optimisation of the codebook (TOC)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.quantizers.quantizer import MAX_CODEBOOK, Quantizer
from keras_cmg.ops import channel_selection

MODES = ("select", "mask")
NO_CHANNEL = -1.0
"""Value of `channel_indices` before `adapt`."""
ROWS_AT_ONCE = 2**13
"""Codes of a quantiser that are decoded at once."""


@keras.saving.register_keras_serializable("keras_cmg")
class TOCChannelMask(keras.layers.Layer):
    """Selects or masks channels by training-free optimisation of the codebook (TOC).

    `adapt(codebook)`, or `adapt(quantizer)`, chooses the channels, as
    `keras.layers.Normalization.adapt` computes its statistics. The choice has no gradient, is saved
    with the layer, and is the same in training and inference. The layer applies to any tensor with
    the codebook's channels, such as the codes that a probe or a decoder takes. Until `adapt` is
    called, or a file with a choice is loaded, calls raise an error.

    A quantiser that describes a vector by several indices has one mask, of the channels of its
    codes as `decode` computes them, since this is what probes and decoders read. Scores are those
    of the set of its codes, all combinations of indices:

    - `GroupedQuantizer`: a code is a concatenation, so that the mask consists of masks of the
      groups, ranked together. The unit length of `normalize` is that of the whole code.
    - `ResidualQuantizer`: a code is a sum, and masking is linear, `m * sum_l q_l = sum_l m * q_l`:
      a mask of the sum is the same mask of every level. Means and variances of independent levels
      add up, so that coarse levels, whose codes are long, decide.
    - `ProjectedQuantizer`: codes are mapped back first.
    - `FSQ`, `LFQ`, `BSQ`, and compositions of them alone: codes are a fixed grid, in which each
      channel takes all of its values with all of those of the others. Equal weights then say
      nothing about the data, and `adapt` needs `indices`.

    With more than 65,536 combinations, scores are those of a sample of as many codes in which
    each index takes all of its values equally often (`Quantizer.sample_indices`).

    Masks: none are read; every frame is treated alike, and a mask of frames remains valid for the
    output.

    Args:
        num_channels: int, channels to keep, the paper's Q.
        mode: `"select"` gathers the chosen channels, in order of importance; `"mask"` keeps all
            channels and sets the others to zero.
        variance_weight: float, the paper's lambda, weight of variance against similarity.
        criterion: `"both"`, `"similarity"` or `"variance"`.
        normalize: bool, whether codes are scaled to unit length before they are measured.
        unbiased: bool, whether the authors' divisors are used, see `keras_cmg.ops.channel_scores`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(..., dim)`.

    Returns:
        Float tensor `(..., num_channels)` in mode `"select"`, `(..., dim)` in mode `"mask"`.

    Raises:
        ValueError: if `mode` is unknown, if the layer is called before `adapt`, if the codebook has
            fewer channels than `num_channels`, or if inputs have other channels than the codebook.

    Example:

    >>> layer = keras_cmg.layers.TOCChannelMask(num_channels=1)
    >>> layer.adapt(np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]]))
    >>> [[float(v) for v in row] for row in layer(np.array([[3.0, 4.0]], "float32"))]
    [[3.0]]

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Eqs. 20-23.
    """

    def __init__(
        self,
        num_channels: int,
        mode: str = "select",
        variance_weight: float = 0.3,
        criterion: str = "both",
        normalize: bool = True,
        unbiased: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.supports_masking = True
        if mode not in MODES:
            raise ValueError(f"`mode` must be one of {MODES}. Received: {mode!r}")
        if num_channels < 1:
            raise ValueError(f"`num_channels` must be at least 1. Received: {num_channels}")
        self.num_channels = num_channels
        self.mode = mode
        self.variance_weight = variance_weight
        self.criterion = criterion
        self.normalize = normalize
        self.unbiased = unbiased
        self._adapted = False

    def build(self, input_shape: Any) -> None:
        self._build_for(input_shape[-1])

    def _build_for(self, dim: int) -> None:
        if dim < self.num_channels:
            raise ValueError(
                "`num_channels` must not exceed the number of channels. "
                f"Received num_channels={self.num_channels} for {dim} channels."
            )
        self.dim = dim
        # float32, so that one file format serves every engine; channel numbers are exact in it.
        self._channel_indices = self.add_weight(
            name="channel_indices",
            shape=(self.num_channels,),
            initializer=keras.initializers.Constant(NO_CHANNEL),
            dtype="float32",
            trainable=False,
        )
        self.built = True

    def adapt(self, codebook: Any, usage: Any = None, indices: Any = None) -> None:
        """Chooses the channels, and replaces an earlier choice.

        Args:
            codebook: float array or tensor `(num_embeddings, dim)`; or a
                `keras_cmg.layers.Quantizer`, whose codes are scored, see the class; or a list of
                arrays whose channels follow each other, such as `codebooks` of a
                `GroupedQuantizer`: each is scored by itself and keeps a share of `num_channels` in
                proportion to its own channels, as the authors of H-DCID select them.
            usage: optional `(num_embeddings,)` weights of the codes, such as `ema_counts`.
            indices: optional int array `(..., *index_shape)` of a quantiser, those of a data set:
                the codes that occur there are scored, with their counts as weights.

        Raises:
            ValueError: as `keras_cmg.ops.channel_scores` and `keras_cmg.ops.select_channels`; for
                `indices` without a quantiser or with `usage`, for a quantiser whose codes are a
                grid without either, and for `usage` with several codebooks.

        Example:

        >>> layer = keras_cmg.layers.TOCChannelMask(num_channels=2, mode="mask")
        >>> layer.adapt(np.eye(4), usage=np.array([5.0, 1.0, 1.0, 5.0]))
        >>> sorted(layer.channel_indices.tolist())
        [0, 3]

        The signs of channel 1 are balanced, those of channel 0 are not:

        >>> layer = keras_cmg.layers.TOCChannelMask(num_channels=1)
        >>> quantizer = keras_cmg.layers.LFQ(num_bits=2)
        >>> layer.adapt(quantizer, indices=quantizer.encode(np.array([[1.0, 1.0], [1.0, -1.0]])))
        >>> layer.channel_indices.tolist()
        [1]
        """
        if isinstance(codebook, Quantizer):
            codebook, usage = _codes_of(codebook, usage, indices)
        elif indices is not None:
            raise ValueError(
                "`indices` must be None unless `codebook` is a quantiser. "
                f"Received indices for: {type(codebook).__name__}"
            )
        codebooks = codebook if isinstance(codebook, list | tuple) else (codebook,)
        if usage is not None and len(codebooks) > 1:
            raise ValueError(
                f"`usage` must be None with several codebooks. Received {len(codebooks)} of them."
            )
        importance = [
            channel_selection.channel_scores(
                codes,
                usage,
                variance_weight=self.variance_weight,
                criterion=self.criterion,
                normalize=self.normalize,
                unbiased=self.unbiased,
            ).importance
            for codes in codebooks
        ]
        dim = sum(map(len, importance))
        indices = channel_selection.select_channels_by_group(importance, self.num_channels)
        if not self.built:
            self._build_for(dim)
        elif dim != self.dim:
            raise ValueError(f"`codebook` must have {self.dim} channels. Received: {dim}")
        self._channel_indices.assign(indices.astype("float32"))
        self._adapted = True

    @property
    def adapted(self) -> bool:
        """Whether channels have been chosen, by `adapt`, from a file, or by `set_weights`."""
        if self.built and not self._adapted:
            self._adapted = _is_choice(self._channel_indices)
        return self._adapted

    @property
    def channel_indices(self) -> np.ndarray:
        """int32 array `(num_channels,)` of the chosen channels, in order of importance."""
        self._require_choice()
        return ops.convert_to_numpy(self._channel_indices).astype("int32")

    def _require_choice(self) -> None:
        # A flag, since values cannot be read while an engine traces a graph.
        if not self.adapted:
            raise ValueError(
                f"{self.name}: no channels have been chosen. Call `adapt(codebook)` first."
            )

    def call(self, inputs):
        self._require_choice()
        indices = ops.cast(self._channel_indices, "int32")
        if self.mode == "select":
            return ops.take(inputs, indices, axis=-1)
        mask = ops.max(ops.one_hot(indices, self.dim, dtype=inputs.dtype), axis=0)
        return inputs * mask

    def __call__(self, inputs, *args, **kwargs):
        if not self.built:
            self._require_choice()
        if inputs.shape[-1] != self.dim:
            raise ValueError(
                f"{self.name}: inputs must have the {self.dim} channels of the codebook. "
                f"Received inputs of shape {tuple(inputs.shape)}."
            )
        return super().__call__(inputs, *args, **kwargs)

    def load_own_variables(self, store):
        super().load_own_variables(store)
        self._adapted = _is_choice(self._channel_indices)

    def compute_output_shape(self, input_shape):
        last = self.num_channels if self.mode == "select" else input_shape[-1]
        return (*input_shape[:-1], last)

    def get_build_config(self):
        return {"dim": self.dim} if self.built else {}

    def build_from_config(self, config):
        if "dim" in config:
            self._build_for(config["dim"])

    def get_config(self):
        names = "num_channels mode variance_weight criterion normalize unbiased".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _codes_of(quantizer: Quantizer, usage: Any, indices: Any) -> tuple[Any, Any]:
    """The codes of a quantiser that are scored, and their weights."""
    name = type(quantizer).__name__
    if not quantizer.built:
        quantizer.build()
    if indices is not None:
        if usage is not None:
            raise ValueError("`usage` must be None with `indices`, which are counted.")
        shape = quantizer.index_shape
        numbers = np.asarray(ops.convert_to_numpy(indices))
        if numbers.size == 0 or numbers.shape[numbers.ndim - len(shape) :] != shape:
            raise ValueError(
                f"`indices` must have shape (..., {', '.join(map(str, shape))}) for {name}, and "
                f"hold at least one vector. Received shape {numbers.shape}."
            )
        flat = numbers.reshape(-1, int(np.prod(shape, dtype=int)))
        tuples, counts = np.unique(flat, axis=0, return_counts=True)
        return _decoded(quantizer, tuples.reshape(-1, *shape)), counts
    if quantizer.is_grid and usage is None:
        raise ValueError(
            f"`indices` must be given for {name}, such as those of the training data: its codes "
            "are a fixed grid, which says nothing about the importance of channels."
        )
    if quantizer.index_shape:
        if usage is not None:
            raise ValueError(
                f"`usage` must be None for {name}, whose codes have several indices: use `indices`."
            )
        return _decoded(quantizer, quantizer.sample_indices()), None
    explicit = quantizer.num_embeddings * quantizer.embedding_dim <= MAX_CODEBOOK
    if explicit or usage is not None:
        return ops.convert_to_numpy(quantizer.codebook), usage
    return _decoded(quantizer, quantizer.sample_indices()), None


def _decoded(quantizer: Quantizer, indices: np.ndarray) -> np.ndarray:
    blocks = range(0, len(indices), ROWS_AT_ONCE)
    return np.concatenate(
        [ops.convert_to_numpy(quantizer.decode(indices[i : i + ROWS_AT_ONCE])) for i in blocks]
    )


def _is_choice(variable: keras.Variable) -> bool:
    """Whether a variable holds channel numbers; False while an engine traces."""
    value = ops.convert_to_tensor(variable)
    return engine.has_values(value) and bool((ops.convert_to_numpy(value) >= 0).all())
