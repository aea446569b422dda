"""The store against zips of pickles read one by one, and against one bare read of its bytes."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import os
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.loading import BatchReader, StoreSource
from data_tools.store import Field, StoreWriter
from recipes.protocol.resource_use import PeakMemory, seconds_in_turns

SHAPE = (10, 7, 7, 512)
"""A clip of the published video features."""
DISTINCT = 16
SHARE_ACTIVE = 0.25
"""Share of a pooled map of VGG19 that is not zero, about; it decides how well a zip packs."""


def run(
    clips: int = 400,
    batch_size: int = 40,
    naive_clips: int = 40,
    rounds: int = 5,
    clock: str = "wall",
) -> dict[str, Any]:
    """Times reading of published video features, from the page cache and from the disk.

    The zips hold what the published ones do: a pickled float32 array each. They are read as the
    published code reads them. The bare reads are of the store's own bytes: through a buffer of 1
    MB that stays in the processor's cache, and into memory that holds a whole batch.

    Args:
        clips: rows of the store.
        batch_size: rows of a batch.
        naive_clips: zips that are read, fewer, since they are slow.
        rounds: number of times each is timed.
        clock: clock of `recipes.protocol.resource_use.seconds_in_turns`.

    Returns:
        Name to number or text.

    Example:

    >>> run(clips=4, batch_size=2, naive_clips=2, rounds=1)["store_over_naive"] > 0
    True
    """
    random = np.random.default_rng(0)
    features = random.exponential(2.0, (DISTINCT, *SHAPE)).astype("float32")
    features *= random.random(features.shape) < SHARE_ACTIVE
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        with StoreWriter(root / "store", {"video": Field(SHAPE)}) as writer:
            for number in range(clips):
                writer.append(f"{number:05d}", {"video": features[number % DISTINCT]})
        zips = [root / f"{number:05d}.zip" for number in range(naive_clips)]
        for number, path in enumerate(zips):
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{path.stem}.pkl", pickle.dumps(features[number % DISTINCT]))
        files = sorted((root / "store").rglob("*.npy"))
        size = sum(path.stat().st_size for path in files)
        row_bytes = size // clips

        def naive() -> None:
            for path in zips:
                with zipfile.ZipFile(path) as archive:
                    content = archive.read(archive.namelist()[0])
                pickle.load(io.BytesIO(content))  # noqa: S301 - made above

        def raw(block: int) -> Callable[[], None]:
            buffer = bytearray(block)

            def read() -> None:
                for path in files:
                    with path.open("rb", buffering=0) as stream:
                        while stream.readinto(buffer):
                            pass

            return read

        def store(shuffle: bool = False, **options: Any) -> Callable[[], None]:
            source = StoreSource(root / "store", **options)
            reader = BatchReader(source, batch_size, shuffle=shuffle)

            def read() -> None:
                for _ in reader.epoch(0):
                    pass

            return read

        half: dict[str, Any] = {"dtype": None}
        actions = {
            "naive": naive,
            "raw": raw(2**20),
            "raw_kept": raw(batch_size * row_bytes),
            "store": store(**half),
            "store_shuffled": store(shuffle=True, **half),
            "store_always_verified": store(verify="always", **half),
            "store_float32": store(shuffle=True),
        }
        with _tfrecord(root / "clips.tfrecord", features, clips, batch_size) as tfrecord:
            actions |= {"tfrecord": tfrecord} if tfrecord else {}
            array_record = _array_record(root / "clips.array_record", features, clips, batch_size)
            actions |= {"array_record": array_record} if array_record else {}
            times = seconds_in_turns(actions, rounds, clock=clock)

        def cold(action: Callable[[], None]) -> Callable[[], None]:
            def read() -> None:
                for path in files:
                    forget(path)
                action()

            return read

        names = ("raw", "store")
        cold_actions = {name: cold(actions[name]) for name in names}
        cold_times = seconds_in_turns(cold_actions, rounds, clock=clock)
        epochs = BatchReader(StoreSource(root / "store", **half), batch_size, shuffle=True)
        for _ in epochs.epoch(0):
            pass
        with PeakMemory() as memory:
            for epoch in range(5):
                for _ in epochs.epoch(epoch):
                    pass
    counts = {name: naive_clips if name == "naive" else clips for name in times}
    rates = {name: counts[name] / seconds for name, seconds in times.items()}
    cold_rates = {name: clips / seconds for name, seconds in cold_times.items()}
    return {
        "clips": clips,
        "megabytes": size / 1e6,
        **{f"{name}_clips_per_second": rate for name, rate in rates.items()},
        **{f"{name}_from_disk_clips_per_second": rate for name, rate in cold_rates.items()},
        "store_over_naive": rates["store_shuffled"] / rates["naive"],
        "store_float32_over_naive": rates["store_float32"] / rates["naive"],
        "store_over_raw": rates["store"] / rates["raw"],
        "store_over_raw_kept": rates["store"] / rates["raw_kept"],
        "store_over_raw_from_disk": cold_rates["store"] / cold_rates["raw"],
        **(
            {"store_over_tfrecord": rates["store"] / rates["tfrecord"]}
            if "tfrecord" in rates
            else {}
        ),
        **(
            {"store_over_array_record": rates["store_shuffled"] / rates["array_record"]}
            if "array_record" in rates
            else {}
        ),
        "gigabytes_grown_in_five_epochs": memory.gigabytes,
    }


def forget(path: Path) -> None:
    """Writes a file to the disk and drops it from the page cache, on systems that can.

    Args:
        path: of the file.

    Example:

    >>> Path("clip").write_bytes(b"a")
    1
    >>> forget(Path("clip"))
    """
    if hasattr(os, "posix_fadvise"):
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextlib.contextmanager
def _tfrecord(path: Path, features: np.ndarray, clips: int, batch_size: int) -> Any:
    """Reader of the same rows as TFRecord through `tf.data`, None without TensorFlow."""
    if importlib.util.find_spec("tensorflow") is None:
        yield None
        return
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for number in range(clips):
            content = features[number % DISTINCT].astype("<f2").tobytes()
            value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
            record = tf.train.Example(features=tf.train.Features(feature={"video": value}))
            writer.write(record.SerializeToString())

    def parse(records: Any) -> Any:
        parsed = tf.io.parse_example(records, {"video": tf.io.FixedLenFeature([], tf.string)})
        return tf.reshape(tf.io.decode_raw(parsed["video"], tf.float16), (-1, *SHAPE))

    dataset = tf.data.TFRecordDataset(str(path)).batch(batch_size).map(parse).prefetch(2)

    def read() -> None:
        for _ in dataset:
            pass

    yield read


def _array_record(
    path: Path, features: np.ndarray, clips: int, batch_size: int
) -> Callable[[], None] | None:
    """Reader of the same rows in random batches from an ArrayRecord file, as Grain reads them.

    The settings are the fastest for this: one row per group, uncompressed, and all rows of a batch
    in one request. None if the package `array-record` is not installed.
    """
    if importlib.util.find_spec("array_record") is None:
        return None
    from array_record.python.array_record_data_source import ArrayRecordDataSource
    from array_record.python.array_record_module import ArrayRecordWriter

    writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
    for number in range(clips):
        writer.write(features[number % DISTINCT].astype("<f2").tobytes())
    writer.close()
    source = ArrayRecordDataSource(str(path))
    order = np.random.default_rng(0).permutation(clips)

    def read() -> None:
        for start in range(0, clips, batch_size):
            rows = source.__getitems__(order[start : start + batch_size].tolist())
            np.stack([np.frombuffer(row, "<f2").reshape(SHAPE) for row in rows])

    return read
