"""Searches indexed clips by files and words, and says which codes they share."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

import keras_cmg
from keras_cmg.faults import shorten
from keras_cmg.search import ClipIndex, EncodedClips
from keras_cmg.search.hit import IndexedClip
from recipes.protocol.code_use import codebook_array
from recipes.serving.batching import Batcher
from recipes.serving.code_statistics import code_positions, sharing
from recipes.serving.limits import Limits, RefusedRequest
from recipes.serving.media import MediaFiles, media_kind
from recipes.serving.metrics import Metrics

Extract = Callable[[str, Sequence[str], Sequence[str]], Sequence[np.ndarray | str]]
"""Computes features of files and texts of a modality, or the reason why one has none."""
MAX_WORDS = 300
"""Most characters of a text that are repeated."""
SAME_CODE = 12
"""Clips of each modality that are listed for a code."""


@dataclasses.dataclass(frozen=True)
class Query:
    """A file or words to search by.

    Args:
        name: str, name that the answer repeats.
        modality: str, modality as which it is encoded.
        file: path of the file; None for words.
        text: str, the words.
    """

    name: str
    modality: str
    file: Path | None = None
    text: str = ""


class ClipSearch:
    """Answers queries from an index of clips; any thread may call it.

    Args:
        encoder: a `keras_cmg.CrossModalEncoder`.
        index: a `keras_cmg.search.ClipIndex` of clips that it encoded.
        extract: function of a modality, files and texts that returns the features of each, or the
            reason why it has none.
        limits: limits of requests.
        metrics: where times and batches are counted.
        media: reads the files that the index names.
    """

    def __init__(
        self,
        encoder: keras_cmg.CrossModalEncoder,
        index: ClipIndex,
        extract: Extract,
        limits: Limits | None = None,
        metrics: Metrics | None = None,
        media: MediaFiles | None = None,
    ) -> None:
        self.encoder = encoder
        self.index = index
        self.extract = extract
        self.limits = limits or Limits()
        self.metrics = metrics or Metrics()
        self.media = media or MediaFiles()
        self.modalities = index.modalities
        self.clips = {name: index.clips(name) for name in self.modalities}
        codebook = codebook_array(encoder.backbone)
        self.num_codes = len(codebook)
        self._tables = encoder.backbone.code_tables()
        self.counts = {name: self._count(name) for name in self.modalities}
        self.sharing = sharing(self.counts)
        self.kinds: list[str] = self.sharing.pop("kinds")
        self.positions = code_positions(codebook, np.sum([*self.counts.values()], axis=0))
        self._positions = {
            name: {clip.name: place for place, clip in enumerate(clips)}
            for name, clips in self.clips.items()
        }
        for name, clips in self.clips.items():
            self.metrics.clips.labels(name).set(len(clips))
        self._examples = {name: self._examples_of(name) for name in self.modalities}
        # Modalities whose queries are expanded: clips of the same class are wanted.
        self.expanded = {name for name in self.modalities if index.is_labelled(name)}
        # FAISS keeps the number of lists to visit in the index.
        self._searching = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0
        self._open = True
        self._encode = Batcher(self._encoded, on_batch=self.metrics.batch_size.observe)

    @property
    def ready(self) -> bool:
        """Whether another search would be answered now."""
        return self._open and self._waiting < self.limits.waiting

    def warm_up(self) -> None:
        """Encodes a clip of each modality: the first request need not wait for compilers."""
        for modality in self.encoder.modalities:
            shape = self.encoder.backbone.feature_shapes[modality][1:]
            row = np.ones([size or 1 for size in shape], "float32")
            self._encode((modality, row.shape), [row])

    def close(self) -> None:
        """Ends the thread that encodes."""
        self._open = False
        self._encode.close()

    def search(
        self, queries: Sequence[Query], find: Sequence[str] = (), k: int = 10
    ) -> list[dict[str, Any]]:
        """Finds the clips of each modality that are nearest to each query.

        Args:
            queries: files and words.
            find: modalities to find; all of the index if empty.
            k: clips to find of each modality.

        Returns:
            For each query a dict, in types of JSON: `query`, `modality`, `codes`; `code`, as
            `code_use` returns it, and its `margin`, how much nearer the query's code is than the
            next one, from 0 (equally near) to 1; `found`, modality to the clips found, nearest
            first; `labels`, modality to the commonest `label` among them and its `share`.
            Of several codes of a query, `code` is the one of the largest margin.

        Raises:
            RefusedRequest: if a number or a name is wrong (422), a file cannot be decoded (422), or
                too many requests wait (429).
        """
        self._check(queries, find, k)
        with self._counted():
            features = self._features(queries)
            return [
                self.answer(query, *row, find or self.modalities, k)
                for query, row in zip(queries, self._codes(queries, features), strict=True)
            ]

    def answer(
        self, query: Query, vector: np.ndarray, index: np.ndarray, find: Sequence[str], k: int
    ) -> dict[str, Any]:
        """Finds the clips that are nearest to an encoded query.

        Args:
            query: the query.
            vector: (dim,) float, its vector.
            index: int, its code, or (*index_shape) of a quantiser of several indices.
            find: modalities to find.
            k: clips to find of each modality.

        Returns:
            As `search` for one query.
        """
        none = np.zeros((1, 0, 0), "float32")
        encoded = EncodedClips((query.name,), vector[None], index[None], none, query.modality)
        start = time.perf_counter()
        found, labels = {}, {}
        expanded = encoded
        if query.modality in self.expanded:
            with self._searching:
                expanded = self.index.expand(encoded)
        for modality in find:
            with self._searching:
                # Among clips of its own modality, the nearest to the query itself are wanted.
                own = modality == query.modality
                (hits,) = self.index.search(encoded if own else expanded, modality, k)
            found[modality] = [
                {
                    **self._described(hit),
                    "score": round(hit.score, 4),
                    "shared_codes": list(hit.shared_codes),
                }
                for hit in hits
            ]
            named = Counter(hit.label for hit in hits if hit.label)
            if named:
                label, count = named.most_common(1)[0]
                labels[modality] = {"label": label, "share": count / len(hits)}
        self._timed("index", start)
        (codes,) = self.index.codes_of(encoded)
        margins = self._margins(vector, codes)
        surest = int(np.argmax(margins))
        return {
            "query": query.name,
            "modality": query.modality,
            "codes": list(codes),
            "code": {**self.code_use(codes[surest]), "margin": round(margins[surest], 4)},
            "found": found,
            "labels": labels,
        }

    def code_use(self, code: int) -> dict[str, Any]:
        """Describes which clips have a code.

        Args:
            code: number of the code, as in `keras_cmg.search.IndexedClip`.

        Returns:
            Dict of `code`; `clips`, modality to the number of clips; `kind`, "shared", "partial",
            "specific" or "unused", as `keras_cmg.ops.code_activation` defines it; `examples`,
            modality to some of the clips.

        Raises:
            RefusedRequest: if there is no such code (404).
        """
        if not 0 <= code < len(self.kinds):
            raise RefusedRequest(404, f"code must be from 0 to {len(self.kinds) - 1}")
        examples = {
            name: [self._described(clip) for clip in of_code.get(code, ())]
            for name, of_code in self._examples.items()
        }
        return {
            "code": code,
            "clips": {name: int(counts[code]) for name, counts in self.counts.items()},
            "kind": self.kinds[code],
            "examples": examples,
        }

    def summary(self) -> dict[str, Any]:
        """Describes the index and how far its modalities share codes.

        Returns:
            Dict of `clips` by modality, `num_codes`, and `codes`, `shares` and `overlap` of
            `recipes.serving.code_statistics.sharing`.
        """
        return {
            "clips": {name: len(clips) for name, clips in self.clips.items()},
            "num_codes": self.num_codes,
            **self.sharing,
        }

    def file_of(self, modality: str, number: int) -> Path | None:
        """Returns the file of an indexed clip, or None where it has none that may be served.

        Args:
            modality: its modality.
            number: its position in the index.
        """
        clips = self.clips.get(modality, ())
        return self.media.path(clips[number].file) if 0 <= number < len(clips) else None

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._counting:
            if self._waiting >= self.limits.waiting:
                raise RefusedRequest(429, f"{self._waiting} requests wait; try again later")
            self._waiting += 1
        try:
            with self.metrics.waiting.track_inprogress():
                yield
        finally:
            with self._counting:
                self._waiting -= 1

    def _count(self, modality: str) -> np.ndarray:
        codes = [code for clip in self.clips[modality] for code in clip.codes]
        return np.bincount(np.array(codes, "int64"), minlength=self.num_codes)

    def _examples_of(self, modality: str) -> dict[int, list[IndexedClip]]:
        """The first clips of each code: of a million clips, a code may have a hundred thousand."""
        found: dict[int, list[IndexedClip]] = {}
        for clip in self.clips[modality]:
            for code in clip.codes:
                of_code = found.setdefault(code, [])
                if len(of_code) < SAME_CODE:
                    of_code.append(clip)
        return found

    def _check(self, queries: Sequence[Query], find: Sequence[str], k: int) -> None:
        if not queries:
            raise RefusedRequest(422, "the request must have a file or a text")
        if len(queries) > self.limits.files:
            raise RefusedRequest(
                422, f"the request must have at most {self.limits.files} files and texts"
            )
        if not 1 <= k <= self.limits.hits:
            raise RefusedRequest(422, f"k must be from 1 to {self.limits.hits}")
        if unknown := sorted(set(find) - set(self.modalities)):
            raise RefusedRequest(
                422, f"find must be among {list(self.modalities)}; it has {unknown[:3]}"
            )
        for query in queries:
            if query.modality not in self.encoder.modalities:
                raise RefusedRequest(
                    422, f"modality must be one of {list(self.encoder.modalities)}"
                )
            if query.file is None and not query.text.strip():
                raise RefusedRequest(422, "text must have words")
            if len(query.text) > self.limits.characters:
                raise RefusedRequest(
                    422, f"text must have at most {self.limits.characters} characters"
                )

    def _features(self, queries: Sequence[Query]) -> list[np.ndarray]:
        features, reasons = [], []
        start = time.perf_counter()
        for query in queries:
            files = [] if query.file is None else [str(query.file)]
            texts = [query.text] if query.file is None else []
            (found,) = self.extract(query.modality, files, texts)
            if isinstance(found, str):
                reasons.append(f"{query.name}: {found}")
            else:
                features.append(found)
        self._timed("extract", start)
        if reasons:
            raise RefusedRequest(422, "; ".join(reasons))
        return features

    def _codes(
        self, queries: Sequence[Query], features: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        start = time.perf_counter()
        # A batch has clips of one shape.
        found = [
            self._encode((query.modality, row.shape), [row])[0]
            for query, row in zip(queries, features, strict=True)
        ]
        self._timed("encode", start)
        return found

    def _encoded(
        self, key: tuple[str, Any], rows: list[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        encoded = self.encoder.encode(key[0], features=np.stack(rows))
        return list(zip(encoded.vectors, encoded.indices, strict=True))

    def _margins(self, vector: np.ndarray, codes: Sequence[int]) -> list[float]:
        """How much nearer each code is than the next one of its level or group, from 0 to 1."""
        margins, start = [], 0
        parts = self.encoder.backbone.split_by_index(ops.convert_to_tensor(vector), self._tables)
        for part, table, code in zip(parts, self._tables, codes, strict=True):
            distances = ops.convert_to_numpy(ops.norm(table - part, axis=1))
            own = float(distances[code - start])
            nearest = float(np.delete(distances, code - start).min(initial=np.inf))
            margins.append(max(0.0, 1 - own / nearest) if nearest > 0 else 0.0)
            start += self.encoder.backbone.num_embeddings
        return margins

    def _described(self, clip: Any) -> dict[str, Any]:
        place = self._positions[clip.modality][clip.name]
        served = self.media.path(clip.file) if clip.file else None
        return {
            "name": clip.name,
            "label": clip.label,
            "codes": list(clip.codes),
            "media": f"/v1/media/{clip.modality}/{place}" if served else None,
            "kind": media_kind(clip.file),
            "words": shorten(clip.text, MAX_WORDS),
        }

    def _timed(self, stage: str, start: float) -> None:
        self.metrics.stage_seconds.labels(stage).observe(time.perf_counter() - start)
