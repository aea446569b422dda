"""Data sets by name: those rendered here from raw material, and the published ones."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from data_tools.raw.base import NUM_SEGMENTS, SPLITS, Clip, RawDataset
from data_tools.raw.composed import ComposedDataset, Folders, Natural
from data_tools.raw.digits import Digits
from data_tools.raw.synthetic import Synthetic

if TYPE_CHECKING:
    from data_tools.published.base import PublishedDataset

DATASETS: dict[str, type[RawDataset]] = {
    cls.name: cls for cls in (Digits, Folders, Natural, Synthetic)
}

COMPOSED = tuple(name for name, cls in DATASETS.items() if issubclass(cls, ComposedDataset))
"""Data sets of `data_tools.prepare_composed`; `data_tools.prepare` is for the others."""

PUBLISHED = {
    "ave": "AVE",
    "ave_avvp": "AVEtoAVVP",
    "avvp": "AVVP",
    "celeba_hq": "CelebAHQ",
    "clotho": "Clotho",
    "flickrsound": "FlickrSound",
    "mnist": "MNIST",
    "mscoco": "MSCOCO",
    "ucf_vggsound": "UCFVGGSound",
    "valor": "VALOR",
    "vggsound": "VGGSound",
}
"""Class of each published data set, in the file of its name."""

__all__ = [
    "DATASETS",
    "NUM_SEGMENTS",
    "PUBLISHED",
    "SPLITS",
    "Clip",
    "Digits",
    "RawDataset",
    "Synthetic",
    "create",
    "open_published",
    "published_class",
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
    return _made(DATASETS[name], name, root, options)


def open_published(name: str, root: str | os.PathLike[str], **options: Any) -> PublishedDataset:
    """Opens a published data set by name; annotations are read when they are needed.

    Args:
        name: one of `PUBLISHED`.
        root: folder of annotations and features.
        options: arguments of that data set, such as `protocol` or `exclude`.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: the root does not exist.
        ValueError: the name or an option is unknown.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "flickr.csv").write_text("filename\\n1.wav\\n2.wav\\n")
        ...     dataset = open_published("flickrsound", folder, protocol="reference")
        ...     [example.id for example in dataset.examples("test")]
        ['1', '2']
    """
    return _made(published_class(name), name, root, options)


def _made(cls: Callable[..., Any], name: str, root: Any, options: Mapping[str, Any]) -> Any:
    try:
        return cls(root, **options)
    except TypeError as error:
        if "argument" not in str(error):
            raise
        raise ValueError(f"options of {name!r} must be known: {error}") from error


def published_class(name: str) -> type[PublishedDataset]:
    """Class of a published data set, by name.

    Args:
        name: one of `PUBLISHED`.

    Returns:
        The class.

    Raises:
        ValueError: the name is unknown.

    Example:
        >>> published_class("clotho").modalities
        ('audio', 'text')
    """
    if name not in PUBLISHED:
        raise ValueError(f"`name` must be one of {sorted(PUBLISHED)}; received: {name!r}")
    module = importlib.import_module(f"data_tools.published.{name}")
    return getattr(module, PUBLISHED[name])
