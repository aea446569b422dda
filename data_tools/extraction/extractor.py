"""The interface of feature extractors, and their registry."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import DecodeError
from data_tools.store import Field

EXTRACTORS = {
    "audio": {
        "log_mel": "data_tools.extraction.audio:LogMel",
        "vggish": "data_tools.extraction.audio:VGGish",
    },
    "video": {
        "patches": "data_tools.extraction.video:Patches",
        "vgg19": "data_tools.extraction.video:VGG19",
    },
    "text": {
        "words": "data_tools.extraction.text:Words",
        "bert": "data_tools.extraction.text:BERT",
    },
}
"""Modality to name to class."""


class Extractor(abc.ABC):
    """Base class of extractors: decodes a file to a signal and computes one row of the store.

    Subclass it for features of your own and name them on the command line as `module:Class`.

    Attributes:
        needs_fit: whether `fit` must see signals before the first call.

    Args:
        options: arguments by name, which must be plain values (they travel as JSON).
    """

    needs_fit = False

    @property
    @abc.abstractmethod
    def field(self) -> Field:
        """Shape and precision of a row."""

    @abc.abstractmethod
    def decode(self, root: Path, clip: Mapping[str, Any]) -> np.ndarray | str:
        """Decodes the signal of a clip.

        Raises:
            DecodeError: if the clip has no such signal, or one that cannot be used.
        """

    @abc.abstractmethod
    def __call__(self, signal: Any) -> np.ndarray:
        """Computes features in the shape of the field, bit-identical in every process."""

    def fit(self, signals: Sequence[Any]) -> None:  # noqa: B027
        """Fits the extractor to the signals of training clips, if `needs_fit`."""

    def state(self) -> dict[str, np.ndarray]:
        """Returns the fitted arrays by name."""
        return {}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:  # noqa: B027
        """Restores the arrays that `state` returned."""

    def sources(self) -> dict[str, str]:
        """Returns the checksums of the files that the features depend on, by option name."""
        return {}


def source_of(root: Path, clip: Mapping[str, Any], modality: str) -> Path:
    """Returns the path of the file with a modality of a clip.

    Args:
        root: root of the paths.
        clip: the clip.
        modality: its key.

    Returns:
        The path.

    Raises:
        DecodeError: if the clip has none.

    Example:
        >>> source_of(Path("set"), {"id": "a", "audio": "a.wav"}, "audio").as_posix()
        'set/a.wav'
    """
    if not clip.get(modality):
        raise DecodeError(f"has no {modality}")
    return root / clip[modality]


def create_extractor(modality: str, name: str, options: Mapping[str, Any]) -> Extractor:
    """Creates an extractor by name.

    Args:
        modality: "audio", "video" or "text".
        name: one of `EXTRACTORS[modality]`, or `module:Class` for one of your own.
        options: its arguments.

    Returns:
        The extractor.

    Raises:
        ValueError: if there is no such extractor, or it refuses the options.

    Example:
        >>> create_extractor("text", "words", {"dim": 16, "num_tokens": 4}).field.shape
        (4, 16)
    """
    known = EXTRACTORS.get(modality, {})
    target = known.get(name, name)
    module, separator, attribute = target.partition(":")
    if not separator:
        raise ValueError(
            f"`{modality}` must be one of {sorted(known)} or MODULE:CLASS. Received: {name!r}"
        )
    try:
        kind = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"`{modality}` must name a class; {name!r} gave: {error}") from error
    if not (isinstance(kind, type) and issubclass(kind, Extractor)):
        raise ValueError(f"`{modality}` must name a subclass of Extractor. Received: {name!r}")
    try:
        return kind(**options)
    except TypeError as error:
        raise ValueError(f"{name!r} must be made with its own options; {error}") from error
