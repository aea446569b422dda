"""A decoder of vectors from a general and a specific feature."""

from __future__ import annotations

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_cmg")
class SequenceDecoder(keras.layers.Layer):
    """Reconstructs vectors as `W [U general, specific]`.

    U maps the general feature to the width of the specific one. The layer behaves alike in training
    and inference.

    Masks: none are read; every frame is decoded, and the loss of padded frames must be given weight
    zero.

    Args:
        units: int, width of the reconstruction.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        general: float tensor `(batch, [frames,] dim)`, codes or general features.
        specific: float tensor `(batch, [frames,] specific_dim)`.

    Returns:
        Float tensor `(batch, [frames,] units)`.

    Example:

    >>> decoder = keras_cmg.layers.SequenceDecoder(5)
    >>> tuple(decoder(np.zeros((2, 10, 8), "float32"), np.zeros((2, 10, 3), "float32")).shape)
    (2, 10, 5)

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1.
    """

    def __init__(self, units: int, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, general_shape, specific_shape):
        width, dtype = specific_shape[-1], self.dtype_policy
        self.inner = keras.layers.Dense(width, dtype=dtype, name="inner")
        self.output_layer = keras.layers.Dense(self.units, dtype=dtype, name="output")
        self.inner.build(general_shape)
        self.output_layer.build((*specific_shape[:-1], 2 * width))
        self.built = True

    def call(self, general, specific):
        return self.output_layer(ops.concatenate([self.inner(general), specific], axis=-1))

    def compute_output_shape(self, general_shape, specific_shape):
        return (*general_shape[:-1], self.units)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
