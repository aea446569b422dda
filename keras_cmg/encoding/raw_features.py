"""Where encoders find the extractors of raw files: a registry that `data_tools` fills."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from keras_cmg.extras import missing, missing_package

PROVIDER = "data_tools.extraction.raw_features"
"""Module that registers its extractors when it is imported, which happens at the first use."""
EXTRACTORS = "extractors.json"
"""File of a run that describes how features were extracted from raw files."""


class RawFeatures(Protocol):
    """Extractors of a run, applied to raw files and words."""

    modalities: tuple[str, ...]
    """Modalities that have an extractor."""

    def __call__(
        self, modality: str, files: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> Iterable[np.ndarray | str]:
        """Computes the features of each file or text, or the reason why it has none."""


Opener = Callable[[Path, Mapping[str, str]], RawFeatures]
"""Opens the extractors of a run: its folder, and modality to the path of a model file."""
_openers: list[Opener] = []


def register_raw_features(opener: Opener) -> Opener:
    """Registers the function that opens the extractors of a run; the last one is used.

    Args:
        opener: function of the run's folder, and of a dict of modality to model file, which returns
            `RawFeatures`.

    Returns:
        The function.
    """
    _openers.append(opener)
    return opener


def open_raw_features(run: Path, models: Mapping[str, str]) -> RawFeatures:
    """Opens the extractors of a run.

    Args:
        run: folder of the run.
        models: modality to the path of its model file, where the recorded one is elsewhere.

    Returns:
        The extractors.

    Raises:
        FileNotFoundError: if a model file is not found.
        ImportError: if a package is missing.
        ValueError: if the run keeps no extractors, or its description is damaged.
    """
    if not (run / EXTRACTORS).is_file():
        raise ValueError(
            f"The run must keep its extractors in {EXTRACTORS} to encode files or texts; {run} has "
            "none. Pass `features`."
        )
    if not _openers:
        try:
            importlib.import_module(PROVIDER)
        except ModuleNotFoundError as error:
            package = missing_package(error)
            if package is None:
                raise
            what = "Extracting features of files and texts needs"
            raise missing(package, what, error) from error
    return _openers[-1](run, models)
