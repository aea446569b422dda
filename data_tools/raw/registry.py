"""Raw data sets by name."""

from __future__ import annotations

from typing import Any

from data_tools.io.arguments import construct
from data_tools.raw.base import RawDataset
from data_tools.raw.digits import Digits
from data_tools.raw.synthetic import Synthetic

RAW_DATASETS: dict[str, type[RawDataset]] = {cls.name: cls for cls in (Digits, Synthetic)}
"""Class of each raw data set."""


def open_raw(name: str, root: str | None = None, **options: Any) -> RawDataset:
    """Opens a raw data set by name.

    Args:
        name: one of `RAW_DATASETS`.
        root: folder of the raw files; the default of the data set if None.
        options: further arguments of the data set, such as `split`.

    Returns:
        The data set.

    Raises:
        ValueError: if the name or an option is unknown.

    Example:
        >>> open_raw("synthetic").categories[:3]
        ('bell', 'siren', 'flute')
    """
    if name not in RAW_DATASETS:
        raise ValueError(f"`name` must be one of {sorted(RAW_DATASETS)}. Received: {name!r}")
    return construct(RAW_DATASETS[name], name, root, options)
