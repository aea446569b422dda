"""MICU (Huang et al., 2025)."""

from keras_cmg.models.micu.pretrainer import MICU

__all__ = ["MICU"]
