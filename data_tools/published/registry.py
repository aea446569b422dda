"""Published data sets by name."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from data_tools.io.arguments import construct

if TYPE_CHECKING:
    from data_tools.published.base import PublishedDataset

PUBLISHED_DATASETS = {
    "ave": "AVE",
    "ave_avvp": "AVEtoAVVP",
    "avvp": "AVVP",
    "celeba_hq": "CelebAHQ",
    "clotho": "Clotho",
    "flickrsound": "FlickrSound",
    "mnist": "MNIST",
    "mscoco": "MSCOCO",
    "ucf51": "UCF51",
    "ucf_vggsound": "UCFVGGSound",
    "valor": "VALOR",
    "vggsound": "VGGSound",
}
"""Class of each published data set, defined in the module of its name."""


def published_class(name: str) -> type[PublishedDataset]:
    """Returns the class of a published data set.

    Args:
        name: one of `PUBLISHED_DATASETS`.

    Returns:
        The class.

    Raises:
        ValueError: if the name is unknown.

    Example:
        >>> published_class("clotho").modalities
        ('audio', 'text')
    """
    if name not in PUBLISHED_DATASETS:
        raise ValueError(f"`name` must be one of {sorted(PUBLISHED_DATASETS)}. Received: {name!r}")
    module = importlib.import_module(f"{__package__}.{name}")
    return getattr(module, PUBLISHED_DATASETS[name])


def open_published(name: str, root: str | os.PathLike[str], **options: Any) -> PublishedDataset:
    """Opens a published data set by name. Annotations are read on first use.

    Args:
        name: one of `PUBLISHED_DATASETS`.
        root: folder of annotations and features.
        options: further arguments of the data set, such as `protocol` or `exclude`.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if the name or an option is unknown.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "flickr.csv").write_text("filename\\n1.wav\\n2.wav\\n")
        ...     dataset = open_published("flickrsound", folder, protocol="reference")
        ...     [example.id for example in dataset.examples("test")]
        ['1', '2']
    """
    return construct(published_class(name), name, root, options)
