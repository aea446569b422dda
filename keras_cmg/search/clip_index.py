"""An index of named clips of several modalities."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_cmg.faults import reading, shorten
from keras_cmg.files import atomic_folder, read_json_lines, sha256_file
from keras_cmg.records import read_record
from keras_cmg.search.code_index import NO_CLIP, CodeIndex
from keras_cmg.search.encoded_clips import EncodedClips
from keras_cmg.search.hit import Hit, IndexedClip

FORMAT = "keras_cmg.clips/2"
DESCRIPTION, CLIPS = "clips.json", "clips.jsonl"
MAX_NAME = 100
"""Longest name of a modality in an index that is loaded."""
MAX_VISITED = 100_000
"""Number of clips after which a search visits no further list unless told otherwise."""
NEIGHBOURS, NEIGHBOUR_WEIGHT = 10, 0.7
"""Clips that `expand` averages into a query, and their weight: chosen on validation clips."""


class ClipIndex:
    """Index of named clips, searched by clips of any modality.

    Each modality has a `CodeIndex` of its own, so that a search for pictures visits pictures alone.
    Clips are ranked by the cosine similarity of their vectors.

    Args:
        codebook: a backbone's `code_source()`, or a float array `(num_embeddings, dim)`, as
            `CodeIndex` takes it.
        storage: how vectors are stored, `"float32"` or `"float16"`.

    Raises:
        ImportError: if faiss is not installed.
        ValueError: if `codebook` is not a finite matrix, or `storage` is unknown.

    Example:

    >>> def clips(modality, names, vectors):
    ...     vectors = np.array(vectors, "float32")
    ...     codes = vectors.argmax(axis=1)
    ...     return keras_cmg.search.EncodedClips(names, vectors, codes, vectors, modality)
    >>> index = keras_cmg.search.ClipIndex(np.eye(2))
    >>> index.add(clips("video", ("dog.png", "sea.png"), [[3, 0], [0, 2]]), labels=("dog", "sea"))
    >>> for hit in index.search(clips("audio", ("bark.ogg",), [[1, 0.1]]), "video", k=2)[0]:
    ...     print(hit.name, hit.label, round(hit.score, 2), hit.shared_codes)
    dog.png dog 1.0 (0,)
    sea.png sea 0.1 ()
    """

    def __init__(self, codebook: Any, storage: str = "float32"):
        if storage not in ("float32", "float16"):
            raise ValueError(f"`storage` must be 'float32' or 'float16'. Received: {storage!r}")
        self.storage = storage
        self._clips: dict[str, list[IndexedClip]] = {}
        self._indices: dict[str, CodeIndex] = {}
        self._names: dict[str, dict[str, int]] = {}
        self._of_code: dict[int, list[IndexedClip]] | None = None
        self._empty = CodeIndex(codebook, storage)
        self._num_embeddings = int(getattr(codebook, "num_embeddings", len(self._empty.codebook)))

    def __len__(self) -> int:
        return sum(map(len, self._clips.values()))

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities that have clips."""
        return tuple(self._clips)

    @property
    def codebook(self) -> np.ndarray:
        """Codes that have a list, float32 `(num_embeddings, dim)`."""
        return self._empty.codebook

    def codes_of(self, encoded: EncodedClips) -> list[tuple[int, ...]]:
        """Returns the codes of encoded clips, numbered as those of the indexed clips.

        Args:
            encoded: clips, as `keras_cmg.CrossModalEncoder.encode` returns them.

        Returns:
            For each clip its codes: one, or one of each level or group of the quantiser, where
            those of the second follow those of the first; empty for a model without codes.

        Example:

        >>> inner = keras_cmg.layers.Prototypes(num_embeddings=8, embedding_dim=2)
        >>> quantizer = keras_cmg.layers.GroupedQuantizer(inner, num_groups=2)
        >>> quantizer.build()
        >>> x = np.ones((1, 4), "float32")
        >>> clips = keras_cmg.search.EncodedClips(("a",), x, np.array([[3, 3]]), x, "audio")
        >>> keras_cmg.search.ClipIndex(quantizer).codes_of(clips)
        [(3, 11)]
        """
        indices = np.asarray(encoded.indices)
        flat = indices.reshape(len(encoded.names), int(np.prod(indices.shape[1:])))
        numbers = flat + self._num_embeddings * np.arange(flat.shape[1])
        return [tuple(row) for row in numbers.tolist()]

    def clips(self, modality: str) -> tuple[IndexedClip, ...]:
        """Returns the clips of a modality, in the order in which they were added.

        Args:
            modality: its name.

        Returns:
            The clips.

        Raises:
            ValueError: if the index has no clip of the modality.

        Example:

        >>> x = np.eye(2, dtype="float32")
        >>> index = keras_cmg.search.ClipIndex(x)
        >>> index.add(keras_cmg.search.EncodedClips(("a", "b"), x, np.arange(2), x, "audio"))
        >>> index.clips("audio")[1]
        IndexedClip(name='b', modality='audio', label='', file='', codes=(1,), text='')
        """
        return tuple(self._of(modality))

    def add(
        self,
        encoded: EncodedClips,
        labels: Sequence[str] | None = None,
        files: Sequence[str] | None = None,
        texts: Sequence[str] | None = None,
    ) -> None:
        """Adds clips of one modality; after an error, none of them is added.

        Args:
            encoded: the clips; names must be new within the modality.
            labels: name of the class of each clip, empty for none.
            files: path of each clip; those of `encoded` if None.
            texts: words of each clip, empty for none.

        Raises:
            ValueError: if names repeat, `labels`, `files` or `texts` differ from the clips in
                number, or the vectors or codes are not those of this codebook.

        Example:

        >>> x = np.eye(2, dtype="float32")
        >>> index = keras_cmg.search.ClipIndex(x)
        >>> index.add(keras_cmg.search.EncodedClips(("a", "b"), x, np.arange(2), x, "audio"))
        >>> len(index), index.modalities
        (2, ('audio',))
        """
        modality, count = encoded.modality, len(encoded.names)
        files = encoded.files if files is None else files
        for name, values in (("labels", labels), ("files", files), ("texts", texts)):
            if values and len(values) != count:
                raise ValueError(
                    f"`{name}` must have an entry per clip. Received {len(values)} for {count} "
                    "clips."
                )
        names = dict(self._names.get(modality, {}))
        start = len(names)
        names |= {str(name): start + place for place, name in enumerate(encoded.names)}
        if len(names) != start + count:
            seen = set(self._names.get(modality, {}))
            twice = [n for n in map(str, encoded.names) if n in seen or seen.add(n)]  # type: ignore[func-returns-value]
            raise ValueError(
                f"Names of clips must be new within a modality. Received again: {twice[:3]}"
            )
        if not count:
            return
        codes = self.codes_of(encoded)
        clips = [
            IndexedClip(
                str(name),
                modality,
                str(labels[place]) if labels else "",
                str(files[place]) if files else "",
                codes[place],
                str(texts[place]) if texts else "",
            )
            for place, name in enumerate(encoded.names)
        ]
        index = self._indices.get(modality)
        if index is None:
            index = CodeIndex(self.codebook, self.storage)
            index.index_sizes = self._empty.index_sizes
        index.add(
            np.arange(start, start + count),
            _unit_length(encoded.vectors),
            encoded.indices if codes and codes[0] else None,
        )
        self._indices[modality], self._names[modality] = index, names
        self._clips.setdefault(modality, []).extend(clips)
        self._of_code = None

    def search(
        self, encoded: EncodedClips, modality: str, k: int = 10, num_codes: int | None = None
    ) -> list[list[Hit]]:
        """Finds the clips of a modality that are most similar to each query.

        Args:
            encoded: queries of any modality, as `keras_cmg.CrossModalEncoder.encode` returns them.
            modality: modality of the clips to find.
            k: int, clips to find for each query.
            num_codes: int, lists to visit, those of the codes nearest to the query's own; default
                all of them, until 100,000 clips were visited: up to so many clips, the search is
                exact.

        Returns:
            A list of at most `k` hits per query, best first.

        Raises:
            ValueError: if the index has no clip of the modality, the queries have another
                codebook, or a number is below 1.

        Example:

        >>> x = np.eye(2, dtype="float32")
        >>> index = keras_cmg.search.ClipIndex(x)
        >>> clips = keras_cmg.search.EncodedClips(("a", "b"), x, np.arange(2), x, "audio")
        >>> index.add(clips)
        >>> [hits[0].name for hits in index.search(clips, "audio", k=1)]
        ['a', 'b']
        """
        if k < 1:
            raise ValueError(f"`k` must be at least 1. Received: {k}")
        clips = self._of(modality)
        index = self._indices[modality]
        codes = self.codes_of(encoded)
        found = index.search(
            _unit_length(encoded.vectors),
            min(k, len(clips)),
            len(index.codebook) if num_codes is None else num_codes,
            # Vectors of unit length need not be near to their codes, which have other lengths.
            encoded.indices if codes and codes[0] else None,
            MAX_VISITED if num_codes is None else None,
        )
        hits = []
        for query, (ids, distances) in enumerate(
            zip(found["ids"].tolist(), found["distances"].tolist(), strict=True)
        ):
            hits.append(
                [
                    _hit(clips[row], codes[query], distance)
                    for row, distance in zip(ids, distances, strict=True)
                    if row != NO_CLIP
                ]
            )
        return hits

    def is_labelled(self, modality: str) -> bool:
        """Returns whether clips of a modality have labels.

        Args:
            modality: its name; one without clips has no labels.

        Example:

        >>> keras_cmg.search.ClipIndex(np.eye(2)).is_labelled("audio")
        False
        """
        return any(clip.label for clip in self._clips.get(modality, ()))

    def expand(self, encoded: EncodedClips, number: int = NEIGHBOURS) -> EncodedClips:
        """Averages indexed clips of the queries' own modality into the queries.

        What is peculiar to one recording averages out: a search for clips of the same class gets
        better, one for the partner of a clip worse. Clips with the name of the query are left out.
        No label is used.

        Args:
            encoded: queries, as `keras_cmg.CrossModalEncoder.encode` returns them.
            number: int, nearest clips to average.

        Returns:
            The queries with other vectors, of unit length: 0.3 of a query's own and 0.7 of the mean
            of the neighbours'. As they are if the index has no clip of the modality.

        Raises:
            ValueError: if `number` is below 1, or the queries have another codebook.

        Example:

        >>> x = np.eye(2, dtype="float32")
        >>> index = keras_cmg.search.ClipIndex(x)
        >>> index.add(keras_cmg.search.EncodedClips(("a", "b"), x, np.arange(2), x, "audio"))
        >>> sound = keras_cmg.search.EncodedClips(("c",), x[:1], np.zeros(1, int), x, "audio")
        >>> print(index.expand(sound, 2).vectors.round(2))
        [[0.88 0.47]]

        References:
            Chum et al. (2007), Total Recall: Automatic Query Expansion with a Generative Feature
            Model for Object Retrieval.
        """
        if number < 1:
            raise ValueError(f"`number` must be at least 1. Received: {number}")
        if encoded.modality not in self._clips:
            return encoded
        place = self._names[encoded.modality]
        index = self._indices[encoded.modality]
        vectors = _unit_length(encoded.vectors)
        for row, hits in enumerate(self.search(encoded, encoded.modality, number + 1)):
            names = [hit.name for hit in hits if hit.name != encoded.names[row]][:number]
            if names:
                near = index.vectors([place[name] for name in names]).mean(axis=0)
                vectors[row] += NEIGHBOUR_WEIGHT * (near - vectors[row])
        return encoded._replace(vectors=_unit_length(vectors))

    def without_files(self) -> ClipIndex:
        """Returns the index without the paths of the clips' files, to be given to others.

        Returns:
            The same clips, whose `file` is empty.

        Example:

        >>> x = np.eye(2, dtype="float32")
        >>> clips = keras_cmg.search.EncodedClips(("a", "b"), x, np.arange(2), x, "audio")
        >>> index = keras_cmg.search.ClipIndex(x)
        >>> index.add(clips, files=("sounds/a.ogg", "sounds/b.ogg"))
        >>> index.without_files().clips("audio")[0].file
        ''
        """
        copied = copy.copy(self)
        copied._clips = {
            name: [clip._replace(file="") for clip in clips] for name, clips in self._clips.items()
        }
        copied._of_code = None
        return copied

    def clips_of_code(self, code: int) -> tuple[IndexedClip, ...]:
        """Returns the clips of all modalities that have a code.

        Args:
            code: int, its number, as in the `codes` of clips.

        Returns:
            The clips; empty if none has it.

        Example:

        >>> x = np.eye(2, dtype="float32")
        >>> index = keras_cmg.search.ClipIndex(x)
        >>> index.add(keras_cmg.search.EncodedClips(("a", "b"), x, np.arange(2), x, "audio"))
        >>> [clip.name for clip in index.clips_of_code(1)]
        ['b']
        """
        if self._of_code is None:
            grouped: dict[int, list[IndexedClip]] = {}
            for clips in self._clips.values():
                for clip in clips:
                    for own in clip.codes:
                        grouped.setdefault(own, []).append(clip)
            self._of_code = grouped
        return tuple(self._of_code.get(int(code), ()))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the index into a folder, which appears complete or not at all.

        Args:
            path: folder, new or of an earlier index.

        Raises:
            ValueError: if the folder holds something else, or the index has no clip.

        Example:

        >>> x = np.eye(2, dtype="float32")
        >>> index = keras_cmg.search.ClipIndex(x)
        >>> index.add(keras_cmg.search.EncodedClips(("a", "b"), x, np.arange(2), x, "audio"))
        >>> index.save("clips")
        >>> keras_cmg.search.ClipIndex.load("clips").clips("audio")[0].name
        'a'
        """
        folder = Path(path)
        check_index_folder(folder)
        if not self._indices:
            raise ValueError("An index must hold at least one clip to be saved. Received: none.")
        with atomic_folder(folder) as built:
            with (built / CLIPS).open("w", encoding="utf-8") as stream:
                for clips in self._clips.values():
                    stream.writelines(json.dumps(clip._asdict()) + "\n" for clip in clips)
            for number, index in enumerate(self._indices.values()):
                index.save(built / _lists(number))
            description = {
                "format": FORMAT,
                "storage": self.storage,
                "modalities": list(self._indices),
                "clips": len(self),
                "num_embeddings": self._num_embeddings,
                "sha256": sha256_file(built / CLIPS),
            }
            text = json.dumps(description, indent=1) + "\n"
            (built / DESCRIPTION).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ClipIndex:
        """Reads what `save` wrote, after its checksums.

        Args:
            path: the folder.

        Returns:
            The index.

        Raises:
            FileNotFoundError: if there is no index.
            ImportError: if faiss is not installed.
            ValueError: if a file is damaged, naming it.

        Example:

        >>> keras_cmg.search.ClipIndex.load("no-such-index")
        Traceback (most recent call last):
            ...
        FileNotFoundError: There is no file no-such-index/clips.json.
        """
        folder = Path(path)
        with reading(folder / DESCRIPTION, "describe an index"):
            description = _description(folder / DESCRIPTION)
        if sha256_file(folder / CLIPS) != description["sha256"]:
            raise ValueError(f"{folder / CLIPS} does not have the checksum it was written with.")
        grouped: dict[str, list[IndexedClip]] = {name: [] for name in description["modalities"]}
        for number, line in enumerate(read_json_lines(folder / CLIPS), start=1):
            clip = _clip(line)
            if clip is None or clip.modality not in grouped:
                raise ValueError(f"{folder / CLIPS}, line {number}, must describe a clip.")
            grouped[clip.modality].append(clip)
        indices = {name: CodeIndex.load(folder / _lists(n)) for n, name in enumerate(grouped)}
        for name, loaded in indices.items():
            if len(loaded) != len(grouped[name]):
                raise ValueError(
                    f"{folder} must hold {len(grouped[name])} clips of "
                    f"{shorten(repr(name), 100)}. Received: {len(loaded)}"
                )
        if not indices:
            raise ValueError(f"{folder} must hold at least one clip.")
        first = next(iter(indices.values()))
        with reading(folder / DESCRIPTION, "describe an index"):
            index = cls(first.codebook, description["storage"])
        index._empty.index_sizes = first.index_sizes
        index._num_embeddings = description["num_embeddings"]
        index._clips, index._indices = grouped, indices
        index._names = {
            name: {clip.name: place for place, clip in enumerate(clips)}
            for name, clips in grouped.items()
        }
        return index

    def _of(self, modality: str) -> list[IndexedClip]:
        if modality not in self._clips:
            raise ValueError(
                f"`modality` must be one of {self.modalities}, of which the index has clips. "
                f"Received: {modality!r}"
            )
        return self._clips[modality]


def check_index_folder(path: str | os.PathLike[str], argument: str = "`path`") -> None:
    """Checks that an index can be written into a folder.

    Args:
        path: the folder.
        argument: what names it, for the error.

    Raises:
        ValueError: if it is a file, or holds something else than an index.

    Example:

    >>> check_index_folder("no-such-folder")
    """
    folder = Path(path)
    if folder.is_file() or (
        folder.exists() and not (folder / DESCRIPTION).is_file() and any(folder.iterdir())
    ):
        raise ValueError(f"{argument} must be new or hold an index. {folder} is something else.")


def _lists(number: int) -> str:
    return f"lists-{number}"


def _unit_length(vectors: np.ndarray) -> np.ndarray:
    vectors = np.asarray(vectors, "float32")
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.maximum(norms, keras.config.epsilon())


def _hit(clip: IndexedClip, codes: tuple[int, ...], distance: float) -> Hit:
    shared = tuple(one for one, other in zip(codes, clip.codes, strict=False) if one == other)
    # Of vectors of unit length, the squared distance is 2 - 2 * cosine.
    score = min(1.0 - distance / 2, 1.0)
    return Hit(
        clip.name, clip.modality, score, clip.label, shared, clip.file, clip.codes, clip.text
    )


def _description(path: Path) -> dict[str, Any]:
    description = read_record(path, {})
    if description.get("format") != FORMAT:
        raise ValueError(
            f"{path} must be of the format {FORMAT!r}, else the clips must be indexed again. "
            f"Received: {description.get('format')!r}"
        )
    modalities, digest = description.get("modalities"), description.get("sha256")
    named = isinstance(modalities, list) and all(
        isinstance(name, str) and len(name) <= MAX_NAME for name in modalities
    )
    sized = isinstance(description.get("num_embeddings"), int)
    if not named or not sized or not isinstance(digest, str) or description.get("storage") is None:
        raise ValueError(
            f"{path} must name modalities, storage, number of codes and a checksum; it is damaged."
        )
    return description


def _clip(line: Mapping[str, Any]) -> IndexedClip | None:
    """The clip of a line; None if the line does not describe one."""
    texts = [line.get(key) for key in ("name", "modality", "label", "file", "text")]
    codes = line.get("codes")
    if not isinstance(codes, list) or not all(isinstance(code, int) for code in codes):
        return None
    words = [text for text in texts if isinstance(text, str)]
    if len(words) < len(texts):
        return None
    return IndexedClip(words[0], words[1], words[2], words[3], tuple(codes), words[4])
