"""Named settings of the VQ-VAE: what the paper masks, what a laptop trains."""

from __future__ import annotations

import copy
from typing import Any

PAPER: dict[str, Any] = {
    "backbone": {
        "num_embeddings": 128,
        "embedding_dim": 128,
        "hidden_channels": 256,
        "num_residual": 2,
        "downsampling": 2,
        "quantizer": {"decay": 0.99, "epsilon": 1e-5, "dead_code_patience": 300},
    },
    "objective": {"commitment_cost": 0.25},
}
"""Codebook 128 x 128 (Huang et al., 2025), networks of van den Oord et al. (2017)."""

SMALL: dict[str, Any] = copy.deepcopy(PAPER)
SMALL["backbone"].update(hidden_channels=64)
SMALL["backbone"]["quantizer"]["dead_code_patience"] = 50
"""Trains on a CPU in minutes."""

PRESETS = {"paper": PAPER, "small": SMALL}
