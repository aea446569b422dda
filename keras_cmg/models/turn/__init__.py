"""TURN (Zhao et al., 2022), its alignment stream."""

from keras_cmg.models.turn.pretrainer import TURN

__all__ = ["TURN"]
