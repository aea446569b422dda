"""DCID (Xia et al., 2023)."""

from keras_cmg.models.dcid.backbone import DCIDBackbone
from keras_cmg.models.dcid.pretrainer import DCID

__all__ = ["DCID", "DCIDBackbone"]
