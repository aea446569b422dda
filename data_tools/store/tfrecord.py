"""Exports a store as TFRecord files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.io.files import atomic_folder
from data_tools.store.schema import Field
from data_tools.store.store import Store


def export_tfrecord(root: str | os.PathLike[str], out: str | os.PathLike[str]) -> Path:
    """Writes one TFRecord file per shard: each record an `Example` of raw bytes by field, and `id`.

    Args:
        root: the store.
        out: folder to write; it is written atomically.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if `root` is not a finished store.
        ValueError: if a row is damaged, or `out` exists.
        ImportError: if TensorFlow is not installed.
    """
    import tensorflow as tf

    if Path(out).exists():
        raise ValueError(f"`out` must be a new folder; {out} exists")
    store = Store(root)
    row = 0
    with atomic_folder(out) as folder:
        for number, shard in enumerate(store.schema["shards"]):
            with tf.io.TFRecordWriter(str(folder / f"{number:05d}.tfrecord")) as writer:
                for _ in range(shard["rows"]):
                    values = {name: store.read(name, [row]).tobytes() for name in store.fields} | {
                        "id": str(store.clip(row)["id"]).encode()
                    }
                    features = {
                        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                        for name, value in values.items()
                    }
                    record = tf.train.Example(features=tf.train.Features(feature=features))
                    writer.write(record.SerializeToString())
                    row += 1
    store.close()
    return Path(out)


def parse_examples(records: Any, fields: dict[str, Field]) -> dict[str, Any]:
    """Parses a batch of such records; to be mapped over a batched `tf.data.TFRecordDataset`.

    Args:
        records: (batch,) string tensor.
        fields: those of the store.

    Returns:
        Name to tensor (batch, ...), and `id` (batch,).

    Raises:
        ImportError: if TensorFlow is not installed.
    """
    import tensorflow as tf

    text = tf.io.FixedLenFeature([], tf.string)
    parsed = tf.io.parse_example(records, dict.fromkeys([*fields, "id"], text))
    result = {
        name: tf.reshape(tf.io.decode_raw(parsed[name], np.dtype(field.dtype)), (-1, *field.shape))
        for name, field in fields.items()
    }
    return {**result, "id": parsed["id"]}
