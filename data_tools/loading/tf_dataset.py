"""Batches as a `tf.data.Dataset`."""

from __future__ import annotations

import itertools
from typing import Any

from data_tools.loading.load import BatchReader


def feature_dataset(reader: BatchReader) -> Any:
    """Batches of a reader; each pass over the result is the next epoch.

    Args:
        reader: where the batches come from.

    Returns:
        A `tf.data.Dataset` of known length, with the batch axis fixed where batches are full.

    Raises:
        ImportError: TensorFlow is not installed.
    """
    import tensorflow as tf

    epochs = itertools.count()
    num_rows = reader.batch_size if reader.drop_remainder else None

    def spec(array: Any) -> Any:
        return tf.TensorSpec((num_rows, *array.shape[1:]), array.dtype)

    signature = tf.nest.map_structure(spec, reader.batch(0, 0))
    dataset = tf.data.Dataset.from_generator(
        lambda: reader.epoch(next(epochs)), output_signature=signature
    )
    length = tf.data.experimental.assert_cardinality(len(reader))
    return dataset.apply(length).prefetch(tf.data.AUTOTUNE)
