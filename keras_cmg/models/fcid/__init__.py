"""FCID: fine and coarse cross-modal information disentangling."""

from keras_cmg.models.fcid.backbone import FCIDBackbone
from keras_cmg.models.fcid.pretrainer import FCID

__all__ = ["FCID", "FCIDBackbone"]
