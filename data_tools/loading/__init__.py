"""Batches for training, from prepared folders, published data sets and stores.

A `ClipSource` reads arrays of clips by position; `BatchReader` divides them into batches in an
order that seed and epoch determine; `FeatureDataset`, `tf_dataset` and `BatchStream` offer these
batches to Keras, to `tf.data` and to custom loops. `load` does all of it.
"""

from data_tools.loading.batch_reader import BatchReader
from data_tools.loading.batch_stream import BatchStream
from data_tools.loading.clip_source import ClipSource
from data_tools.loading.selection_source import SelectionSource
from data_tools.loading.store_source import StoreSource

__all__ = ["BatchReader", "BatchStream", "ClipSource", "SelectionSource", "StoreSource"]
