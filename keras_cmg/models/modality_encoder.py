"""Encoder of one modality, as a model of its own."""

from __future__ import annotations

from collections.abc import Mapping

import keras

from keras_cmg.models.base.backbone import LEVELS, Backbone
from keras_cmg.models.base.configs import deserialize_layers


@keras.saving.register_keras_serializable("keras_cmg")
class ModalityEncoder(keras.Model):
    """Encoder of one modality of a backbone, as a model for `predict` and export.

    Args:
        backbone: a built `Backbone`.
        modality: the modality of its input.
        level: `"segment"` or `"clip"`.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: the modality's features as in a batch; or a batch, a dict with the modality and,
            optionally, `<modality>_mask`.

    Returns:
        The dict of `Backbone.encode`.

    Raises:
        ValueError: for an unknown modality or level.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> codes = keras_cmg.models.ModalityEncoder(backbone, "audio", level="clip").predict(
    ...     np.zeros((5, 10, 128), "float32"), verbose=0
    ... )
    >>> codes["indices"].shape
    (5,)
    """

    def __init__(self, backbone: Backbone, modality: str, level: str = "segment", **kwargs):
        super().__init__(**kwargs)
        backbone.check_modality(modality)
        if level not in LEVELS:
            raise ValueError(f"`level` must be one of {LEVELS}. Received: {level!r}")
        self.backbone = backbone
        self.modality = modality
        self.level = level

    def build(self, input_shape=None):
        self.built = True

    def call(self, inputs):
        mask = None
        if isinstance(inputs, Mapping):
            mask = inputs.get(f"{self.modality}_mask")
            inputs = inputs[self.modality]
        return self.backbone.encode(self.modality, inputs, self.level, mask)

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "modality": self.modality,
            "level": self.level,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**deserialize_layers(config, ("backbone",)))
