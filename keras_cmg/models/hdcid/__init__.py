"""H-DCID (Xia et al., 2024)."""

from keras_cmg.models.hdcid.pretrainer import HDCID

__all__ = ["HDCID"]
