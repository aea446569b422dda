"""Quantisers: layers that replace vectors by codes of a codebook."""

from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.prototypes import Prototypes

__all__ = ["Codebook", "Prototypes"]
