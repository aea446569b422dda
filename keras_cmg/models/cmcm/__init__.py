"""CMCM (Liu et al., 2021)."""

from keras_cmg.models.cmcm.pretrainer import CMCM

__all__ = ["CMCM"]
