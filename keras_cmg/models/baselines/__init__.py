"""Peers of FCID, on the same contract."""

from keras_cmg.models.baselines.cmcm import CMCM
from keras_cmg.models.baselines.codis import CODIS, CODISBackbone
from keras_cmg.models.baselines.dcid import DCID
from keras_cmg.models.baselines.dcid_backbone import DCIDBackbone
from keras_cmg.models.baselines.fac import FAC
from keras_cmg.models.baselines.simmmdg import SimMMDG, SimMMDGBackbone
from keras_cmg.models.baselines.turn import TURN
from keras_cmg.models.baselines.vanilla import Vanilla

__all__ = [
    "CMCM",
    "CODIS",
    "DCID",
    "FAC",
    "TURN",
    "CODISBackbone",
    "DCIDBackbone",
    "SimMMDG",
    "SimMMDGBackbone",
    "Vanilla",
]
