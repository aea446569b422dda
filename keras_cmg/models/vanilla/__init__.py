"""Vanilla: direct alignment of modalities."""

from keras_cmg.models.vanilla.pretrainer import Vanilla

__all__ = ["Vanilla"]
