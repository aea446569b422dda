"""Raw data sets by name."""

from __future__ import annotations

from typing import Any

from data_tools.datasets.base import NUM_SEGMENTS, SPLITS, Clip, RawDataset
from data_tools.datasets.digits import Digits
from data_tools.datasets.synthetic import Synthetic

DATASETS: dict[str, type[RawDataset]] = {cls.name: cls for cls in (Digits, Synthetic)}

__all__ = [
    "DATASETS",
    "NUM_SEGMENTS",
    "SPLITS",
    "Clip",
    "Digits",
    "RawDataset",
    "Synthetic",
    "create",
]


def create(name: str, root: str | None = None, **options: Any) -> RawDataset:
    """Makes a raw data set by name.

    Args:
        name: "digits" or "synthetic".
        root: folder of its raw files; its own default if None.
        options: arguments of that data set, such as `split`.

    Returns:
        The data set.

    Raises:
        ValueError: the name or an option is unknown.

    Example:
        >>> create("synthetic").categories[:3]
        ('bell', 'siren', 'flute')
    """
    if name not in DATASETS:
        raise ValueError(f"`name` must be one of {sorted(DATASETS)}; received: {name!r}")
    return DATASETS[name](root=root, **options)
