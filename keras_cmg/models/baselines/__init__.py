"""Peers of FCID, on the same contract."""

from keras_cmg.models.baselines.dcid import DCID
from keras_cmg.models.baselines.dcid_backbone import DCIDBackbone

__all__ = ["DCID", "DCIDBackbone"]
