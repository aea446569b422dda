"""Loads clips as batches from prepared folders, published data sets and stores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from data_tools.io.arguments import check_choice
from data_tools.io.feature_folder import SCHEMA
from data_tools.loading.batch_reader import BatchReader, add_text_mask
from data_tools.loading.batch_stream import BatchStream
from data_tools.loading.clip_source import ClipSource
from data_tools.loading.selection_source import MEMORY_LIMIT, OnError, SelectionSource
from data_tools.loading.store_source import StoreSource
from data_tools.published.selection import select
from data_tools.store.store import Store

FORMATS = ("pydataset", "tf", "stream", "numpy")
ALL = "all"
"""Name of the split that has all rows of a store."""


def load(
    root: str | os.PathLike[str],
    split: str | None = None,
    modalities: Sequence[str] | None = None,
    batch_size: int = 80,
    seed: int = 0,
    shuffle: bool | None = None,
    format: str = "pydataset",
    drop_remainder: bool | None = None,
    labels: bool | str = False,
    start_step: int = 0,
    *,
    dataset: str | None = None,
    on_error: OnError = "raise",
    memory_limit: int = MEMORY_LIMIT,
    clean: str | os.PathLike[str] | None = None,
    dtype: str | None = "float32",
    verify: str = "once",
    **options: Any,
) -> Any:
    """Loads clips of a prepared folder, of a published data set or of a store.

    Args:
        root: folder of annotations and features, or a store.
        split: "train", "val" or "test"; of a store, also "all". If None: "train", or all rows of a
            store that has no splits.
        modalities: which to read, such as `("audio", "video")`; all that the data have if None.
        batch_size: clips per batch.
        seed: seed of the shuffling; seed and epoch determine the order.
        shuffle: draw a new order for each epoch; if None, for "train" only.
        format: "pydataset" for a `keras.utils.PyDataset`, "tf" for a `tf.data.Dataset`, "stream"
            for an endless iterator with `state_dict` and `load_state_dict`, "numpy" for arrays of
            all clips, in their own order.
        drop_remainder: leave out a last batch that is not full; as `shuffle` if None.
        labels: also read the labels (batch, frames, classes + 1); "weak" for (batch, classes) of a
            published data set.
        start_step: step of the first batch; for a model that resumes,
            `int(model.optimizer.iterations)`.
        dataset: name of the published data set, such as "avvp"; None for a prepared folder or a
            store.
        on_error: what to do at a clip of a folder that cannot be read: "raise" raises an error,
            "skip" leaves such clips out with a warning, and a function `(key, reason) -> None` is
            called for each clip left out. A store has no such clips.
        memory_limit: bytes up to which the arrays of a folder are kept in memory.
        clean: table of the clips to keep, as `python -m data_tools verify --clean` writes it; of a
            published data set or a prepared folder.
        dtype: for a store, "float32" to convert float16 fields, None to keep dtypes as stored.
        verify: for a store, when a row is compared with its checksum: "once", "always" or "never".
        options: options of the published data set: `protocol`, `exclude`, `text_encoder` and its
            own, such as `events` of "avvp" or `side` of "ucf_vggsound".

    Returns:
        Batches as tuples `(dict,)` or `(dict, labels)`, or for "numpy" one dict that also has
        `labels`. The dict has float32 arrays `audio` (clips, frames, dim), `video` (clips, frames,
        height, width, channels), `text` (clips, tokens, dim) with the boolean `text_mask` (clips,
        tokens), and `image` (clips, height, width, channels), as far as the data have them.

    Raises:
        FileNotFoundError: if the folder or a file is missing.
        ValueError: if an argument or a file is wrong, or an argument does not apply to the data.

    Example:
        >>> import data_tools
        >>> path = data_tools.prepare("synthetic", "features", num_clips={"train": 5})
        >>> arrays = load(path, format="numpy", labels=True)
        >>> arrays["video"].shape, arrays["labels"].shape
        ((5, 10, 7, 7, 64), (5, 10, 11))
        >>> batches = load(path, batch_size=2, modalities=("audio",))
        >>> len(batches), batches[0][0]["audio"].shape
        (2, (2, 10, 128))
    """
    check_choice("format", format, FORMATS)
    source: ClipSource
    if Path(root, SCHEMA).is_file():
        folder_only = {
            "dataset": dataset is not None,
            "on_error": on_error != "raise",
            "memory_limit": memory_limit != MEMORY_LIMIT,
            "clean": clean is not None,
            **dict.fromkeys(options, True),
        }
        _refuse(folder_only, f"{root} is a store")
        if labels not in (False, True):
            raise ValueError(f"`labels` must be True or False for a store. Received: {labels!r}")
        split = split or ("train" if Store(root).split_names() else ALL)
        rows = None if split == ALL else split
        source = StoreSource(root, rows, modalities, bool(labels), dtype, verify)
    else:
        _refuse({"dtype": dtype != "float32", "verify": verify != "once"}, f"{root} is not a store")
        split = split or "train"
        selection = select(root, split, modalities, labels, dataset, clean, **options)
        limit = selection.num_bytes if format == "numpy" else memory_limit
        source = SelectionSource(selection, limit, on_error)
    if format == "numpy":
        arrays = source.read_all()
        add_text_mask(arrays)
        return arrays
    shuffle = split == "train" if shuffle is None else shuffle
    drop_remainder = shuffle if drop_remainder is None else drop_remainder
    reader = BatchReader(source, batch_size, seed, shuffle, drop_remainder, start_step)
    if format == "stream":
        return BatchStream(reader)
    # Keras and TensorFlow are imported on demand: reading needs neither.
    if format == "tf":
        from data_tools.loading.tf_dataset import tf_dataset

        return tf_dataset(reader)
    from data_tools.loading.pydataset import FeatureDataset

    return FeatureDataset(reader)


def _refuse(given: dict[str, bool], reason: str) -> None:
    """Raises an error if an argument was given that does not apply."""
    names = [name for name, is_given in given.items() if is_given]
    if names:
        raise ValueError(f"`{names[0]}` must be left out: {reason}")
