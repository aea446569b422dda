"""Layers that turn vectors into codes."""

from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.prototypes import Prototypes

__all__ = ["Codebook", "Prototypes"]
