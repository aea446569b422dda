"""Computes features of uploaded files in worker processes with a time limit."""

from __future__ import annotations

import queue
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from data_tools.extraction.pool import Worker

MODULE = f"{__package__}.extraction_worker"


class ExtractionWorkers:
    """Computes features by the extractors of a run; any thread may call it.

    A file that crashes a decoder, or takes too long, ends one process, which is started again.

    Args:
        run: folder of the run.
        models: modality to the path of the model file of its extractor, where the recorded one is
            elsewhere.
        workers: int, number of processes.
        seconds: float, seconds that a file may take.
    """

    def __init__(
        self, run: Path, models: Mapping[str, str], workers: int = 2, seconds: float = 30.0
    ) -> None:
        setup = {"run": str(run), "models": dict(models)}
        self._workers = [Worker(setup, seconds, MODULE) for _ in range(workers)]
        self._free: queue.LifoQueue[Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._free.put(worker)

    def start(self) -> None:
        """Starts all processes and waits for them.

        Raises:
            FileNotFoundError: if a model file is not found.
            ImportError: if an extractor lacks a package.
            ValueError: if the run keeps no extractors.
        """
        with ThreadPoolExecutor(len(self._workers)) as threads:
            list(threads.map(Worker.start, self._workers))

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
            OSError: if the machine is at fault, such as a full disk.
        """
        tasks = [([file], []) for file in files] + [([], [text]) for text in texts]
        return [self._one(modality, *task) for task in tasks]

    def _one(self, modality: str, files: list[str], texts: list[str]) -> np.ndarray | str:
        with tempfile.TemporaryDirectory(prefix="keras-cmg-") as folder:
            out = Path(folder) / "features.npy"
            task = {"modality": modality, "files": files, "texts": texts, "out": str(out)}
            worker = self._free.get()
            try:
                found = worker.run(task)
            finally:
                self._free.put(worker)
            if failures := found.get("failures"):
                return str(failures[0]["reason"])
            return np.load(out, allow_pickle=False)

    def close(self) -> None:
        """Ends the processes, even in the middle of a file."""
        for worker in self._workers:
            worker.kill()
            worker.close()
