"""Computes features of uploaded files in worker processes, several requests at a time."""

from __future__ import annotations

import queue
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from data_tools.extraction.raw_features import RawFeatures


class ExtractionWorkers:
    """Computes features by the extractors of a run; any thread may call it.

    Files are decoded in other processes: one that crashes a decoder, or takes too long, ends its
    process, which is started again.

    Args:
        run: folder of the run.
        models: modality to the path of the model file of its extractor, where the recorded one is
            elsewhere.
        workers: int, files that are decoded at the same time; each has a process per modality.
        seconds: float, seconds that a file may take.

    Raises:
        FileNotFoundError: if the run keeps no extractors.
        ValueError: if their description is damaged.
    """

    def __init__(
        self, run: Path, models: Mapping[str, str], workers: int = 2, seconds: float = 30.0
    ) -> None:
        self._all = [RawFeatures(run, models, seconds) for _ in range(workers)]
        self._free: queue.LifoQueue[RawFeatures] = queue.LifoQueue()
        for features in self._all:
            self._free.put(features)

    def start(self) -> None:
        """Starts all processes, so that the first request need not wait for them.

        Raises:
            FileNotFoundError: if a model file is not found.
            ImportError: if an extractor lacks a package.
            ValueError: if a model file is not the one of the run.
        """
        for features in self._all:
            features.start()

    def __call__(
        self, modality: str, files: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> list[np.ndarray | str]:
        """Computes the features of files or texts.

        Args:
            modality: as which they are encoded.
            files: paths.
            texts: sentences.

        Returns:
            For each file or text its features, or the reason why it has none.

        Raises:
            FileNotFoundError: if a model file is not found.
            ImportError: if an extractor lacks a package.
            OSError: if the machine is at fault, such as a full disk.
        """
        features = self._free.get()
        try:
            return list(features(modality, files, texts))
        finally:
            self._free.put(features)
