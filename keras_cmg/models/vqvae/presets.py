"""Named settings of the VQ-VAE: what the paper masks, what a laptop trains."""

from __future__ import annotations

import copy
from typing import Any

from keras_cmg.models.base.presets import named

PAPER: dict[str, Any] = {
    "backbone": {
        "num_embeddings": 128,
        "embedding_dim": 128,
        "hidden_channels": 256,
        "num_residual": 2,
        "downsampling": 2,
        "codebook": {"decay": 0.99, "epsilon": 1e-5, "dead_code_patience": 300},
    },
    "objective": {"commitment_cost": 0.25},
}
"""Codebook 128 x 128 (Huang et al., 2025), networks of van den Oord et al. (2017)."""

SMALL: dict[str, Any] = copy.deepcopy(PAPER)
SMALL["backbone"].update(hidden_channels=64)
SMALL["backbone"]["codebook"]["dead_code_patience"] = 50
"""Trains on a CPU in minutes."""

PRESETS = {"paper": PAPER, "small": SMALL}


def preset(name: str) -> dict[str, Any]:
    """A copy of the named preset.

    Args:
        name: `"paper"` or `"small"`.

    Returns:
        Dict with `"backbone"` and `"objective"`.

    Raises:
        ValueError: for an unknown name.

    Example:

    >>> preset("small")["backbone"]["num_embeddings"]
    128
    """
    return named(PRESETS, name)
