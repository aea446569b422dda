"""Systems: a backbone that encodes, a pretrainer that weighs the losses, probes on top."""

from keras_cmg.models.base import CrossModalBackbone, ModalityEncoder, Pretrainer
from keras_cmg.models.fcid import FCID, FCIDBackbone
from keras_cmg.models.heads import LinearProbe

__all__ = [
    "FCID",
    "CrossModalBackbone",
    "FCIDBackbone",
    "LinearProbe",
    "ModalityEncoder",
    "Pretrainer",
]
