"""Batches as a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_tools.loading.batch_reader import BatchReader


def tf_dataset(reader: BatchReader) -> Any:
    """Makes a `tf.data.Dataset` of the batches of a reader.

    Each iteration over it is a pass of the reader. The next pass begins once an iteration has
    ended: iterations that are abandoned, as Keras does to build a model, do not count.

    Args:
        reader: reader of the batches.

    Returns:
        A `tf.data.Dataset` of known length, with a static batch axis if all batches are full.

    Raises:
        ImportError: if TensorFlow is not installed.
    """
    import tensorflow as tf

    num_rows = reader.batch_size if reader.drop_remainder else None
    passes = 0

    def spec(array: Any) -> Any:
        return tf.TensorSpec((num_rows, *array.shape[1:]), array.dtype)

    def batches() -> Iterator[tuple[Any, ...]]:
        nonlocal passes
        begun = passes
        yield from reader.epoch(begun)
        passes = begun + 1

    signature = tf.nest.map_structure(spec, reader.batch(0, 0))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    length = tf.data.experimental.assert_cardinality(len(reader))
    return dataset.apply(length).prefetch(2)
