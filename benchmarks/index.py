"""A million clips filed under their codes: building, memory, speed, and recall by brute force."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from keras_cmg.search import CodeIndex
from keras_cmg.search.engine import faiss
from recipes.protocol.resource_use import PeakMemory, anonymous_bytes, seconds_in_turns

BLOCK = 2**16
FOUND = 10
VISITED = (1, 4, 16, 64)
INTRINSIC = 16
"""Directions in which codes and clips really differ. In more, no two clips would be neighbours,
and any search found all there is to find."""
SPREAD = 0.7
"""Standard deviation of a clip around its code in each of them; that of codes is one."""


def run(
    clips: int = 1_000_000,
    codes: int = 1024,
    channels: int = 256,
    queries: int = 1000,
    storage: str = "float32",
    rounds: int = 3,
    clock: str = "wall",
) -> dict[str, Any]:
    """Builds an index of synthetic clips and asks it.

    Clips lie around codes that are drawn at random, some codes far more often than others
    (Zipf's law with exponent 1/2), and queries around clips, as another modality's would.

    Args:
        clips: how many.
        codes: how many, the size of the codebook.
        channels: length of a feature vector.
        queries: how many are asked at once.
        storage: of `CodeIndex`.
        rounds: how often each search is timed.
        clock: see `seconds_in_turns`.

    Returns:
        Name to number. Recall: share of the ten nearest clips by brute force that were found.

    Example:

    >>> results = run(clips=2000, codes=16, channels=8, queries=20, rounds=1)
    >>> results["recall_16_codes"]
    1.0
    """
    random = np.random.default_rng(0)
    directions = random.standard_normal((INTRINSIC, channels), "float32") / np.sqrt(INTRINSIC)
    centres = random.standard_normal((codes, INTRINSIC), "float32")
    codebook = centres @ directions
    popularity = 1 / np.sqrt(np.arange(1, codes + 1))
    drawn = random.choice(codes, size=clips, p=popularity / popularity.sum())
    vectors = np.empty((clips, channels), "float32")
    for start in range(0, clips, BLOCK):
        block = slice(start, start + BLOCK)
        noise = random.standard_normal((len(drawn[block]), INTRINSIC), "float32")
        vectors[block] = (centres[drawn[block]] + SPREAD * noise) @ directions
    asked = random.choice(clips, size=queries, replace=False)
    noise = random.standard_normal((queries, INTRINSIC), "float32")
    query = vectors[asked] + SPREAD * noise @ directions

    before, start_time = anonymous_bytes(), time.perf_counter()
    with PeakMemory() as memory:
        index = CodeIndex(codebook, storage)
        for start in range(0, clips, BLOCK):
            ids = np.arange(start, min(start + BLOCK, clips))
            index.add(ids, vectors[start : start + BLOCK])
    build = time.perf_counter() - start_time
    held = (anonymous_bytes() - before) / 1e9
    exact = faiss().knn(query, vectors, FOUND)[1]
    visits = [number for number in VISITED if number <= codes]
    actions: dict[str, Any] = {
        f"{number}_codes": lambda number=number: index.search(query, FOUND, number)
        for number in visits
    }
    actions["brute_force"] = lambda: faiss().knn(query, vectors, FOUND)
    times = seconds_in_turns(actions, rounds, clock=clock)
    results: dict[str, Any] = {
        "clips": clips,
        "codes": codes,
        "channels": channels,
        "storage": storage,
        "build_seconds": build,
        "clips_per_second": clips / build,
        "index_gigabytes": held,
        "build_peak_gigabytes": memory.gigabytes,
        "brute_force_queries_per_second": queries / times["brute_force"],
    }
    for number in visits:
        ids = index.search(query, FOUND, number)["ids"]
        hits = [len(set(a) & set(b)) for a, b in zip(ids.tolist(), exact.tolist(), strict=True)]
        results[f"recall_{number}_codes"] = sum(hits) / (FOUND * queries)
        results[f"queries_per_second_{number}_codes"] = queries / times[f"{number}_codes"]
    one = query[:1]
    actions = {
        f"{number}_codes": lambda number=number: index.search(one, FOUND, number)
        for number in visits
    }
    actions["brute_force"] = lambda: faiss().knn(one, vectors, FOUND)
    for name, seconds in seconds_in_turns(actions, 20, 3, clock).items():
        results[f"one_query_milliseconds_{name}"] = 1e3 * seconds
    return {**results, **_upkeep(index, clips)}


def _upkeep(index: CodeIndex, clips: int) -> dict[str, float]:
    """Seconds to save, load and thin an index, and its size on disk."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        start = time.perf_counter()
        index.save(path)
        saved = time.perf_counter()
        CodeIndex.load(path)
        loaded = time.perf_counter()
        size = sum(file.stat().st_size for file in path.iterdir())
    removal = time.perf_counter()
    index.remove(np.arange(0, clips, 100))
    return {
        "save_seconds": saved - start,
        "load_seconds": loaded - saved,
        "disk_gigabytes": size / 1e9,
        "remove_one_percent_seconds": time.perf_counter() - removal,
    }
