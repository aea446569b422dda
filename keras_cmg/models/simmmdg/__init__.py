"""SimMMDG (Dong et al., 2023)."""

from keras_cmg.models.simmmdg.backbone import SimMMDGBackbone
from keras_cmg.models.simmmdg.pretrainer import SimMMDG

__all__ = ["SimMMDG", "SimMMDGBackbone"]
