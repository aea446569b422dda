"""SimMMDG (Dong et al., 2023)."""

from keras_cmg.models.simmmdg.pretrainer import SimMMDG, SimMMDGBackbone

__all__ = ["SimMMDG", "SimMMDGBackbone"]
