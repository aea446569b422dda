"""A layer that selects the channels chosen by training-free optimisation of the codebook (TOC)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.ops import channel_selection

MODES = ("select", "mask")
NO_CHANNEL = -1.0
"""Value of `channel_indices` before `adapt`."""


@keras.saving.register_keras_serializable("keras_cmg")
class TOCChannelMask(keras.layers.Layer):
    """Selects or masks channels by training-free optimisation of the codebook (TOC).

    `adapt(codebook)` chooses the channels, as `keras.layers.Normalization.adapt` computes its
    statistics. The choice has no gradient, is saved with the layer, and is the same in training and
    inference. The layer applies to any tensor with the codebook's channels, such as the codes that
    a probe or a decoder takes. Until `adapt` is called, or a file with a choice is loaded, calls
    raise an error.

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

    def adapt(self, codebook: Any, usage: Any = None) -> None:
        """Chooses the channels, and replaces an earlier choice.

        Args:
            codebook: float array or tensor `(num_embeddings, dim)`; or a sequence of them, whose
                channels follow each other, such as a backbone's `codebooks`: each then keeps a
                share of `num_channels` in proportion to its own channels.
            usage: optional `(num_embeddings,)` weights of the codes, such as `ema_counts`; for a
                single codebook.

        Raises:
            ValueError: as `keras_cmg.ops.channel_scores` and `keras_cmg.ops.select_channels`, or
                for `usage` with several codebooks.

        Example:

        >>> layer = keras_cmg.layers.TOCChannelMask(num_channels=2, mode="mask")
        >>> layer.adapt(np.eye(4), usage=np.array([5.0, 1.0, 1.0, 5.0]))
        >>> sorted(layer.channel_indices.tolist())
        [0, 3]
        """
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


def _is_choice(variable: keras.Variable) -> bool:
    """Whether a variable holds channel numbers; False while an engine traces."""
    value = ops.convert_to_tensor(variable)
    return engine.has_values(value) and bool((ops.convert_to_numpy(value) >= 0).all())
