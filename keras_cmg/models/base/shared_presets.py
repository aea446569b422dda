"""Named settings of the systems without specific encoders: published widths, and a small set."""

from __future__ import annotations

import copy
from typing import Any

from keras_cmg.models.base.presets import merged
from keras_cmg.models.fcid import presets as fcid

SHARED = ("num_embeddings", "embedding_dim", "general", "map_general", "quantizer")
"""Arguments that these systems' backbones share with FCID's, at the same values, so that
comparisons are of objectives and not of encoders."""


def presets(
    objective: dict[str, Any] | None = None,
    small: dict[str, Any] | None = None,
    quantizer: dict[str, Any] | None = None,
    without: tuple[str, ...] = (),
) -> dict[str, dict[str, Any]]:
    """Returns the presets `"paper"` and `"small"` of a system with FCID's encoders and codebook.

    Args:
        objective: arguments of the pretrainer.
        small: those that differ in `"small"`.
        quantizer: arguments of the codebook that differ from FCID's.
        without: arguments of the backbone that the system does not have.

    Returns:
        Name to `"backbone"` and `"objective"`.

    Example:

    >>> presets({"temperature": 0.07}, {"temperature": 0.1})["small"]["objective"]
    {'temperature': 0.1}
    """
    objective = objective or {}

    def settings(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
        body = {key: copy.deepcopy(base["backbone"][key]) for key in SHARED}
        body = merged(body, {"quantizer": quantizer or {}})
        return {
            "backbone": {key: value for key, value in body.items() if key not in without},
            "objective": merged(objective, changes),
        }

    return {"paper": settings(fcid.PAPER, {}), "small": settings(fcid.SMALL, small or {})}
