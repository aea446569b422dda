"""TOC as a layer: keep the codebook dimensions that separate codes, drop the others."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.ops import channel_selection

MODES = ("select", "mask")


@keras.saving.register_keras_serializable("keras_cmg")
class TOCChannelMask(keras.layers.Layer):
    """Gathers or masks the channels chosen by training-free optimisation of the codebook (TOC).

    `adapt(codebook)` makes the choice once, as `keras.layers.Normalization.adapt` does; it has no
    gradient and the layer behaves alike in training and inference. The choice is saved with the
    layer. Works on any codes with that codebook's channels: before a probe, before a decoder.

    Args:
        num_channels: how many to keep, the paper's Q.
        mode: `"select"` gathers the chosen channels, best first; `"mask"` keeps all channels and
            sets those not chosen to zero.
        variance_weight: the paper's lambda, weight of variance against similarity.
        criterion: `"both"`, `"similarity"` or `"variance"`.
        normalize: scale each code to unit length before measuring.
        unbiased: the authors' divisors, see `keras_cmg.ops.channel_scores`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: float tensor `(..., dim)`.

    Returns:
        Float tensor `(..., num_channels)` in mode `"select"`, `(..., dim)` in mode `"mask"`.

    Raises:
        ValueError: for an unknown mode, a call before `adapt`, a codebook with fewer channels than
            `num_channels`, or inputs with other channels than the codebook.

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

    def build(self, input_shape: Any) -> None:
        self._build_for(input_shape[-1])

    def _build_for(self, dim: int) -> None:
        if dim < self.num_channels:
            raise ValueError(
                f"`num_channels` must not exceed the number of channels. "
                f"Received num_channels={self.num_channels} for {dim} channels."
            )
        self.dim = dim
        # float32, so that one file format serves every engine; channel numbers are exact in it.
        self.chosen = self.add_weight(
            name="chosen",
            shape=(self.num_channels,),
            initializer=keras.initializers.Constant(-1),
            dtype="float32",
            trainable=False,
        )
        self.built = True

    def adapt(self, codebook: Any, usage: Any = None) -> None:
        """Chooses the channels; a later call chooses anew.

        Args:
            codebook: float array or tensor `(num_embeddings, dim)`.
            usage: optional `(num_embeddings,)` weights of the codes, such as `ema_counts`.

        Raises:
            ValueError: as `keras_cmg.ops.channel_scores` and `keras_cmg.ops.select_channels`.

        Example:

        >>> layer = keras_cmg.layers.TOCChannelMask(num_channels=2, mode="mask")
        >>> layer.adapt(np.eye(4), usage=np.array([5.0, 1.0, 1.0, 5.0]))
        >>> sorted(layer.indices.tolist())
        [0, 3]
        """
        scores = channel_selection.channel_scores(
            codebook,
            usage,
            variance_weight=self.variance_weight,
            criterion=self.criterion,
            normalize=self.normalize,
            unbiased=self.unbiased,
        )
        dim = len(scores.importance)
        chosen = channel_selection.select_channels(scores.importance, self.num_channels)
        if not self.built:
            self._build_for(dim)
        elif dim != self.dim:
            raise ValueError(f"`codebook` must have {self.dim} channels. Received: {dim}")
        self.chosen.assign(chosen.astype("float32"))

    @property
    def indices(self) -> np.ndarray:
        """int32 array `(num_channels,)` of the chosen channels, best first."""
        chosen = ops.convert_to_numpy(self.chosen) if self.built else np.array([-1.0])
        if (chosen < 0).any():
            raise ValueError("TOCChannelMask has made no choice yet. Call `adapt(codebook)` first.")
        return chosen.astype("int32")

    def call(self, inputs):
        chosen = ops.cast(self.chosen, "int32")
        if self.mode == "select":
            return ops.take(inputs, chosen, axis=-1)
        mask = ops.max(ops.one_hot(chosen, self.dim, dtype=inputs.dtype), axis=0)
        return inputs * mask

    def __call__(self, inputs, *args, **kwargs):
        if not self.built:
            raise ValueError("TOCChannelMask has made no choice yet. Call `adapt(codebook)` first.")
        if inputs.shape[-1] != self.dim:
            raise ValueError(
                f"TOCChannelMask was adapted to {self.dim} channels. "
                f"Received inputs of shape {tuple(inputs.shape)}."
            )
        return super().__call__(inputs, *args, **kwargs)

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
