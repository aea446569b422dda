"""CoDAAR (2026)."""

from keras_cmg.models.codaar.pretrainer import CoDAAR

__all__ = ["CoDAAR"]
