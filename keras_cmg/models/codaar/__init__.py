"""CoDAAR (2026)."""

from keras_cmg.models.codaar.backbone import CoDAARBackbone
from keras_cmg.models.codaar.pretrainer import CoDAAR

__all__ = ["CoDAAR", "CoDAARBackbone"]
