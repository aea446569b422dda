"""Settings given on the command line as `NAME=VALUE`."""

from __future__ import annotations

import json
from typing import Any


def nested(assignments: list[str]) -> dict[str, Any]:
    """Nested settings, such as arguments of `FCID.from_preset`, out of `--set` options.

    Args:
        assignments: such as `["cpc.num_layers=2", "backbone.map_general.pooling=sum"]`; values are
            JSON, or words as they stand.

    Returns:
        Nested dict.

    Raises:
        ValueError: for an assignment without `=`.

    Example:
        >>> nested(["coarse_club_weight=1", "backbone.map_general.pooling=sum"])
        {'coarse_club_weight': 1, 'backbone': {'map_general': {'pooling': 'sum'}}}
    """
    settings: dict[str, Any] = {}
    for assignment in assignments:
        path, equals, value = assignment.partition("=")
        if not equals or not path:
            raise ValueError(f"--set takes NAME=VALUE; received: {assignment!r}")
        *parents, name = path.split(".")
        place = settings
        for parent in parents:
            place = place.setdefault(parent, {})
        try:
            place[name] = json.loads(value)
        except json.JSONDecodeError:
            place[name] = value
    return settings
