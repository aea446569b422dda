"""Named settings of H-DCID: those of DCID on both levels."""

from __future__ import annotations

from typing import Any

from keras_cmg.models.base.presets import merged
from keras_cmg.models.dcid import presets as dcid

STEPS_PER_EPOCH = 500
"""Of the authors' pre-training: 40,000 clips in batches of 80."""


def _levels(name: str, start_step: int, **objective: Any) -> dict[str, dict[str, Any]]:
    """Settings of DCID with a second level."""
    return {
        "backbone": merged(dcid.PRESETS[name]["backbone"], {"second_level": True}),
        "objective": merged(
            dcid.PRESETS[name]["objective"],
            {"second_level_start_step": start_step, "num_event_classes": None, **objective},
        ),
    }


PRESETS = {
    "paper": _levels("paper", 3 * STEPS_PER_EPOCH),
    "reference": _levels("reference", 3 * STEPS_PER_EPOCH),
    # Three epochs of 400 clips in batches of 32, as of the comparison of systems.
    "small": _levels("small", 39),
}
"""The widths and settings of DCID; the second level starts after three epochs."""
