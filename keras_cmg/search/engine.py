"""The lists behind `CodeIndex`: FAISS's inverted file with the codebook in place of k-means."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

STORAGES = {"float32": "", "float16": "QT_fp16", "codes": "QT_0bit"}
"""What is kept of a vector, and FAISS's name for it."""


@functools.cache
def faiss() -> Any:
    """The faiss package.

    Returns:
        The module.

    Raises:
        ImportError: if it is not installed.

    Example:

    >>> hasattr(faiss(), "IndexIVFFlat")
    True
    """
    try:
        import faiss
    except ImportError as error:
        raise ImportError(
            "Searching needs the package 'faiss-cpu' (or a build of faiss for GPUs): "
            "pip install 'keras-cmg[search]'."
        ) from error
    return faiss


class InvertedLists:
    """A list of ids and vectors per code.

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
        self.codebook = codebook
        self.codes = library.IndexFlatL2(dim)
        self.codes.add(codebook)
        if STORAGES[storage]:
            kind = getattr(library.ScalarQuantizer, STORAGES[storage])
            # Without bits, what is left of a vector is its code; with some, they hold it whole.
            residual = storage == "codes"
            self.index = library.IndexIVFScalarQuantizer(
                self.codes, dim, num_embeddings, kind, library.METRIC_L2, residual
            )
            self.index.train(codebook)
        else:
            self.index = library.IndexIVFFlat(self.codes, dim, num_embeddings, library.METRIC_L2)

        self.filled_codes: Any = None
        self._changed()

    def _changed(self) -> None:
        self.sizes = self._sizes()
        self.filled = np.flatnonzero(self.sizes)
        self.filled_codes = None

    def code_of(self, vectors: np.ndarray) -> np.ndarray:
        """The code nearest to each vector.

        Args:
            vectors: float32 `(n, dim)`.

        Returns:
            int64 `(n,)`.
        """
        return self.codes.search(vectors, 1)[1][:, 0]

    def nearest_nonempty(self, vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """The nearest codes among those that have clips.

        Modalities share a code space and still leave parts of it to others: the codes nearest to
        a sound may hold no picture at all.

        Args:
            vectors: float32 `(n, dim)`.
            count: of codes for each.

        Returns:
            Squared distances, and int64 codes, nearest first, `(n, count)`, or less where fewer
            codes have clips.
        """
        if len(self.filled) == len(self.codebook):
            return self.codes.search(vectors, min(count, len(self.codebook)))
        if not len(self.filled):
            shape = (len(vectors), 1)
            return np.full(shape, np.inf, "float32"), np.full(shape, -1, "int64")
        if self.filled_codes is None:
            self.filled_codes = faiss().IndexFlatL2(self.codebook.shape[1])
            self.filled_codes.add(self.codebook[self.filled])
        distances, places = self.filled_codes.search(vectors, min(count, len(self.filled)))
        return distances, self.filled[places]

    def add(self, ids: np.ndarray, vectors: np.ndarray, codes: np.ndarray) -> None:
        """Appends to the lists.

        Args:
            ids: int64 `(n,)`.
            vectors: float32 `(n, dim)`.
            codes: int64 `(n,)`, the list of each.
        """
        pointer = faiss().swig_ptr
        self.index.add_core(len(ids), pointer(vectors), pointer(ids), pointer(codes))
        new = self.sizes[codes] == 0
        self.sizes += np.bincount(codes, minlength=len(self.sizes))
        if new.any():
            self.filled, self.filled_codes = np.flatnonzero(self.sizes), None

    def remove(self, ids: np.ndarray) -> None:
        """Takes ids out of the lists; one pass over all ids in the index.

        Args:
            ids: int64 `(n,)`.
        """
        self.index.remove_ids(ids)
        self._changed()

    def search(
        self, vectors: np.ndarray, distances: np.ndarray, codes: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """The nearest vectors in given lists.

        Args:
            vectors: float32 `(n, dim)`.
            distances: float32 `(n, lists)`, squared distances of the vectors to the codes.
            codes: int64 `(n, lists)`, the lists to visit; -1 is none.
            count: how many to find.

        Returns:
            Squared distances and ids, `(n, count)`; id -1 where there are no more.
        """
        self.index.nprobe = codes.shape[1]
        return self.index.search_preassigned(
            vectors, count, np.ascontiguousarray(codes), np.ascontiguousarray(distances, "float32")
        )

    def _sizes(self) -> np.ndarray:
        lists = self.index.invlists
        return np.array([lists.list_size(code) for code in range(self.index.nlist)], "int64")

    def ids(self) -> np.ndarray:
        """All ids, list by list.

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
        """Writes the lists.

        Args:
            path: the file.
        """
        faiss().write_index(self.index, str(path))

    def read(self, path: Path) -> None:
        """Takes the lists over from a file.

        Args:
            path: a file of `write`, for the same codebook and storage.

        Raises:
            ValueError: if it does not fit.
        """
        try:
            index = faiss().read_index(str(path))
        except RuntimeError as error:
            raise ValueError(f"{path} cannot be read: {error}") from error
        same = type(index) is type(self.index) and index.code_size == self.index.code_size
        if not same or (index.d, index.nlist) != (self.index.d, self.index.nlist):
            raise ValueError(f"{path} must hold the lists of this codebook and storage.")
        self.index = index
        self._changed()
