"""Named settings of MICU: those of its authors' code, and small ones."""

from __future__ import annotations

import copy
from typing import Any

from keras_cmg.models.dcid import presets

REFERENCE: dict[str, Any] = copy.deepcopy(presets.REFERENCE)
REFERENCE["backbone"]["quantizer"].update(
    # A copy of a live code less 1/1024, as in FCID; only sound and pictures keep a code alive.
    replacement_noise=0.0,
    replacement_offset=-1 / 1024,
    usage_modalities=("audio", "video"),
)
REFERENCE["objective"].update(
    mask_ratio=0.3,
    temperature=0.1,
    jigsaw={"num_pieces": 2, "hidden_units": 512},
    num_passes=2,
)
"""The settings of the authors' code, at its published widths; see docs/porting_notes.md."""

SMALL: dict[str, Any] = copy.deepcopy(presets.SMALL)
SMALL["objective"].update(
    mask_ratio=0.3,
    temperature=0.1,
    jigsaw={"num_pieces": 2, "hidden_units": 128},
    num_passes=1,
)
"""Trains on a CPU in minutes: encoders and codebook of DCID's `"small"`, one pass per step."""

PRESETS = {"reference": REFERENCE, "small": SMALL}
