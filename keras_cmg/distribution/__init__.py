"""Data-parallel training over several devices and processes."""

from keras_cmg.distribution.array_batches import ArrayBatches
from keras_cmg.distribution.distribute import distribute
from keras_cmg.distribution.distribution import Distribution
from keras_cmg.distribution.process_shard import ProcessShard

__all__ = ["ArrayBatches", "Distribution", "ProcessShard", "distribute"]
