"""A store as batches for training, on every engine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from data_tools.io.arguments import check_choice
from data_tools.loading.store_reader import BatchStream, StoreReader

FORMATS = ("pydataset", "tf", "stream")


def load(
    root: str | os.PathLike[str],
    split: str | None = None,
    modalities: Sequence[str] | None = None,
    batch_size: int = 80,
    seed: int = 0,
    shuffle: bool = False,
    format: str = "pydataset",
    drop_remainder: bool | None = None,
    labels: bool = False,
    dtype: str | None = "float32",
    start_step: int = 0,
    verify: str = "once",
) -> Any:
    """Loads a store as batches.

    Args:
        root: the store.
        split: split of the rows to read; all rows if None.
        modalities: fields that a batch has; all but the labels if None. The others are not read.
        batch_size: rows per batch.
        seed: of the shuffling; the order is fixed by seed and epoch.
        shuffle: a new order every epoch.
        format: "pydataset" for a `keras.utils.PyDataset`, "tf" for a `tf.data.Dataset`, "stream"
            for an endless iterator with `state_dict` and `load_state_dict`.
        drop_remainder: leave out a last batch that is not full; by default as `shuffle`.
        labels: whether each batch comes with its labels.
        dtype: "float32" to widen what is stored as float16; None leaves all as it is stored, which
            is the fastest.
        start_step: step with which to begin; for a model that resumes,
            `int(model.optimizer.iterations)`.
        verify: "once", "always" or "never": when a row is compared with its checksum.

    Returns:
        Batches: tuples `(dict,)` or `(dict, labels)`.

    Raises:
        FileNotFoundError: the folder is no finished store.
        ValueError: an argument or a file is wrong.

    Example:
        >>> import numpy as np
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((10, 128))}) as writer:
        ...     for number in range(5):
        ...         writer.append(f"clip{number}", {"audio": np.zeros((10, 128))})
        >>> dataset = load("store", batch_size=2)
        >>> len(dataset), dataset[0][0]["audio"].shape
        (3, (2, 10, 128))
    """
    check_choice("format", format, FORMATS)
    reader = StoreReader(
        root,
        split,
        modalities,
        batch_size,
        seed,
        shuffle,
        shuffle if drop_remainder is None else drop_remainder,
        labels,
        dtype,
        start_step,
        verify,
    )
    if format == "stream":
        return BatchStream(reader)
    if format == "tf":
        from data_tools.loading.store_tf_dataset import store_dataset

        return store_dataset(reader)
    from data_tools.loading.store_pydataset import StoreDataset

    return StoreDataset(reader)
