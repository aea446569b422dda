"""A sharded feature store: float16 rows in plain `.npy` shards, with a schema and checksums."""

from data_tools.store.packing import pack
from data_tools.store.schema import Field
from data_tools.store.store import Store
from data_tools.store.writer import StoreWriter

__all__ = ["Field", "Store", "StoreWriter", "pack"]
