"""Named settings of CODIS."""

from __future__ import annotations

from keras_cmg.models.base.shared_presets import presets

PRESETS = presets(
    {"momentum": 0.995, "temperature": 0.07},
    {"momentum": 0.95, "temperature": 0.1},
    without=("quantizer",),
)
"""The paper's momentum and temperature; `"small"` trains for fewer steps."""
