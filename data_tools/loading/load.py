"""Published data sets and prepared folders as batches for training, in three formats."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from data_tools.io.arguments import check_choice
from data_tools.published.selection import Selection, select

FORMATS = ("pydataset", "tf", "numpy")
MEMORY_LIMIT = 2**30
OnError = str | Callable[[str, str], None]


class BatchReader:
    """Batches of a selection of clips, in an order fixed by seed and epoch.

    Args:
        selection: the clips and where they are read from.
        batch_size: clips per batch.
        seed: of the shuffling.
        shuffle: whether each epoch has an order of its own.
        drop_remainder: leave out a last batch that is not full.
        memory_limit: bytes up to which the arrays are kept in memory; read clip by clip beyond.
        on_error: "raise" to stop at a clip that can't be read; "skip" to leave such clips out, with
            a warning; or a function `(key, reason) -> None` that is told of each. To leave them out
            every clip is read once beforehand, so that batches stay full.

    Raises:
        FileNotFoundError: a file of all clips is missing.
        ValueError: an argument or a file is wrong.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 5})
        ...     reader = BatchReader(select(path, modalities=("audio",)), batch_size=2)
        ...     [batch["audio"].shape for batch, in reader.epoch(0)]
        [(2, 10, 128), (2, 10, 128), (1, 10, 128)]
    """

    def __init__(
        self,
        selection: Selection,
        batch_size: int = 80,
        seed: int = 0,
        shuffle: bool = False,
        drop_remainder: bool = False,
        memory_limit: int = MEMORY_LIMIT,
        on_error: OnError = "raise",
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be at least 1; received: {batch_size}")
        if not callable(on_error):
            check_choice("on_error", on_error, ("raise", "skip"))
        self.selection = selection
        self.batch_size = batch_size
        self.seed = seed
        self.shuffle = shuffle
        self.drop_remainder = drop_remainder
        self.examples = list(selection.examples)
        self._memory: dict[str, np.ndarray] | None = None
        if selection.num_bytes <= memory_limit:
            self._memory = self._read_all(on_error)
            selection.close()
        elif on_error != "raise":
            self._leave_out(dict(self._bad()), on_error)
        if not self.examples:
            raise ValueError(
                f"{selection.name} must have a clip that can be read; received "
                f"{len(selection.examples)}, none of which can"
            )
        if drop_remainder and len(self.examples) < batch_size:
            raise ValueError(
                "`batch_size` must not exceed the clips of the split when the last batch is "
                f"dropped; received: {batch_size} for {len(self.examples)} clips of "
                f"{selection.name}"
            )

    def _bad(self) -> Iterator[tuple[str, str]]:
        return ((example.key, reason) for example, reason in self.selection.bad())

    def _leave_out(self, bad: dict[str, str], on_error: OnError) -> None:
        self.examples = [example for example in self.examples if example.key not in bad]
        if callable(on_error):
            for key, reason in bad.items():
                on_error(key, reason)
        elif bad:
            shown = "; ".join(f"{key}: {reason}" for key, reason in list(bad.items())[:3])
            warnings.warn(
                f"{len(bad)} of {len(bad) + len(self.examples)} clips of {self.selection.name} are "
                f"left out, among them {shown}",
                stacklevel=4,
            )

    def _read_all(self, on_error: OnError) -> dict[str, np.ndarray]:
        """Arrays of all clips that can be read, one after another into place."""
        sources, num_clips = self.selection.sources, len(self.examples)
        arrays = {
            kind: np.empty((num_clips, *source.shape), np.float32)
            for kind, source in sources.items()
        }
        count, bad = 0, {}
        for example in self.examples:
            try:
                clip = self.selection.read(example)
            except ValueError as error:
                if on_error == "raise":
                    raise
                bad[example.key] = str(error.__cause__)
                continue
            for kind, value in clip.items():
                arrays[kind][count] = value
            count += 1
        self._leave_out(bad, on_error)
        return {kind: array[:count] for kind, array in arrays.items()}

    def __len__(self) -> int:
        whole, rest = divmod(len(self.examples), self.batch_size)
        return whole + (rest > 0 and not self.drop_remainder)

    def read(self, positions: np.ndarray) -> dict[str, np.ndarray]:
        """Arrays of the clips at these positions of the split, `text_mask` beside the text.

        Raises:
            ValueError: a clip can't be read; the message names it.
        """
        if self._memory is None:
            clips = [self.selection.read(self.examples[position]) for position in positions]
            arrays = {
                kind: np.stack([clip[kind] for clip in clips]) for kind in self.selection.sources
            }
        else:
            arrays = {kind: array[positions] for kind, array in self._memory.items()}
        if "text" in arrays:
            arrays["text_mask"] = np.any(arrays["text"] != 0, axis=-1)
        return arrays

    def batch(self, index: int, epoch: int) -> tuple[Any, ...]:
        """Batch of an epoch: `(arrays,)`, or `(arrays, labels)`."""
        positions = np.arange(len(self.examples))
        if self.shuffle:
            positions = np.random.default_rng([self.seed, epoch]).permutation(positions)
        arrays = self.read(positions[index * self.batch_size : (index + 1) * self.batch_size])
        labels = arrays.pop("labels", None)
        return (arrays,) if labels is None else (arrays, labels)

    def epoch(self, epoch: int) -> Iterator[tuple[Any, ...]]:
        """All batches of an epoch."""
        return (self.batch(index, epoch) for index in range(len(self)))


def load(
    root: str | os.PathLike[str],
    split: str = "train",
    modalities: Sequence[str] | None = None,
    batch_size: int = 80,
    seed: int = 0,
    shuffle: bool | None = None,
    format: str = "pydataset",
    drop_remainder: bool | None = None,
    labels: bool | str = False,
    dataset: str | None = None,
    on_error: OnError = "raise",
    memory_limit: int = MEMORY_LIMIT,
    clean: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Any:
    """Loads one split of a published data set, or of a prepared feature folder.

    Args:
        root: folder of annotations and features.
        split: "train", "val" or "test".
        modalities: which to read, such as `("audio", "video")`; all that the data have if None.
        batch_size: clips per batch.
        seed: of the shuffling; the order is fixed by seed and epoch.
        shuffle: a new order every epoch; by default for "train" alone. Formats with batches only.
        format: "numpy" for the whole split as arrays; "pydataset" for a `keras.utils.PyDataset`,
            "tf" for a `tf.data.Dataset`.
        drop_remainder: leave out a last batch that is not full; by default as `shuffle`.
        labels: also the labels (batch, frames, classes + 1); "weak" for (batch, classes).
        dataset: name of the published data set, such as "avvp"; None for a prepared folder.
        on_error: "raise" to stop at a clip that can't be read, "skip" to leave such clips out with
            a warning, or a function `(key, reason) -> None` that is told of each.
        memory_limit: bytes up to which the arrays are kept in memory; read clip by clip beyond.
        clean: table of the clips to keep, as `python -m data_tools verify --clean` writes it.
        options: of the published data set: `protocol`, `exclude`, `text_encoder` and its own, such
            as `events` of "avvp" or `side` of "ucf_vggsound".

    Returns:
        "numpy": dict of float32 arrays `audio` (clips, frames, 128), `video` (clips, frames, 7, 7,
        channels), `text` (clips, tokens, dim), bool `text_mask` (clips, tokens), `image` (clips,
        height, width, 3) and, if asked, `labels`. Otherwise batches: tuples `(dict,)` or
        `(dict, labels)`.

    Raises:
        FileNotFoundError: the folder or a file is missing.
        ValueError: an argument or a file is wrong.

    Example:
        >>> import tempfile, data_tools
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = data_tools.prepare("synthetic", folder + "/a", num_clips={"train": 5})
        ...     arrays = load(path, format="numpy", labels=True)
        >>> arrays["video"].shape, arrays["labels"].shape
        ((5, 10, 7, 7, 64), (5, 10, 11))
    """
    check_choice("format", format, FORMATS)
    selection = select(root, split, modalities, labels, dataset, clean, **options)
    if format == "numpy":
        reader = BatchReader(selection, 1, memory_limit=selection.num_bytes, on_error=on_error)
        return reader.read(slice(None))  # type: ignore[arg-type]
    shuffle = split == "train" if shuffle is None else shuffle
    drop_remainder = shuffle if drop_remainder is None else drop_remainder
    reader = BatchReader(
        selection, batch_size, seed, shuffle, drop_remainder, memory_limit, on_error
    )
    if format == "pydataset":
        from data_tools.loading.pydataset import FeatureDataset

        return FeatureDataset(reader)
    from data_tools.loading.tf_dataset import feature_dataset

    return feature_dataset(reader)
