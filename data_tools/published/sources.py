"""Sources of one modality: each returns a checked array or raises an error with the reason."""

from __future__ import annotations

import abc
import collections
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from data_tools.features import TextFeatures
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.io.feature_folder import FILES, FeatureFolder
from data_tools.io.files import shorten
from data_tools.published.annotations import segment_labels
from data_tools.untrusted import find_feature, read_feature

if TYPE_CHECKING:
    from data_tools.published.examples import Example

TextEncoder = Callable[[list[str]], np.ndarray]

TEXT_DIM = 768
"""Size of the published word embeddings."""
NUM_TOKENS = 10
SAMPLED = 25
"""Number of clips from which the usual shape is determined."""


class Source(abc.ABC):
    """Base class of sources: reads one modality clip by clip.

    Attributes:
        shape: shape of a clip's array.
    """

    shape: tuple[int, ...]

    @abc.abstractmethod
    def read(self, example: Example) -> np.ndarray:
        """Reads the array of a clip: float32, finite.

        Raises:
            FileNotFoundError: if its file is missing.
            ValueError: if its file is damaged or has invalid content.
        """

    def read_many(self, examples: Sequence[Example]) -> np.ndarray:
        """Reads the arrays of clips, (clips, ...).

        Raises:
            FileNotFoundError: if a file is missing.
            ValueError: if a file is damaged or has invalid content.
        """
        return np.stack([self.read(example) for example in examples])

    def files(self, example: Example) -> str:
        """Returns the reason if the file of a clip does not exist, else an empty string."""
        return ""


class RowSource(Source):
    """Reads rows of an array of all clips in a feature folder in the AVE layout.

    Args:
        folder: the folder.
        kind: "audio", "video", "text" or "labels".

    Raises:
        FileNotFoundError: if the file of that kind is missing.
        ValueError: if it has another shape or dtype.
    """

    def __init__(self, folder: FeatureFolder, kind: str) -> None:
        self.folder = folder
        self.kind = kind
        self.shape = folder.array(kind).shape[1:]

    def read(self, example: Example) -> np.ndarray:
        return self.read_many([example])[0]

    def read_many(self, examples: Sequence[Example]) -> np.ndarray:
        num_rows = len(self.folder.array(self.kind))
        for example in examples:
            if not 0 <= example.row < num_rows:
                raise ValueError(
                    f"{self.folder.root / FILES[self.kind]} must have a row {example.row}. "
                    f"Received {num_rows} rows"
                )
        return self.folder.read(self.kind, np.array([example.row for example in examples]))


class FileSource(Source):
    """Reads one file per clip: `<id>.zip` with one pickled array, or `<id>.npy`.

    Audio shorter than ten rows is padded by its last row and longer is cut, as in the published
    code; text is padded by zeros and cut.

    Args:
        folder: where the files lie.
        modality: "audio" (frames, dim), "video" (frames, height, width, channels) or "text"
            (tokens, dim).
        ids: clips to be read; some of them decide which shape is the usual one.
        shape: that every clip must have, if it is known.

    Raises:
        FileNotFoundError: if there is no such folder.
        ValueError: if none of the sampled clips can be read.
    """

    def __init__(
        self,
        folder: Path,
        modality: str,
        ids: Sequence[str],
        shape: tuple[int, ...] | None = None,
    ) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} must be the folder of the {modality} features, <id>.zip or <id>.npy"
            )
        self.folder = folder
        self.modality = modality
        self.shape = self._usual_shape(ids) if shape is None else shape

    def _usual_shape(self, ids: Sequence[str]) -> tuple[int, ...]:
        shapes: collections.Counter[tuple[int, ...]] = collections.Counter()
        reasons = []
        step = max(len(ids) // SAMPLED, 1)
        for id in ids[::step][:SAMPLED]:
            try:
                shapes[self._fitted(id).shape] += 1
            except (FileNotFoundError, ValueError) as error:
                reasons.append(str(error))
        if not shapes:
            raise ValueError(
                f"{self.folder} must hold features of the clips; none of {len(reasons)} looked at "
                f"can be read, the first because: {reasons[0] if reasons else 'there is none'}"
            )
        return shapes.most_common(1)[0][0]

    def _fitted(self, id: str) -> np.ndarray:
        path = find_feature(self.folder, id)
        stored = read_feature(path)
        rank = 4 if self.modality == "video" else 2
        if stored.ndim != rank or 0 in stored.shape:
            raise ValueError(
                f"{path} must hold an array of {rank} axes with something in each. "
                f"Received shape {stored.shape}"
            )
        with np.errstate(over="ignore"):
            array = stored.astype(np.float32, copy=False)
        if not np.isfinite(array).all():
            raise ValueError(f"{path} must hold finite numbers. Received NaN or infinity")
        if self.modality == "audio":
            missing = max(NUM_SEGMENTS - len(array), 0)
            return np.pad(array[:NUM_SEGMENTS], ((0, missing), (0, 0)), mode="edge")
        if self.modality == "text":
            missing = max(NUM_TOKENS - len(array), 0)
            return np.pad(array[:NUM_TOKENS], ((0, missing), (0, 0)))
        return array

    def read(self, example: Example) -> np.ndarray:
        array = self._fitted(example.id)
        if array.shape != self.shape:
            raise ValueError(
                f"{find_feature(self.folder, example.id)} must have the shape {self.shape} of the "
                f"other clips. Received: {array.shape}"
            )
        return array

    def files(self, example: Example) -> str:
        try:
            find_feature(self.folder, example.id)
        except (FileNotFoundError, ValueError) as error:
            return str(error)
        return ""


class CaptionSource(Source):
    """Computes word vectors of a clip's caption.

    Args:
        encoder: n sentences to (n, tokens, dim); hashed sub-words with 768 features if None.

    Raises:
        ValueError: if the encoder gives another rank.
    """

    def __init__(self, encoder: TextEncoder | None = None) -> None:
        self.encoder = TextFeatures(TEXT_DIM, NUM_TOKENS) if encoder is None else encoder
        shape = np.shape(self.encoder(["a word"]))
        if len(shape) != 3 or shape[0] != 1:
            raise ValueError(
                "`text_encoder` must turn n sentences into (n, tokens, dim); one gave the shape "
                f"{shape}"
            )
        self.shape = shape[1:]

    def read(self, example: Example) -> np.ndarray:
        if not (example.caption or "").strip():
            raise ValueError(
                f"clip {shorten(example.key, 100)} must have a caption. Received an empty one"
            )
        array = np.asarray(self.encoder([example.caption or ""])[0], np.float32)
        if array.shape != self.shape or not np.isfinite(array).all():
            raise ValueError(
                f"`text_encoder` must give finite numbers of shape {self.shape}; for "
                f"{example.caption!r} it gave {array.shape}"
            )
        return array

    def files(self, example: Example) -> str:
        return "" if (example.caption or "").strip() else f"clip {example.key} has an empty caption"


class LabelSource(Source):
    """Makes labels by the second from the spans of the annotations.

    Args:
        num_classes: classes without the background.
    """

    def __init__(self, num_classes: int) -> None:
        self.num_classes = num_classes
        self.shape = (NUM_SEGMENTS, num_classes + 1)

    def read(self, example: Example) -> np.ndarray:
        return segment_labels(example.spans, self.num_classes)


class WeakLabelSource(Source):
    """Makes labels of the classes that occur anywhere in a clip.

    Args:
        num_classes: classes without the background.
    """

    def __init__(self, num_classes: int) -> None:
        self.shape = (num_classes,)

    def read(self, example: Example) -> np.ndarray:
        labels = np.zeros(self.shape, np.float32)
        labels[[category for category, _, _ in example.spans]] = 1
        return labels


class ArraySource(Source):
    """Reads rows of an array in memory.

    Args:
        array: a row per clip, addressed by `row`.
        name: its name in error messages.
    """

    def __init__(self, array: np.ndarray, name: str) -> None:
        self.array = array
        self.name = name
        self.shape = array.shape[1:]

    def read(self, example: Example) -> np.ndarray:
        if not 0 <= example.row < len(self.array):
            raise ValueError(
                f"{self.name} must have a row {example.row}. Received {len(self.array)} rows"
            )
        return self.array[example.row]
