"""Answers of the service from a million clips: the part of a request that searches."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import keras_cmg
from keras_cmg.search import EncodedClips
from keras_cmg.search.engine import faiss
from recipes.protocol.resource_use import CLOCKS
from recipes.serving.clip_search import ClipSearch, Query

BLOCK = 2**16
MODALITIES = ("audio", "video")
LABELS = 100
SPREAD = 0.5
"""Length of the difference of a clip from its code, as a share of the code's length."""


def run(
    clips: int = 1_000_000,
    codes: int = 64,
    channels: int = 256,
    queries: int = 200,
    found: int = 10,
    storage: str = "float32",
    rounds: int = 3,
    clock: str = "wall",
) -> dict[str, Any]:
    """Builds an index of synthetic sounds and pictures, and answers queries one by one.

    Clips lie around codes of different lengths, some codes far more often used than others (Zipf's
    law with exponent 1).

    Args:
        clips: clips of each of two modalities.
        codes: number of codes.
        channels: length of a vector.
        queries: number of queries.
        found: clips to find of each modality.
        storage: storage of `keras_cmg.search.ClipIndex`.
        rounds: times each query is answered.
        clock: clock of `recipes.protocol.resource_use.seconds_in_turns`; "processor" counts the
            seconds of all threads.

    Returns:
        Name to number or text: milliseconds of an answer with clips of both modalities, examples of
        the code and labels; recall, the share of the nearest clips by brute force that are found.

    Raises:
        ValueError: if the clock is unknown.

    Example:

    >>> results = run(clips=2000, codes=16, channels=8, queries=5)
    >>> results["recall"]
    1.0
    """
    if clock not in CLOCKS:
        raise ValueError(f"`clock` must be one of {sorted(CLOCKS)}. Received: {clock!r}")
    now = CLOCKS[clock]
    random = np.random.default_rng(0)
    backbone = keras_cmg.models.SequenceBackbone(
        MODALITIES, num_embeddings=codes, embedding_dim=channels
    )
    backbone.build(dict.fromkeys(MODALITIES, (None, None, 8)))
    codebook = random.standard_normal((codes, channels), "float32")
    codebook *= random.uniform(0.5, 3, (codes, 1)).astype("float32") / np.sqrt(channels)
    popularity = 1 / np.arange(1, codes + 1)
    popularity /= popularity.sum()

    def drawn(count: int) -> tuple[np.ndarray, np.ndarray]:
        own = random.choice(codes, size=count, p=popularity)
        noise = random.standard_normal((count, channels), "float32") / np.sqrt(channels)
        lengths = np.linalg.norm(codebook[own], axis=1, keepdims=True)
        return codebook[own] + SPREAD * lengths * noise, own

    start = time.perf_counter()
    index = keras_cmg.search.ClipIndex(codebook, storage)
    compared: dict[str, list[np.ndarray]] = {name: [] for name in MODALITIES}
    for modality in MODALITIES:
        for first in range(0, clips, BLOCK):
            numbers = range(first, min(first + BLOCK, clips))
            names = tuple(f"{modality}/{number}" for number in numbers)
            vectors, own = drawn(len(names))
            index.add(
                EncodedClips(names, vectors, own, np.zeros((0,), "float32"), modality),
                labels=[f"label {code % LABELS}" for code in own.tolist()],
            )
            norms = np.linalg.norm(vectors, axis=1, keepdims=True)
            compared[modality].append((vectors / norms).astype("float16"))
    build = time.perf_counter() - start
    start = time.perf_counter()
    search = ClipSearch(keras_cmg.CrossModalEncoder(backbone), index, lambda *given: [])
    opened = time.perf_counter() - start
    vectors, own = drawn(queries)
    times, answers = [], []
    for number in [*range(queries)] * rounds:
        query = Query(str(number), "audio", text="query")
        start = now()
        answers.append(search.answer(query, vectors[number], own[number], MODALITIES, found))
        times.append(1e3 * (now() - start))
    search.close()
    names = tuple(map(str, range(queries)))
    encoded = EncodedClips(names, vectors, own, np.zeros((0,), "float32"), "audio")
    # Clips of other modalities are searched by expanded queries.
    compared_by = {name: index.expand(encoded).vectors for name in MODALITIES}
    compared_by["audio"] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    shares = []
    for modality, blocks in compared.items():
        exact = _nearest(compared_by[modality], blocks, found)
        for answer, wanted in zip(answers[:queries], exact, strict=True):
            hits = {hit["name"] for hit in answer["found"][modality]}
            shares.append(len(hits & {f"{modality}/{row}" for row in wanted}) / len(wanted))
    return {
        "clips_of_each_modality": clips,
        "codes": codes,
        "channels": channels,
        "storage": storage,
        "build_seconds": build,
        "open_seconds": opened,
        "answer_milliseconds_median": float(np.median(times)),
        "answer_milliseconds_99_percent": float(np.percentile(times, 99)),
        "answer_milliseconds_longest": max(times),
        "recall": float(np.mean(shares)),
    }


def _nearest(units: np.ndarray, blocks: list[np.ndarray], count: int) -> list[list[int]]:
    """Rows with the largest cosine similarity, by brute force, block by block."""
    best, start = [], 0
    for block in blocks:
        scores, rows = faiss().knn(units, block.astype("float32"), min(count, len(block)))
        best.append((scores, rows + start))
        start += len(block)
    distances = np.concatenate([each[0] for each in best], axis=1)
    rows = np.concatenate([each[1] for each in best], axis=1)
    order = np.argsort(distances, axis=1)[:, :count]
    return np.take_along_axis(rows, order, axis=1).tolist()
