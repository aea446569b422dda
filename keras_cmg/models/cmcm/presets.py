"""Named settings of CMCM."""

from __future__ import annotations

from keras_cmg.models.base.shared_presets import presets

PRESETS = presets(
    {"warm_start_steps": 1000},
    {"warm_start_steps": 50},
    quantizer={"mix_modalities": False},
)
"""Each modality updates the codebook alone; the warm start is counted in steps."""
