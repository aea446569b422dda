"""FAC (Alayrac et al., 2020)."""

from keras_cmg.models.fac.backbone import FACBackbone
from keras_cmg.models.fac.pretrainer import FAC

__all__ = ["FAC", "FACBackbone"]
