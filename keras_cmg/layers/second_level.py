"""Second level of disentangling, of the specific features of the first level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.seeds import derive_seed
from keras_cmg.layers.sequence_specific_encoder import SequenceSpecificEncoder
from keras_cmg.layers.transformer_encoder import TransformerEncoder
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class SecondLevel(keras.layers.Layer):
    """Encodes specific features of a first level into general and specific ones of a second.

    Each modality has a transformer, whose features a second codebook quantises, and a dense layer
    with ReLU of the width of its input.

    Masks: frames whose mask is zero are not attended to; they get features all the same.

    Args:
        units: int, width of general features.
        general: arguments of `TransformerEncoder`.
        seed: int, of dropout.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: modality to float tensor `(batch, frames, dim)`, specific features of the first
            level.
        frame_masks: optional, modality to `(batch, frames)`, nonzero where a frame counts.
        training: whether dropout is active.

    Returns:
        Dict of `"second_general"`, `(batch, frames, units)`, and `"second_specific"`, `(batch,
        frames, dim)`, each a dict of modality to tensor.

    Example:

    >>> layer = keras_cmg.layers.SecondLevel(units=4, general={"num_heads": 2})
    >>> features = layer({"audio": np.ones((2, 10, 6), "float32")})
    >>> [tuple(features[kind]["audio"].shape) for kind in ("second_general", "second_specific")]
    [(2, 10, 4), (2, 10, 6)]

    References:
        Xia et al. (2024), Achieving Cross Modal Generalization with Multimodal Unified
        Representation, first version (H-DCID, the second layer).
    """

    def __init__(
        self, units: int = 256, general: Mapping[str, Any] | None = None, seed: int = 0, **kwargs
    ):
        super().__init__(**kwargs)
        self.units = units
        self.general = dict(general or {})
        self.seed = seed
        self.general_encoders: dict[str, Any] = {}
        self.specific_encoders: dict[str, Any] = {}

    def build(self, inputs_shape):
        for name, shape in inputs_shape.items():
            self.general_encoders[name] = TransformerEncoder(
                **{
                    **self.general,
                    "units": self.units,
                    "seed": derive_seed(f"second_{name}", self.seed),
                    "dtype": self.dtype_policy,
                    "name": f"{name}_general",
                }
            )
            self.specific_encoders[name] = SequenceSpecificEncoder(
                shape[-1], dtype=self.dtype_policy, name=f"{name}_specific"
            )
            for encoders in (self.general_encoders, self.specific_encoders):
                encoders[name].build(shape)
        self.built = True

    def call(self, inputs, frame_masks=None, training=False):
        masks = frame_masks or {}
        return {
            "second_general": {
                name: self.encode_general(name, x, masks.get(name), training)
                for name, x in inputs.items()
            },
            "second_specific": {
                name: self.specific_encoders[name](x) for name, x in inputs.items()
            },
        }

    def encode_general(
        self, modality: str, x: Tensor, mask: Tensor | None = None, training: bool = False
    ) -> Tensor:
        """Computes the general features of one modality.

        Args:
            modality: str, its name.
            x: float tensor `(batch, frames, dim)`.
            mask: optional `(batch, frames)`, nonzero where a frame counts.
            training: whether dropout is active.

        Returns:
            Float tensor `(batch, frames, units)`.

        Example:

        >>> layer = keras_cmg.layers.SecondLevel(units=4)
        >>> layer.build({"audio": (None, 10, 6)})
        >>> tuple(layer.encode_general("audio", np.ones((2, 10, 6), "float32")).shape)
        (2, 10, 4)
        """
        return self.general_encoders[modality](x, frame_mask=mask, training=training)

    def get_config(self):
        names = "units general seed".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
