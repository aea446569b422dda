"""Named settings of CoDAAR: those of its authors' code, and small ones."""

from __future__ import annotations

import copy
from typing import Any

from keras_cmg.models.dcid import presets

REFERENCE: dict[str, Any] = copy.deepcopy(presets.REFERENCE)
REFERENCE["backbone"].update(
    # The order of the blocks and of their updates.
    modalities=("video", "audio", "text"),
    num_embeddings=800,
    map_specific={"batch_norm": True, "hidden_channels": 1024, "channels": 2048},
    quantizer={
        "class_name": "AlignedCodebook",
        "own_weight": 0.6,
        "cascade": True,
        "decay": 0.99,
        "epsilon": 1e-5,
        "dead_code_patience": 300,
        "replacement": "code",
        "replacement_noise": 0.001,
        "reset_replaced_state": False,
        "zero_initial_counts": True,
    },
)
REFERENCE["objective"]["num_event_classes"] = 142
"""The settings of the authors' code, at its published widths; see docs/porting_notes.md."""

SMALL: dict[str, Any] = copy.deepcopy(presets.SMALL)
SMALL["backbone"].update(
    map_specific={"batch_norm": True, "hidden_channels": 32, "channels": 64},
    quantizer={
        "class_name": "AlignedCodebook",
        "own_weight": 0.6,
        "cascade": True,
        "dead_code_patience": 50,
    },
)
"""Trains on a CPU in minutes: encoders and number of codes of DCID's `"small"`."""

PRESETS = {"reference": REFERENCE, "small": SMALL}
