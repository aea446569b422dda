"""CODIS (Duan et al., 2022)."""

from keras_cmg.models.codis.backbone import CODISBackbone
from keras_cmg.models.codis.pretrainer import CODIS

__all__ = ["CODIS", "CODISBackbone"]
