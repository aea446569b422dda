"""One epoch of input at the size of a published data set, stopped and resumed in the middle."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import data_tools
from benchmarks.store import DISTINCT, SHAPE, SHARE_ACTIVE, forget
from data_tools.loading.batch_stream import BatchStream
from data_tools.store import Field, Store, StoreWriter
from data_tools.store.schema import shard_path
from recipes.protocol.resource_use import CLOCKS

BASE = 1024
"""A clip's number is kept in its first two values, as digits of this base, exact in float16."""


def run(
    clips: int = 24_515,
    batch_size: int = 80,
    dtype: str = "float16",
    folder: str | None = None,
    rounds: int = 8,
    clock: str = "wall",
) -> dict[str, Any]:
    """Writes a store of made-up clips and reads one shuffled epoch of it from the disk.

    The defaults are the sizes of VGGSound-AVEL40K: 24,515 clips of 10 x 7 x 7 x 512. The epoch is
    read in `rounds` parts, and each part takes turns with two bare reads of as many bytes: of the
    files in sequence, and of the rows of that part in their random order. All three start with
    files that the system does not hold in memory. After half of the parts the stream is closed, and
    another continues from its state.

    Args:
        clips: rows of the store.
        batch_size: rows of a batch.
        dtype: of the stored rows, `"float16"` or `"float32"`; batches have the same.
        folder: where the store is written, and deleted afterwards; a temporary folder if None.
        rounds: number of parts of the epoch.
        clock: clock of `recipes.protocol.resource_use.seconds_in_turns`.

    Returns:
        Name to number or text; rates are medians over the parts, with the lowest and highest.
        `clips_missing` and `clips_repeated` count over the stopped and resumed epoch.

    Raises:
        ValueError: if `rounds` is not between 2 and the number of batches, or the disk has too
            little space.

    Example:

    >>> results = run(clips=8, batch_size=2, rounds=2)
    >>> results["clips_missing"], results["clips_repeated"]
    (0, 0)
    """
    steps = -(-clips // batch_size)
    if not 2 <= rounds <= steps:
        raise ValueError(
            f"`rounds` must be between 2 and the number of batches, {steps}. Received: {rounds}"
        )
    field = Field(SHAPE, dtype)
    size = clips * field.num_bytes
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        free = shutil.disk_usage(temporary).free
        if free < 1.05 * size:
            raise ValueError(
                f"`folder` must be on a disk with {1.05e-9 * size:.1f} GB free. "
                f"Received: {temporary} with {1e-9 * free:.1f} GB"
            )
        root = Path(temporary, "store")
        start = time.perf_counter()
        _write(root, field, clips)
        written = time.perf_counter() - start
        return {
            "clips": clips,
            "batch_size": batch_size,
            "dtype": dtype,
            "gigabytes": size / 1e9,
            "write_clips_per_second": clips / written,
            **_epoch(root, clips, batch_size, rounds, CLOCKS[clock]),
        }


def _write(root: Path, field: Field, clips: int) -> None:
    random = np.random.default_rng(0)
    features = random.exponential(2.0, (DISTINCT, *field.shape)).astype(field.dtype)
    features *= random.random(features.shape) < SHARE_ACTIVE
    with StoreWriter(root, {"video": field}) as writer:
        for number in range(clips):
            clip = features[number % DISTINCT]
            clip.flat[:2] = divmod(number, BASE)
            writer.append(f"{number:08d}", {"video": clip})


def _epoch(
    root: Path, clips: int, batch_size: int, rounds: int, now: Callable[[], float]
) -> dict[str, Any]:
    """Reads the parts of the epoch in turns with bare reads of the same bytes."""
    files = sorted((root / "shards").rglob("*.npy"))
    for path in files:
        forget(path)

    def opened() -> BatchStream:
        return data_tools.load(
            root,
            batch_size=batch_size,
            shuffle=True,
            drop_remainder=False,
            format="stream",
            dtype=None,
        )

    stream = opened()
    order, steps = stream.reader.order(0), len(stream.reader)
    places, row_bytes = _places(root)
    bounds = np.linspace(0, steps, rounds + 1).astype(int)
    seen = np.zeros(clips, int)
    rates: dict[str, list[float]] = {"raw": [], "raw_shuffled": [], "epoch": []}
    peaks, resume = [0.0] * rounds, 0.0
    for part, (first, last) in enumerate(itertools.pairwise(bounds)):
        if part == rounds // 2:
            start = now()
            state = stream.state_dict()
            stream.reader.source.close()
            stream = opened()
            stream.load_state_dict(state)
            resume = now() - start
        rows = order[first * batch_size : last * batch_size]
        low, high = first * batch_size, min(last * batch_size, clips)

        def read_epoch(stream: BatchStream = stream, part: int = part) -> None:
            for _ in range(bounds[part], bounds[part + 1]):
                (batch,) = next(stream)
                digits = batch["video"].reshape(len(batch["video"]), -1)[:, :2]
                seen[digits.astype(int) @ (BASE, 1)] += 1
                peaks[part] = max(peaks[part], _resident_gigabytes())

        def read_raw(places: list = places[low:high]) -> None:
            _read_in_sequence(places, row_bytes)

        def read_shuffled(rows: np.ndarray = rows) -> None:
            _read_rows(places, rows, row_bytes)

        actions: dict[str, Callable[[], None]] = {
            "raw": read_raw,
            "raw_shuffled": read_shuffled,
            "epoch": read_epoch,
        }
        for name, action in actions.items():
            for path in files:
                forget(path)
            start = now()
            action()
            rates[name].append((high - low) / (now() - start))
    stream.reader.source.close()
    median = {name: statistics.median(values) for name, values in rates.items()}
    return {
        **{f"{name}_clips_per_second": rate for name, rate in median.items()},
        **{f"{name}_lowest_clips_per_second": min(values) for name, values in rates.items()},
        **{f"{name}_highest_clips_per_second": max(values) for name, values in rates.items()},
        "epoch_gigabytes_per_second": 1e-9 * row_bytes * median["epoch"],
        "epoch_seconds": clips / median["epoch"],
        "epoch_over_raw": median["epoch"] / median["raw"],
        "epoch_over_raw_shuffled": median["epoch"] / median["raw_shuffled"],
        "resume_milliseconds": 1e3 * resume,
        "clips_missing": int(np.sum(seen == 0)),
        "clips_repeated": int(np.sum(seen > 1)),
        "resident_gigabytes_in_first_part": peaks[0],
        "resident_gigabytes_in_last_part": peaks[-1],
    }


def _places(root: Path) -> tuple[list[tuple[Path, int]], int]:
    """File and offset of each row, and the bytes of a row."""
    store = Store(root)
    row_bytes = store.fields["video"].num_bytes
    places = []
    for shard, known in enumerate(store.schema["shards"]):
        path = shard_path(root, shard) / "video.npy"
        header = path.stat().st_size - known["rows"] * row_bytes
        places += [(path, header + row * row_bytes) for row in range(known["rows"])]
    return places, row_bytes


def _read_in_sequence(places: list[tuple[Path, int]], row_bytes: int) -> None:
    """Reads rows that follow one another, through a buffer of 1 MB."""
    buffer = memoryview(bytearray(2**20))
    for path, rows in itertools.groupby(places, lambda place: place[0]):
        offsets = [offset for _, offset in rows]
        left = offsets[-1] + row_bytes - offsets[0]
        with path.open("rb", buffering=0) as stream:
            stream.seek(offsets[0])
            while left > 0:
                left -= stream.readinto(buffer[:left])


def _read_rows(places: list[tuple[Path, int]], rows: np.ndarray, row_bytes: int) -> None:
    """Reads rows in a given order, each into the same memory."""
    buffer = memoryview(bytearray(row_bytes))
    with contextlib.ExitStack() as stack:
        paths = dict.fromkeys(path for path, _ in places)
        streams = {path: stack.enter_context(path.open("rb", buffering=0)) for path in paths}
        for row in rows:
            path, offset = places[row]
            streams[path].seek(offset)
            left = row_bytes
            while left > 0:
                left -= streams[path].readinto(buffer[row_bytes - left :])


def _resident_gigabytes() -> float:
    """Memory of this process, shared memory of batches included; 0 on systems without /proc."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return 0.0
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e9
