"""AHA (Wu et al., 2026)."""

from keras_cmg.models.aha.backbone import AHABackbone
from keras_cmg.models.aha.pretrainer import AHA

__all__ = ["AHA", "AHABackbone"]
