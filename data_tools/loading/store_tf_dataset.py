"""A store as a `tf.data.Dataset`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from data_tools.loading.store_reader import StoreReader


def store_dataset(reader: StoreReader) -> Any:
    """Batches of a reader; a pass over the result goes on where the last whole pass ended.

    Args:
        reader: where the batches come from.

    Returns:
        A `tf.data.Dataset` of known length, with the batch axis fixed where batches are full.

    Raises:
        ImportError: TensorFlow is not installed.
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
        # Keras also begins passes that it does not end, to build a model.
        passes = begun + 1

    signature = tf.nest.map_structure(spec, reader.step(reader.start_step))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=signature)
    length = tf.data.experimental.assert_cardinality(len(reader))
    return dataset.apply(length).prefetch(2)
