"""Named settings of FAC."""

from __future__ import annotations

from keras_cmg.models.base.shared_presets import presets

PRESETS = presets({"temperature": 0.07}, {"temperature": 0.1})
"""The paper's temperature, and that of the other systems in `"small"`."""
