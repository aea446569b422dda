"""What is tuned of each system: its search space, in one place, and how a trial is drawn.

A trial is a setting of everything in a system's space; trial 0 is the preset as it stands, so that
tuning never makes a system worse on its own measure. All systems get the same number of trials.
Names are arguments of the system, dots for nesting; `learning_rate` and `schedule` are those of the
main optimiser.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from recipes.training.entries import parts

LEARNING_RATE, SCHEDULE = "learning_rate", "schedule"


@dataclasses.dataclass(frozen=True)
class Between:
    """A number between two bounds, uniform on a logarithmic scale, to two digits."""

    low: float
    high: float

    def draw(self, random: np.random.Generator) -> float:
        """A number.

        Args:
            random: generator.

        Returns:
            The number.

        Example:

        >>> 1 <= Between(1, 2).draw(np.random.default_rng(0)) <= 2
        True
        """
        value = math.exp(random.uniform(math.log(self.low), math.log(self.high)))
        return float(f"{value:.2g}")


@dataclasses.dataclass(frozen=True)
class Among:
    """One of several values, each as likely."""

    values: tuple[Any, ...]

    def draw(self, random: np.random.Generator) -> Any:
        """A value.

        Args:
            random: generator.

        Returns:
            The value.

        Example:

        >>> Among(("a",)).draw(np.random.default_rng(0))
        'a'
        """
        return self.values[int(random.integers(len(self.values)))]


Space = Mapping[str, Between | Among]

TRAINING: Space = {
    LEARNING_RATE: Between(3e-4, 2e-3),
    SCHEDULE: Among(("constant", "cosine")),
}
DEFAULTS: dict[str, Any] = {LEARNING_RATE: 4e-4, SCHEDULE: "constant"}
"""Of the optimiser, where nothing is tuned; the learning rate is the authors'."""
TEMPERATURE = Among((0.05, 0.1, 0.2, 0.5))
CODEBOOK: Space = {"backbone.quantizer.decay": Among((0.9, 0.95, 0.99))}
ALIGNMENT: Space = {"temperature": TEMPERATURE, **CODEBOOK}
FCID: Space = {
    "infonce_temperature": TEMPERATURE,
    "loss_weights.infonce": Among((1.0, 3.0, 10.0)),
    "loss_weights.code_matching": Among((0.0, 0.5, 1.0)),
    "fine_club_weight": Among((0.004, 0.1, 1.0)),
    **CODEBOOK,
}

SPACES: dict[str, Space] = {
    "cmcm": {
        **ALIGNMENT,
        "warm_start_steps": Among((25, 50, 100)),
        "loss_weights.fine_matching": Between(0.1, 1.0),
    },
    "codis": {
        "temperature": TEMPERATURE,
        "code_temperature": Among((0.05, 0.1, 0.2)),
        "momentum": Among((0.9, 0.95, 0.99)),
    },
    "dcid": {
        "loss_weights.code_matching": Between(0.1, 2.0),
        "club_weight": Among((0.004, 0.1, 1.0)),
        "commitment_cost": Between(0.1, 1.0),
        **CODEBOOK,
    },
    "fac": ALIGNMENT,
    "fcid": FCID,
    "fcid:paper_small": {},
    "fcid:paper": {},
    "simmmdg": {
        "temperature": TEMPERATURE,
        "loss_weights.distance": Between(0.1, 1.0),
        "loss_weights.translation": Between(0.05, 1.0),
    },
    "turn": {**ALIGNMENT, "sampling_temperature": Among((0.5, 1.0, 2.0))},
    "vanilla": ALIGNMENT,
}
"""System, or `system:preset`, to what is tuned beside `TRAINING`. The paper's equations keep their
published weights and temperature."""

SHORTHANDS = {
    "club_weight": tuple(f"loss_weights.club_{name}" for name in ("audio", "video", "text")),
}
"""One number for several arguments."""


def space_of(entry: str) -> Space:
    """What is tuned of a system.

    Args:
        entry: system, or `system:preset`.

    Returns:
        Name to values; for a system that is not listed, what is tuned of all.

    Example:

    >>> sorted(space_of("fcid:paper_small"))
    ['learning_rate', 'schedule']
    """
    system, preset = parts(entry)
    own = SPACES.get(f"{system}:{preset}", SPACES.get(system, {}))
    return {**TRAINING, **own}


def draw(entry: str, trial: int) -> dict[str, Any]:
    """The settings of one trial; the same whenever it is drawn.

    Args:
        entry: system, or `system:preset`.
        trial: its number, from 0.

    Returns:
        `learning_rate`, `schedule`, and `changes`, arguments of the system, nested.

    Example:

    >>> draw("fcid", 0)
    {'learning_rate': 0.0004, 'schedule': 'constant', 'changes': {}}
    """
    drawn = dict(DEFAULTS)
    if trial:
        # "small" is what every system has, and draws by the name of the system alone.
        system, preset = parts(entry)
        drawer = system if preset == "small" else f"{system}:{preset}"
        random = np.random.default_rng([trial, zlib.crc32(drawer.encode())])
        drawn |= {name: values.draw(random) for name, values in space_of(entry).items()}
    training = {name: drawn.pop(name) for name in DEFAULTS}
    changes: dict[str, Any] = {}
    for name, value in drawn.items():
        for path in SHORTHANDS.get(name, (name,)):
            *parents, last = path.split(".")
            place = changes
            for parent in parents:
                place = place.setdefault(parent, {})
            place[last] = value
    return {**training, "changes": changes}
