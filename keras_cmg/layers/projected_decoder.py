"""A decoder whose general feature is projected first."""

from __future__ import annotations

import keras


@keras.saving.register_keras_serializable("keras_cmg")
class ProjectedDecoder(keras.layers.Layer):
    """Maps the general feature to another width, then applies a decoder.

    Masks: none are read; every frame is decoded, and the loss of padded frames must be given weight
    zero.

    Args:
        units: int, width that the decoder receives.
        decoder: Keras layer that takes `(general, specific)`, such as `SequenceDecoder`.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        general: float tensor `(batch, frames, dim)`.
        specific: as the decoder takes it.

    Returns:
        What the decoder returns.

    Example:

    >>> decoder = keras_cmg.layers.ProjectedDecoder(4, keras_cmg.layers.SequenceDecoder(5))
    >>> tuple(decoder(np.zeros((2, 10, 12), "float32"), np.zeros((2, 10, 3), "float32")).shape)
    (2, 10, 5)

    References:
        CoDAAR (2026), arXiv:2605.12145, in the form of the authors' code.
    """

    def __init__(self, units: int, decoder: keras.Layer, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.decoder = decoder
        self.projection = keras.layers.Dense(units, dtype=self.dtype_policy, name="projection")

    def build(self, general_shape, specific_shape):
        self.projection.build(general_shape)
        if not self.decoder.built:
            self.decoder.build((*general_shape[:-1], self.units), specific_shape)
        self.built = True

    def call(self, general, specific):
        return self.decoder(self.projection(general), specific)

    def compute_output_shape(self, general_shape, specific_shape):
        shape = (*general_shape[:-1], self.units)
        return self.decoder.compute_output_shape(shape, specific_shape)

    def get_config(self):
        decoder = keras.saving.serialize_keras_object(self.decoder)
        config = {key: value for key, value in decoder.items() if key != "build_config"}
        return {**super().get_config(), "units": self.units, "decoder": config}

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["decoder"] = keras.saving.deserialize_keras_object(config["decoder"])
        return cls(**config)
