"""Computes one row from one clip, in local and distributed extraction alike."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import MissingFileError
from data_tools.extraction.clips import ABSENT, Clip, file_of
from data_tools.extraction.extractor import Extractor, create_extractor
from data_tools.io.files import machine_fault, read_arrays, reading, shorten
from data_tools.store import Field
from data_tools.store.schema import check_row

FITTED = "extractors.npz"


class ClipError(Exception):
    """Raised for a clip that has no row.

    Args:
        failures: for each modality that failed, `modality`, `file` and `reason`.

    Example:
        >>> ClipError([{"modality": "audio", "file": "a.wav", "reason": "is silent"}]).failures
        [{'modality': 'audio', 'file': 'a.wav', 'reason': 'is silent'}]
    """

    def __init__(self, failures: list[dict[str, str]]) -> None:
        super().__init__(failures)
        self.failures = failures


class ClipFeatures:
    """Applies the extractors of a job to clips.

    Args:
        root: root of the clips' paths.
        extractors: modality to `{"name": ..., "options": {...}}`.
        categories: class names; rows have labels if there are any.
        segments: seconds of a clip.
        rendering: `bandwidth` and `side` to which sounds and pictures are rendered first, as those
            of composed clips; None for files as they are.

    Raises:
        ValueError: if an extractor is unknown or refuses its options.

    Example:
        >>> features = ClipFeatures(".", {"text": {"name": "words", "options": {}}}, ["cat", "dog"])
        >>> row = features({"id": "a", "caption": "a dog barks", "label": "dog", "end": 4.0})
        >>> row["text"].shape, row["labels"].argmax(-1).tolist()
        ((10, 64), [1, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        extractors: Mapping[str, Mapping[str, Any]],
        categories: list[str] | None = None,
        segments: int = 10,
        rendering: Mapping[str, int] | None = None,
    ) -> None:
        self.root = Path(root)
        self.extractors: dict[str, Extractor] = {
            modality: create_extractor(modality, spec["name"], spec["options"])
            for modality, spec in extractors.items()
        }
        if rendering is not None:
            # Imports readers of data sets, which most workers do without.
            from data_tools.extraction.rendered import RenderedExtractor

            self.extractors = {
                modality: RenderedExtractor(extractor, modality, rendering)
                for modality, extractor in self.extractors.items()
            }
        self.categories = list(categories or [])
        self.segments = segments

    @property
    def fields(self) -> dict[str, Field]:
        """Returns the fields of a row."""
        fields = {modality: extractor.field for modality, extractor in self.extractors.items()}
        if self.categories:
            fields["labels"] = Field((self.segments, len(self.categories) + 1))
        return fields

    def load_state(self, path: str | os.PathLike[str]) -> None:
        """Restores the fitted state of the extractors.

        Raises:
            ValueError: if the file lacks what an extractor must have.
        """
        state = read_arrays(path)
        for modality, extractor in self.extractors.items():
            if extractor.needs_fit:
                prefix = f"{modality}_"
                own = {
                    name.removeprefix(prefix): array
                    for name, array in state.items()
                    if name.startswith(prefix)
                }
                with reading(path, f"hold what the {modality} extractor learned"):
                    extractor.load_state(own)

    def save_state(self, path: str | os.PathLike[str]) -> None:
        """Writes the fitted state of the extractors into a NumPy archive."""
        state: dict[str, Any] = {
            f"{modality}_{name}": array
            for modality, extractor in self.extractors.items()
            for name, array in extractor.state().items()
        }
        with open(path, "wb") as stream:
            np.savez(stream, **state)

    def signals(self, clip: Clip) -> dict[str, Any]:
        """Decodes the signals on which extractors are fitted.

        Raises:
            ClipError: if one of them cannot be decoded.
            OSError: if the machine is at fault.
        """
        return self._each(
            clip, lambda extractor: extractor.decode(self.root, clip), fitted_only=True
        )

    def __call__(self, clip: Clip) -> dict[str, np.ndarray]:
        """Computes the row of a clip.

        Raises:
            ClipError: if the clip cannot be used; it has all reasons.
            OSError: if the machine is at fault: lost permissions, or a file that was there when the
                extraction was planned.
        """
        row = self._each(clip, lambda extractor: extractor(extractor.decode(self.root, clip)))
        if self.categories:
            row["labels"] = self._labels(clip)
        return row

    def _each(self, clip: Clip, function: Any, fitted_only: bool = False) -> dict[str, Any]:
        if "fault" in clip:
            raise ClipError([{"modality": "", "file": "", "reason": clip["fault"]}])
        results, failures = {}, []
        for modality, extractor in self.extractors.items():
            if fitted_only and not extractor.needs_fit:
                continue
            try:
                results[modality] = function(extractor)
                if not fitted_only:
                    check_row({modality: extractor.field}, {modality: results[modality]})
            # Any other error of an extractor or a decoder concerns this clip only.
            except Exception as error:
                self._stop_at_fault(error, clip, modality)
                kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
                reason = shorten(f"{kind}{error}".replace(f"{self.root}{os.sep}", ""))
                file = file_of(clip, modality)
                failures.append({"modality": modality, "file": file, "reason": reason})
        label = clip.get("label")
        if self.categories and label not in self.categories:
            reason = f"has the label {label!r}, which is not known" if label else "has no label"
            failures.append({"modality": "labels", "file": "", "reason": reason})
        if failures:
            raise ClipError(failures)
        return results

    def _stop_at_fault(self, error: Exception, clip: Clip, modality: str) -> None:
        """Raises an OSError for faults of the machine, which are none of the clip."""
        path = str(self.root / file_of(clip, modality))
        if (fault := machine_fault(error)) is not None:
            raise OSError(fault.errno, fault.strerror, fault.filename or path) from error
        missing = isinstance(error, MissingFileError | FileNotFoundError | NotADirectoryError)
        if missing and modality not in clip.get(ABSENT, ()):
            raise FileNotFoundError(errno.ENOENT, "the input has vanished", path) from error

    def _labels(self, clip: Clip) -> np.ndarray:
        labels = np.zeros((self.segments, len(self.categories) + 1), np.float32)
        # A second belongs to the event if its middle is inside.
        middles = np.arange(self.segments) + 0.5
        event = (middles >= clip.get("start", 0.0)) & (middles < clip.get("end", np.inf))
        labels[event, self.categories.index(clip["label"])] = 1
        labels[~event, -1] = 1
        return labels
