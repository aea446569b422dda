"""Named settings of TURN."""

from __future__ import annotations

from keras_cmg.models.base.shared_presets import presets

PRESETS = presets(quantizer={"mix_modalities": False})
"""Each modality updates the codebook alone."""
