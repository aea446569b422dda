"""The inverted lists of `CodeIndex`: FAISS's inverted file, with the codebook as its centroids."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from keras_cmg.extras import missing
from keras_cmg.ops.quantization import codebook_center
from keras_cmg.search.storage import CheckedStream

STORAGES = {"float32": "", "float16": "QT_fp16", "codes": "QT_0bit"}
"""How vectors are stored, and FAISS's name for it."""


@functools.cache
def faiss() -> Any:
    """Imports the faiss package.

    Returns:
        The module.

    Raises:
        ImportError: if the package is not installed.

    Example:

    >>> hasattr(faiss(), "IndexIVFFlat")
    True
    """
    try:
        import faiss
    except ImportError as error:
        raise missing("faiss", "Searching needs", error) from error
    return faiss


class InvertedLists:
    """A list of ids and vectors per code.

    Codes and vectors are stored relative to `center`, a point amid the codes: FAISS computes
    distances of many vectors from their squared norms, which would lose digits far from the origin.

    Args:
        codebook: float32 `(num_embeddings, dim)`.
        storage: a key of `STORAGES`.

    Example:

    >>> lists = InvertedLists(np.eye(2, dtype="float32"), "float32")
    >>> lists.add(np.array([5]), np.eye(2, dtype="float32")[:1], np.array([0]))
    >>> lists.ids().tolist()
    [5]
    """

    def __init__(self, codebook: np.ndarray, storage: str):
        library = faiss()
        num_embeddings, dim = codebook.shape
        self.storage = storage
        self.center = np.asarray(ops.convert_to_numpy(codebook_center(codebook)))
        self.codebook = codebook - self.center
        self.codes = library.IndexFlatL2(dim)
        self.codes.add(self.codebook)
        if STORAGES[storage]:
            kind = getattr(library.ScalarQuantizer, STORAGES[storage])
            # Without bits, a vector is stored as its code; with bits, it is stored whole.
            residual = storage == "codes"
            self.index = library.IndexIVFScalarQuantizer(
                self.codes, dim, num_embeddings, kind, library.METRIC_L2, residual
            )
            self.index.train(self.codebook)
        else:
            self.index = library.IndexIVFFlat(self.codes, dim, num_embeddings, library.METRIC_L2)

        self.nonempty_codes: Any = None
        self._refresh()

    def _refresh(self) -> None:
        self.sizes = self._sizes()
        self.nonempty = np.flatnonzero(self.sizes)
        self.nonempty_codes = None

    def centered(self, vectors: np.ndarray) -> np.ndarray:
        """Computes vectors relative to `center`.

        Args:
            vectors: float32 `(n, dim)`.

        Returns:
            float32 `(n, dim)`, which the other methods take.
        """
        return np.ascontiguousarray(vectors - self.center)

    def nearest(self, vectors: np.ndarray) -> np.ndarray:
        """Finds the code nearest to each vector.

        Args:
            vectors: float32 `(n, dim)`, centered.

        Returns:
            int64 `(n,)`.
        """
        return self.codes.search(vectors, 1)[1][:, 0]

    def nearest_nonempty(self, vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Finds the nearest codes among those that have clips.

        Modalities share a code space, but some codes are used by one of them alone: the codes
        nearest to a sound may have no picture in their lists.

        Args:
            vectors: float32 `(n, dim)`, centered.
            count: int, codes for each vector.

        Returns:
            Squared distances, and int64 codes, nearest first, `(n, count)`, or fewer columns where
            fewer codes have clips.
        """
        if len(self.nonempty) == len(self.codebook):
            return self.codes.search(vectors, min(count, len(self.codebook)))
        if not len(self.nonempty):
            shape = (len(vectors), 1)
            return np.full(shape, np.inf, "float32"), np.full(shape, -1, "int64")
        if self.nonempty_codes is None:
            self.nonempty_codes = faiss().IndexFlatL2(self.codebook.shape[1])
            self.nonempty_codes.add(self.codebook[self.nonempty])
        distances, positions = self.nonempty_codes.search(vectors, min(count, len(self.nonempty)))
        return distances, self.nonempty[positions]

    def add(self, ids: np.ndarray, vectors: np.ndarray, codes: np.ndarray) -> None:
        """Appends to the lists.

        Args:
            ids: int64 `(n,)`.
            vectors: float32 `(n, dim)`, centered.
            codes: int64 `(n,)`, the list of each vector.
        """
        pointer = faiss().swig_ptr
        self.index.add_core(len(ids), pointer(vectors), pointer(ids), pointer(codes))
        new = self.sizes[codes] == 0
        self.sizes += np.bincount(codes, minlength=len(self.sizes))
        if new.any():
            self.nonempty, self.nonempty_codes = np.flatnonzero(self.sizes), None

    def remove(self, ids: np.ndarray) -> None:
        """Removes ids from the lists, in one pass over all ids of the index.

        Args:
            ids: int64 `(n,)`.
        """
        # FAISS removes no batch of ids from an index with a table of places.
        self.index.set_direct_map_type(faiss().DirectMap.NoMap)
        self.index.remove_ids(ids)
        self._refresh()

    def vectors(self, ids: np.ndarray) -> np.ndarray:
        """Reads stored vectors; the first call makes a table of the places of all ids.

        Args:
            ids: int64 `(n,)`, in the lists.

        Returns:
            float32 `(n, dim)`, not centered.

        Example:

        >>> lists = InvertedLists(np.eye(2, dtype="float32"), "float32")
        >>> lists.add(np.array([5]), lists.centered(np.eye(2, dtype="float32")[:1]), np.array([0]))
        >>> lists.vectors(np.array([5])).tolist()
        [[1.0, 0.0]]
        """
        if self.index.direct_map.type == faiss().DirectMap.NoMap:
            self.index.set_direct_map_type(faiss().DirectMap.Hashtable)
        return self.index.reconstruct_batch(np.ascontiguousarray(ids, "int64")) + self.center

    def search(
        self, vectors: np.ndarray, distances: np.ndarray, codes: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Finds the nearest vectors in given lists.

        Args:
            vectors: float32 `(n, dim)`, centered.
            distances: float32 `(n, lists)`, squared distances of the vectors to the codes.
            codes: int64 `(n, lists)`, the lists to visit; -1 for none.
            count: int, vectors to find.

        Returns:
            Squared distances and ids, `(n, count)`; id -1 where the lists hold fewer.
        """
        self.index.nprobe = codes.shape[1]
        return self.index.search_preassigned(
            vectors, count, np.ascontiguousarray(codes), np.ascontiguousarray(distances, "float32")
        )

    def _sizes(self) -> np.ndarray:
        lists = self.index.invlists
        return np.array([lists.list_size(code) for code in range(self.index.nlist)], "int64")

    def ids(self) -> np.ndarray:
        """Returns all ids, list by list.

        Returns:
            int64 `(clips,)`.
        """
        lists, view = self.index.invlists, faiss().rev_swig_ptr
        found = [
            view(lists.get_ids(code), size).copy()
            for code, size in enumerate(self.sizes.tolist())
            if size
        ]
        return np.concatenate(found) if found else np.zeros(0, "int64")

    def write(self, path: Path) -> None:
        """Writes the lists: their sizes, the ids and the stored vectors, list by list.

        Args:
            path: the file.
        """
        lists, view = self.index.invlists, faiss().rev_swig_ptr
        filled = [(code, size) for code, size in enumerate(self.sizes.tolist()) if size]
        with path.open("wb") as stream:
            stream.write(self.sizes.astype("<i8").tobytes())
            for code, size in filled:
                stream.write(view(lists.get_ids(code), size).astype("<i8").tobytes())
            for code, size in filled:
                stream.write(view(lists.get_codes(code), size * self.index.code_size).data)

    def read(self, stream: CheckedStream, count: int) -> None:
        """Fills empty lists with those of a file; no library of others parses it.

        Args:
            stream: of a file of `write`, for the same codebook and storage.
            count: int, vectors in all lists.

        Raises:
            ValueError: if the file ends early, or does not hold so many vectors of finite numbers.
        """
        sizes = stream.read_array(self.index.nlist, "<i8")
        if sizes.min(initial=0) < 0 or sizes.max(initial=0) > count or sizes.sum() != count:
            raise ValueError(f"its lists must hold {count} clips in all")
        pointer, lists = faiss().swig_ptr, self.index.invlists
        filled = [(code, size) for code, size in enumerate(sizes.tolist()) if size]
        ids = [stream.read_array(size, "<i8").astype("int64") for _, size in filled]
        kind = {"float32": "<f4", "float16": "<f2"}.get(self.storage)
        for (code, size), own in zip(filled, ids, strict=True):
            vectors = stream.read_array(size * self.index.code_size, "u1")
            if kind is not None and not np.isfinite(vectors.view(kind)).all():
                raise ValueError("its vectors must be finite")
            if vectors.size:
                lists.add_entries(code, size, pointer(own), pointer(vectors))
            else:
                lists.add_entries(code, size, pointer(own), pointer(np.zeros(1, "u1")))
        self.index.ntotal = count
        self._refresh()
