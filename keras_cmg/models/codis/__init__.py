"""CODIS (Duan et al., 2022)."""

from keras_cmg.models.codis.pretrainer import CODIS, CODISBackbone

__all__ = ["CODIS", "CODISBackbone"]
