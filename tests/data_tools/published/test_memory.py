"""Reading a set that is larger than its buffers takes the same memory in every epoch."""

from __future__ import annotations

import gc
import pickle
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_tools
from tests.helpers.hostile_files import write_zip
from tests.helpers.published_layouts import write_table

NUM_CLIPS, BATCH, EPOCHS = 120, 10, 5
SHAPE = (10, 7, 7, 128)
CLIP = 4 * int(np.prod(SHAPE))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("large")
    (root / "video").mkdir()
    rng = np.random.default_rng(0)
    for number in range(NUM_CLIPS):
        content = pickle.dumps(rng.normal(size=SHAPE).astype(np.float32))
        write_zip(root / "video" / f"{number}.zip", content, method=zipfile.ZIP_STORED)
    write_table(root / "flickr.csv", [("filename",), *((n,) for n in range(NUM_CLIPS))])
    return root


def batches(root: Path, format: str) -> Any:
    return data_tools.load(
        root,
        "test",
        ("video",),
        BATCH,
        dataset="flickrsound",
        protocol="reference",
        shuffle=True,
        format=format,
        memory_limit=0,
    )


def resident() -> int:
    """Bytes of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def epochs(root: Path, format: str) -> Iterator[Callable[[], int]]:
    """For each epoch, what reads all of it and counts its clips."""
    dataset = batches(root, format)

    def read() -> int:
        if format == "tf":
            return sum(len(batch["video"]) for (batch,) in dataset)
        count = sum(len(dataset[index][0]["video"]) for index in range(len(dataset)))
        dataset.on_epoch_end()
        return count

    return (read for _ in range(EPOCHS))


def test_batches_are_let_go(large: Path) -> None:
    peaks = []
    tracemalloc.start()
    try:
        for read in epochs(large, "pydataset"):
            tracemalloc.reset_peak()
            assert read() == NUM_CLIPS
            peaks.append(tracemalloc.get_traced_memory()[0:2])
    finally:
        tracemalloc.stop()
    for held, peak in peaks:
        # A batch as clips and as an array, a clip as it is read, and little besides.
        assert peak < (2 * BATCH + 6) * CLIP
        assert held < 3 * BATCH * CLIP
    assert max(peak for _, peak in peaks) < 1.05 * peaks[0][1]
    assert (2 * BATCH + 6) * CLIP < NUM_CLIPS * CLIP / 4


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("format", ["pydataset", "tf"])
def test_the_process_does_not_grow(large: Path, format: str) -> None:
    if format == "tf":
        pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    sizes = []
    for read in epochs(large, format):
        assert read() == NUM_CLIPS
        gc.collect()
        sizes.append(resident())
    # The first epochs fill buffers; a leak of each batch would show as the whole set per epoch.
    assert max(sizes[2:]) - sizes[1] < 0.2 * NUM_CLIPS * CLIP, sizes
