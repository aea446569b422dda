"""An inverted index of clips over the shared code space."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from keras import ops

from keras_cmg.files import sha256_of_array
from keras_cmg.layers.quantizers.quantizer import MAX_COMBINATIONS, Quantizer
from keras_cmg.search import storage as stored
from keras_cmg.search.engine import STORAGES, InvertedLists

NO_CLIP = -1
"""Id in a result with fewer clips than requested."""

MAX_HALF = float(np.finfo("float16").max)


class CodeIndex:
    """Index of clips of any modality, searched by features of any modality or by codes.

    Each code has a list of the clips assigned to it. A query visits the lists of the nearest codes
    that have clips, and ranks their clips by squared distance in the continuous space or, without
    stored vectors, by the distance to the code alone. Lists and ranking are FAISS's.

    Of a quantiser that describes a vector by several indices, a list has the clips that agree in
    the leading indices, as many of them as give 65,536 lists at most: of a `ResidualQuantizer` the
    first levels, of a `GroupedQuantizer` the first groups (see `Quantizer.coarse_codes`). Clips and
    queries are given by all of their indices; `index_sizes` says which of them choose the list.

    Args:
        codebook: float array `(num_embeddings, dim)`, a backbone's `codebook`; or a
            `keras_cmg.layers.Quantizer`, a backbone's `code_source()`, as it is now.
        storage: how a clip's features are stored: `"float32"`, `"float16"`, or `"codes"`, which
            stores the clip's list and id alone (8 bytes); clips of one code then have equal
            distances.

    Raises:
        ImportError: if faiss is not installed.
        ValueError: if `codebook` is not a finite matrix, `storage` is unknown, or the first index
            of a quantiser of several has more than 65,536 values.

    Example:

    >>> index = keras_cmg.search.CodeIndex(np.array([[0.0, 0.0], [4.0, 4.0]]))
    >>> index.add([7, 8, 9], np.array([[0.1, 0.0], [4.0, 4.1], [3.9, 4.0]]))
    >>> index.search(np.array([[4.0, 4.0]]), num_clips=2)["ids"].tolist()
    [[8, 9]]

    By the codes of two levels, and by the first alone:

    >>> inner = keras_cmg.layers.LFQ(num_bits=2)
    >>> quantizer = keras_cmg.layers.ResidualQuantizer(inner, num_levels=2)
    >>> index = keras_cmg.search.CodeIndex(quantizer)
    >>> x = np.array([[0.9, -0.4], [0.4, -1.6], [-0.9, 0.4]], "float32")
    >>> index.add([7, 8, 9], x, quantizer.encode(x))
    >>> index.search_codes([[2, 1]], num_clips=2)["ids"].tolist()
    [[7, -1]]
    >>> index.index_sizes.tolist()
    [4, 4]

    References:
        Sivic and Zisserman (2003), Video Google: a text retrieval approach to object matching in
        videos; Johnson et al. (2019), Billion-scale similarity search with GPUs.
    """

    def __init__(self, codebook: Any, storage: str = "float32"):
        codebook, sizes = _list_codes(codebook)
        if codebook.ndim != 2 or not codebook.size or not np.isfinite(codebook).all():
            raise ValueError(
                "`codebook` must be a finite array of shape (num_embeddings, dim). "
                f"Received shape {codebook.shape}."
            )
        if storage not in STORAGES:
            raise ValueError(f"`storage` must be one of {sorted(STORAGES)}. Received: {storage!r}")
        self.codebook = codebook
        self.index_sizes = np.array(len(codebook)) if sizes is None else sizes
        self.storage = storage
        self._lists = InvertedLists(codebook, storage)
        self._ids: set[int] = set()

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, clip: int) -> bool:
        return clip in self._ids

    index_sizes: np.ndarray
    """Number of values of each index that chooses a list, 0 for indices that have no part in it."""

    @property
    def list_sizes(self) -> np.ndarray:
        """Number of clips of each code, int64 `(num_embeddings,)`.

        Of a quantiser of several indices, of each combination of those that choose the list, the
        last of them lowest.
        """
        return self._lists.sizes.copy()

    @property
    def dim(self) -> int:
        """Length of a feature vector."""
        return self.codebook.shape[1]

    def add(self, ids: Any, features: Any, codes: Any = None) -> None:
        """Adds clips to the lists of their codes; after an error, none of them is added.

        Args:
            ids: int `(clips,)`, at least 0, not yet in the index.
            features: float `(clips, dim)`, `encode(..., level="clip")["general"]`.
            codes: int `(clips,)`, or `(clips, *index_shape)` of a quantiser of several indices:
                the system's `indices`; default the nearest codes.

        Raises:
            ValueError: if ids repeat, features are not finite or of another shape, or codes exceed
                the codebook.

        Example:

        >>> index = keras_cmg.search.CodeIndex(np.eye(3), storage="codes")
        >>> index.add([1, 2], np.eye(3)[:2])
        >>> len(index), 2 in index
        (2, True)
        """
        clips = _integers("ids", ids)
        vectors = self._vectors(features)
        if len(clips) != len(vectors):
            raise ValueError(
                "`ids` and `features` must hold the same clips. "
                f"Received {len(clips)} and {len(vectors)}."
            )
        if len(clips) and clips.min() < 0:
            raise ValueError(f"`ids` must be at least 0. Received: {clips.min()}")
        new = set(clips.tolist())
        if len(new) < len(clips) or not self._ids.isdisjoint(new):
            repeated = sorted(self._ids & new)[:3] or "one id twice"
            raise ValueError(f"`ids` must be new, each given once. Received: {repeated}")
        if codes is None:
            lists = self._lists.nearest(vectors)
        else:
            lists = self._codes(codes)
            if lists.shape != clips.shape:
                raise ValueError(
                    f"`codes` must have shape {clips.shape}. Received shape {lists.shape}."
                )
        if len(clips):
            self._lists.add(clips, vectors, lists)
            self._ids |= new

    def remove(self, ids: Any) -> int:
        """Removes clips.

        Args:
            ids: int `(clips,)`; ids that are not in the index are ignored.

        Returns:
            Number of clips removed.

        Raises:
            ValueError: if the ids are not integers.

        Example:

        >>> index = keras_cmg.search.CodeIndex(np.eye(2))
        >>> index.add([1, 2], np.eye(2))
        >>> index.remove([2, 5]), len(index)
        (1, 1)
        """
        found = self._ids & set(_integers("ids", ids).tolist())
        if found:
            self._lists.remove(np.fromiter(found, "int64", len(found)))
            self._ids -= found
        return len(found)

    def search(
        self,
        features: Any,
        num_clips: int = 10,
        num_codes: int = 8,
        codes: Any = None,
        max_visited: int | None = None,
    ) -> dict[str, Any]:
        """Finds the nearest clips in the lists of the nearest codes.

        Args:
            features: float `(queries, dim)`, of any modality.
            num_clips: int, clips to find for each query.
            num_codes: int, lists to visit, of the nearest codes that have clips; with all of them
                the search is exact.
            codes: optional int `(queries,)` or `(queries, *index_shape)`, the system's `indices`.
                Where a query's own code is not the nearest one, as with `FSQ` and projected codes,
                the lists of the codes nearest to its own code are visited.
            max_visited: optional int, number of clips after which no further list is visited. Lists
                are visited whole, that of the nearest code always.

        Returns:
            Dict of `"ids"`, int64 `(queries, num_clips)`, nearest first, -1 where the lists hold
            fewer clips, and `"distances"`, float32, squared; infinite for id -1.

        Raises:
            ValueError: if features are not finite or of another shape, or a number is below 1.

        Example:

        >>> index = keras_cmg.search.CodeIndex(np.eye(2))
        >>> index.add([5], np.eye(2)[:1])
        >>> index.search(np.eye(2), num_clips=2)["ids"].tolist()
        [[5, -1], [5, -1]]
        """
        _positive(num_clips=num_clips, num_codes=num_codes)
        if max_visited is not None:
            _positive(max_visited=max_visited)
        vectors = self._vectors(features)
        start = vectors
        if codes is not None:
            own = self._codes(codes)
            if own.shape != vectors.shape[:1]:
                raise ValueError(
                    f"`codes` must be those of {len(vectors)} queries. Received shape {own.shape}."
                )
            other = own != self._lists.nearest(vectors)
            start = np.where(other[:, None], self._lists.codebook[own], vectors)
        distances, lists = self._lists.nearest_nonempty(start, num_codes)
        if max_visited is not None:
            sizes = np.where(lists < 0, 0, self._lists.sizes[lists])
            lists = np.where(np.cumsum(sizes, axis=1) - sizes < max_visited, lists, -1)
        # Clips that are stored as their code are ranked by the distances of codes.
        query = start if self.storage == "codes" else vectors
        return self._answer(query, distances, lists, num_clips)

    def vectors(self, ids: Any) -> np.ndarray:
        """Returns the stored features of clips.

        Args:
            ids: int `(clips,)`, of clips in the index.

        Returns:
            Float32 `(clips, dim)`, as precise as `storage`.

        Raises:
            ValueError: if a clip is not in the index.

        Example:

        >>> index = keras_cmg.search.CodeIndex(np.eye(2))
        >>> index.add([3], [[1.0, 0.5]])
        >>> index.vectors([3]).tolist()
        [[1.0, 0.5]]
        """
        clips = _integers("ids", ids)
        if absent := sorted(set(clips.tolist()) - self._ids):
            raise ValueError(f"`ids` must be of clips in the index. Received: {absent[:3]}")
        return self._lists.vectors(clips)

    def search_codes(self, codes: Any, num_clips: int = 10) -> dict[str, Any]:
        """Finds clips in the lists of given codes, ranked by their distance to these codes' mean.

        Args:
            codes: int `(queries,)`, or `(queries, codes)` for several lists each, such as the
                codes of a clip's segments; a repeated code has more weight in the mean. Of a
                quantiser of several indices, followed by the axes of `index_shape`; indices that
                have no part in the choice of lists are not used.
            num_clips: int, clips to find for each query.

        Returns:
            As `search`.

        Raises:
            ValueError: if codes exceed the codebook, or a number is below 1.

        Example:

        >>> index = keras_cmg.search.CodeIndex(np.eye(3), storage="codes")
        >>> index.add([4, 5, 6], np.eye(3))
        >>> index.search_codes([[0, 1], [2, 2]], num_clips=2)["ids"].tolist()
        [[4, 5], [6, -1]]
        """
        _positive(num_clips=num_clips)
        lists = self._codes(codes)
        lists = lists[:, None] if lists.ndim == 1 else lists
        if lists.ndim != 2 or not lists.shape[1]:
            raise ValueError(
                "`codes` must have shape (queries,) or (queries, codes). "
                f"Received shape {lists.shape}."
            )
        codebook = self._lists.codebook
        means = codebook[lists].mean(axis=1)
        lists = _unique_per_row(lists)
        distances = np.square(codebook[lists] - means[:, None]).sum(axis=2)
        return self._answer(means, distances, lists, num_clips)

    def add_clips(self, backbone: Any, modality: str, x: Any, ids: Any, mask: Any = None) -> None:
        """Encodes clips and adds them.

        Args:
            backbone: a `Backbone` with this index's codebook.
            modality: name of the modality.
            x: its features `(clips, frames, ...)`.
            ids: int `(clips,)`.
            mask: optional `(clips, frames)`.

        Raises:
            ValueError: as `add` and `encode`, or if the backbone has another codebook.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> x = np.random.default_rng(0).normal(size=(3, 10, 128)).astype("float32")
        >>> _ = backbone.encode("audio", x)
        >>> index = keras_cmg.search.CodeIndex(backbone.codebook)
        >>> index.add_clips(backbone, "audio", x, ids=[0, 1, 2])
        >>> index.search_clips(backbone, "audio", x, num_clips=1)["ids"].tolist()
        [[0], [1], [2]]
        """
        codes = self._encoded(backbone, modality, x, mask)
        self.add(ids, codes["features"], codes["indices"])

    def search_clips(
        self,
        backbone: Any,
        modality: str,
        x: Any,
        num_clips: int = 10,
        num_codes: int = 8,
        mask: Any = None,
    ) -> dict[str, Any]:
        """Encodes queries of any modality and finds the nearest clips.

        Args:
            backbone: a `Backbone` with this index's codebook.
            modality: name of the queries' modality.
            x: its features `(queries, frames, ...)`.
            num_clips: int, clips to find for each query.
            num_codes: int, lists to visit.
            mask: optional `(queries, frames)`.

        Returns:
            As `search`.

        Raises:
            ValueError: as `search` and `encode`, or if the backbone has another codebook.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> x = np.zeros((1, 10, 128), "float32")
        >>> _ = backbone.encode("audio", x)
        >>> index = keras_cmg.search.CodeIndex(backbone.codebook)
        >>> index.search_clips(backbone, "audio", x, 1)["ids"].tolist()
        [[-1]]
        """
        codes = self._encoded(backbone, modality, x, mask)
        return self.search(codes["features"], num_clips, num_codes, codes["indices"])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the index into a folder; a reader finds the earlier state or this, never a mix.

        Args:
            path: folder, new or of an earlier state.

        Raises:
            ValueError: if the folder holds something else.

        Example:

        >>> index = keras_cmg.search.CodeIndex(np.eye(2))
        >>> index.add([3], np.eye(2)[:1])
        >>> index.save("clips")
        >>> 3 in keras_cmg.search.CodeIndex.load("clips")
        True
        """
        description = {
            "storage": self.storage,
            "clips": len(self),
            "num_embeddings": len(self.codebook),
            "dim": self.dim,
            "index_sizes": self.index_sizes.tolist(),
            "codebook": sha256_of_array(self.codebook),
        }
        stored.write(path, self._lists.write, self.codebook, description)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CodeIndex:
        """Reads what `save` wrote, after its checksums.

        Args:
            path: the folder.

        Returns:
            The index.

        Raises:
            FileNotFoundError: if there is no index.
            ValueError: if a file is damaged, naming it.

        Example:

        >>> keras_cmg.search.CodeIndex.load("no-such-index")
        Traceback (most recent call last):
            ...
        FileNotFoundError: There is no file no-such-index/index.json.
        """
        with stored.opened(path) as (stream, codebook, description):
            index = cls(codebook, description["storage"])
            index.index_sizes = _checked_sizes(description.get("index_sizes"), path, len(codebook))
            index._lists.read(stream, description["clips"])
        index._ids = set(index._lists.ids().tolist())
        if len(index._ids) != description["clips"] or min(index._ids, default=0) < 0:
            raise ValueError(f"{path} must hold {description['clips']} clips; it is damaged.")
        return index

    def _encoded(self, backbone, modality, x, mask) -> Mapping[str, np.ndarray]:
        backbone.require_codebook("A search by codes")
        codebook, _ = _list_codes(backbone.code_source())
        if not np.array_equal(codebook, self.codebook):
            raise ValueError("`backbone` must have the codebook that this index was made with.")
        codes = backbone.encode(modality, x, "clip", mask)
        codes = {**codes, "features": backbone.index_features(modality, codes)}
        return {key: ops.convert_to_numpy(value) for key, value in codes.items()}

    def _answer(self, vectors, to_codes, lists, num_clips: int) -> dict[str, np.ndarray]:
        distances, ids = self._lists.search(vectors, to_codes, lists, num_clips)
        distances = np.where(ids == NO_CLIP, np.inf, distances).astype("float32")
        return {"ids": ids, "distances": distances}

    def _vectors(self, features: Any) -> np.ndarray:
        vectors = np.ascontiguousarray(features, "float32")
        if vectors.ndim != 2 or vectors.shape[1] != self.dim:
            raise ValueError(
                f"`features` must have shape (clips, {self.dim}). Received shape {vectors.shape}."
            )
        if not np.isfinite(vectors).all():
            raise ValueError("`features` must be finite. Received NaN or infinity.")
        vectors = self._lists.centered(vectors)
        largest = np.abs(vectors).max(initial=0)
        if self.storage == "float16" and largest > MAX_HALF:
            raise ValueError(
                f"`features` stored in half precision must lie within {MAX_HALF} of the codebook. "
                f"Received: {largest}"
            )
        return vectors

    def _codes(self, codes: Any) -> np.ndarray:
        """The lists of codes: the numbers, or the leading indices as one number."""
        codes = _integers("codes", codes)
        shape = self.index_sizes.shape
        if codes.shape[max(codes.ndim - len(shape), 0) :] != shape:
            raise ValueError(
                f"`codes` must have shape (..., {', '.join(map(str, shape))}), the indices of a "
                f"vector. Received shape {codes.shape}."
            )
        columns = codes.reshape(*codes.shape[: codes.ndim - len(shape)], self.index_sizes.size)
        lists = np.zeros(columns.shape[:-1], "int64")
        for number, size in enumerate(self.index_sizes.ravel().tolist()):
            if not size:
                continue
            index = columns[..., number]
            if index.size and not (index.min() >= 0 and index.max() < size):
                raise ValueError(
                    f"`codes` must lie between 0 and {size - 1}. "
                    f"Received: {index.min()} to {index.max()}"
                )
            lists = lists * size + index
        return lists


def _list_codes(codebook: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """The code of each list, and the sizes of the indices of a quantiser of several."""
    sizes = None
    if isinstance(codebook, Quantizer):
        if not codebook.built:
            codebook.build()
        if codebook.index_shape:
            codes, sizes = codebook.coarse_codes()
            if not sizes.any():
                raise ValueError(
                    f"`codebook` must have at most {MAX_COMBINATIONS} values of its first index. "
                    f"Received: {type(codebook).__name__} with {codebook.index_sizes.ravel()[0]}"
                )
            codebook = codes
        else:
            codebook = ops.convert_to_numpy(codebook.codebook)
    return np.ascontiguousarray(codebook, "float32"), sizes


def _integers(name: str, values: Any) -> np.ndarray:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"`{name}` must be integers. Received: {array.dtype}")
    return np.ascontiguousarray(array, "int64")


def _positive(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise ValueError(f"`{name}` must be at least 1. Received: {value}")


def _unique_per_row(lists: np.ndarray) -> np.ndarray:
    """The lists of each query in ascending order, with -1, no list, for repetitions."""
    ordered = np.sort(lists, axis=1)
    repeated = np.zeros(ordered.shape, bool)
    repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
    return np.where(repeated, -1, ordered)


def _checked_sizes(sizes: Any, path: Any, num_codes: int) -> np.ndarray:
    """`index_sizes` as a file names them: their product is the number of lists."""
    try:
        found = np.array(num_codes if sizes is None else sizes, dtype=np.int64)
        leading = [size for size in found.ravel().tolist() if size]
        if found.size <= 1024 and min(leading, default=1) > 0 and math.prod(leading) == num_codes:
            return found
    except (OverflowError, TypeError, ValueError):
        pass
    raise ValueError(f"{path} must name the sizes of its indices in index.json; it is damaged.")
