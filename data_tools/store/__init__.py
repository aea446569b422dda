"""Sharded feature store: float16 rows in plain `.npy` shards, with schema and checksums."""

from data_tools.loading.store_loading import load
from data_tools.loading.store_reader import StoreReader
from data_tools.store.packing import pack
from data_tools.store.schema import Field
from data_tools.store.store import Store
from data_tools.store.writer import StoreWriter

__all__ = ["Field", "Store", "StoreReader", "StoreWriter", "load", "pack"]
