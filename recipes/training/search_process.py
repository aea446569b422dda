"""A search for settings, in this process or in several: the part of the recipe `tune` that trains.

    python -m recipes.training.search_process JOB.json

takes part in the search that JOB describes. With KerasTuner's variables `KERASTUNER_TUNER_ID`,
`KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT` set it does so as its chief or as a worker, on
this machine or another that sees the same folders.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras import ops

import data_tools
from data_tools.io.files import atomic_file, read_json
from keras_cmg import tuning
from recipes.protocol import probing

MODALITIES = ("audio", "video", "text")
LEVELS = {"audio": "segment", "video": "segment", "text": "clip"}
VIEW = "codes"


@dataclasses.dataclass
class Job:
    """All that decides a search."""

    system: str
    features: str
    folder: str
    preset: str
    space: dict[str, Any]
    seeds: tuple[int, ...]
    epochs: int
    batch_size: int
    probe_epochs: int
    max_trials: int
    seed: int
    method: str

    def model(self) -> tuning.CMGHyperModel:
        """What KerasTuner searches.

        Returns:
            The hypermodel.
        """
        space = {name: tuple(bounds) for name, bounds in self.space.items()}
        return tuning.CMGHyperModel(
            self.system,
            lambda seed: data_tools.load(
                self.features, "train", MODALITIES, self.batch_size, seed=seed
            ),
            lambda backbone, mask, seed: self.source_validation(backbone, mask, seed),
            Path(self.folder) / "scores",
            modalities=MODALITIES,
            preset=self.preset,
            space=tuning.Space(**space),
            seeds=tuple(self.seeds),
            epochs=self.epochs,
        )

    def tuner(self) -> Any:
        """The search, where it stands.

        Returns:
            A KerasTuner.
        """
        return tuning.tuner(
            self.model(), Path(self.folder) / "trials", self.max_trials, self.seed, self.method
        )

    def probes(self, backbone: Any, mask: Any, seed: int, test: bool) -> probing.ProbeScores:
        """Probes of every modality on the codes, or on the dimensions that a mask keeps.

        Args:
            backbone: trained.
            mask: adapted, or None.
            seed: of the probes.
            test: whether they are also tried on the test clips of every modality.

        Returns:
            Their scores; without `test` only those on validation clips of the source.
        """
        splits = ("train", "val", "test") if test else ("train", "val")
        encoded = probing.encode_splits(backbone, self.features, LEVELS, splits)
        codes: dict[str, Any] = {"test": {}}
        for split, modalities in encoded.items():
            codes[split] = {
                name: {VIEW: _kept(kinds["quantized"], mask)} for name, kinds in modalities.items()
            }
        classes = {split: probing.clip_classes(self.features, split) for split in codes}
        count = len(data_tools.FeatureFolder(self.features).categories)
        return probing.cross_modal_probes(codes, classes, count, self.probe_epochs, seed=seed)

    def source_validation(self, backbone: Any, mask: Any, seed: int) -> float:
        """What is maximised: the accuracy of probes on validation clips of their own modality.

        Args:
            backbone: trained.
            mask: adapted, or None.
            seed: of the probes.

        Returns:
            The mean over modalities, a share.
        """
        found = self.probes(backbone, mask, seed, test=False).validation[VIEW]
        return sum(found.values()) / len(found)


def _kept(codes, mask):
    return codes if mask is None else ops.convert_to_numpy(mask(ops.convert_to_tensor(codes)))


def search(job: Job, workers: int) -> None:
    """Runs a search to its end, from where it stands.

    Args:
        job: the search.
        workers: processes that run trials; with 1, this one does.

    Raises:
        ValueError: a process failed.
    """
    if workers == 1:
        job.tuner().search(verbose=0)
        return
    path = Path(job.folder) / "job.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as scratch:
        scratch.write_text(json.dumps(dataclasses.asdict(job), indent=1), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    names = ["chief", *(f"worker{i}" for i in range(workers))]
    processes = [start(path, {**address, "KERASTUNER_TUNER_ID": name}) for name in names]
    try:
        failed = [
            name for name, process in zip(names, processes, strict=True) if process.wait() != 0
        ]
    finally:
        for process in processes:
            process.terminate()
    if failed:
        raise ValueError(f"processes of the search failed, see above: {failed}")


def start(path: Path, variables: Mapping[str, str]) -> subprocess.Popen:
    """Starts a process of a search.

    Args:
        path: of the job.
        variables: of KerasTuner.

    Returns:
        The process.
    """
    command = [sys.executable, "-m", "recipes.training.search_process", str(path)]
    return subprocess.Popen(command, env={**os.environ, **variables})


def main(path: Path) -> None:
    """Takes part in a search.

    Args:
        path: of the job.
    """
    Job(**read_json(path)).tuner().search(verbose=0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
