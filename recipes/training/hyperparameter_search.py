"""The search for hyperparameters of `compare --trials` and `tune`, by KerasTuner.

Run as a module, it takes part in a search, on this machine or another that sees the same folders:

    python -m recipes.training.hyperparameter_search JOB.json

KerasTuner's variables `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and `KERASTUNER_ORACLE_PORT`
say whether as its chief or as a worker.
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

from data_tools.io.files import atomic_file, read_record, reading, set_engine_defaults
from keras_cmg import tuning
from recipes.protocol import clip_probes, clip_views
from recipes.protocol.clips import Clips
from recipes.protocol.cross_modal_probes import EncodedClips
from recipes.runner import content_cache
from recipes.runner.seed_runs import Job
from recipes.training.best_epoch import BestEpoch, within_modality
from recipes.training.model_entries import parts
from recipes.training.trained_encoders import training_batches

SEARCHED = "searched"


@dataclasses.dataclass
class Search:
    """All that decides a search; its fields are types of JSON.

    Args:
        entry: model, or `model:preset`.
        clips: fields of `recipes.protocol.clips.Clips`.
        data: identity of the clips.
        cache: folder of trials and scores, which are found again by content.
        space: arguments of `keras_cmg.tuning.Space`.
        trials: settings tried, the preset counted.
        seeds: seeds of the trainings of a trial.
        epochs: epochs of a training.
        batch_size: clips per step.
        learning_rate: learning rate where it is not searched.
        seed: seed of the search.
        method: "bayesian" or "random".
    """

    entry: str
    clips: dict[str, Any]
    data: dict[str, Any]
    cache: str
    space: dict[str, Any]
    trials: int
    seeds: tuple[int, ...]
    epochs: int
    batch_size: int
    learning_rate: float
    seed: int
    method: str

    @property
    def source(self) -> Clips:
        """Clips that the models are trained and probed on."""
        return Clips(**{**self.clips, "root": Path(self.clips["root"])})

    def hypermodel(self) -> tuning.CMGHyperModel:
        """Returns what KerasTuner searches."""
        model, preset = parts(self.entry)
        space: dict[str, Any] = {
            name: dict(values) if name == "arguments" else tuple(values)
            for name, values in self.space.items()
        }
        found = tuning.CMGHyperModel(
            model,
            lambda seed: training_batches(self.source, self.batch_size, seed, found.known),
            lambda backbone, mask, seed: self.score(backbone, mask, seed),
            Path(self.cache) / "scores",
            modalities=self.source.modalities(),
            preset=preset,
            space=tuning.Space(**space),
            seeds=tuple(self.seeds),
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            identity=content_cache.with_code({"data": self.data, "batch_size": self.batch_size}),
            callbacks=lambda: [BestEpoch(self.source)],
        )
        return found

    def tuner(self) -> Any:
        """Returns the KerasTuner of the search, with the trials that are finished."""
        return tuning.tuner(
            self.hypermodel(),
            Path(self.cache) / "searches",
            self.trials - 1,
            self.seed,
            self.method,
        )

    def score(self, backbone: Any, mask: Any, seed: int) -> float:
        """Computes what is maximised: accuracy on validation clips of the probes' own modality.

        Args:
            backbone: trained, with the weights of its best epoch.
            mask: TOC mask, adapted, or None.
            seed: seed of the training; probes have none.

        Returns:
            Mean over modalities, a fraction.
        """
        return within_modality(backbone, self.source, mask)


def new_search(
    job: Job, clips: Clips, entry: str, space: Mapping[str, Any], seeds: tuple[int, ...]
) -> Search:
    """Returns the search of a recipe for one model.

    Args:
        job: a seed of a recipe.
        clips: clips to train and probe on.
        entry: model, or `model:preset`.
        space: arguments of `keras_cmg.tuning.Space`.
        seeds: seeds of the trainings of a trial; the first is that of the search.
    """
    settings = job.settings
    return Search(
        entry,
        {**clips._asdict(), "root": str(clips.root)},
        clips.identity(),
        str(job.cache),
        dict(space),
        settings.trials,
        seeds,
        settings.epochs,
        settings.batch_size,
        settings.learning_rate,
        seeds[0],
        settings.method,
    )


def search(wanted: Search, workers: int = 1) -> list[dict[str, Any]]:
    """Runs a search to its end, from where it stands.

    Args:
        wanted: the search.
        workers: processes that run trials; with 1, this process runs them.

    Returns:
        A dict per trial of `trial`, its number; `values`, hyperparameter to value; `score`; and
        `message` if it failed. Trial 0 is the preset. The best is first, failed trials are last.

    Raises:
        ValueError: if every trial failed, or a process.
    """
    if wanted.trials > 1:
        _run_trials(wanted, workers)
    found = [_preset_trial(wanted.hypermodel())]
    if wanted.trials > 1:
        found += [
            {
                "trial": int(trial.trial_id) + 1,
                "values": trial.hyperparameters.values,
                "score": trial.score,
                "message": trial.message,
            }
            for trial in wanted.tuner().oracle.trials.values()
        ]
    if all(trial["score"] is None for trial in found):
        raise ValueError(f"every trial of {wanted.entry} failed; the last: {found[-1]['message']}")
    # The first of equally good ones.
    return sorted(found, key=lambda t: (t["score"] is None, -(t["score"] or 0), t["trial"]))


def final_scores(wanted: Search, values: Mapping[str, Any], backbone: Any) -> dict[str, float]:
    """Computes all scores of a model that was trained with some values on a fresh seed.

    Args:
        wanted: the search.
        values: hyperparameter to value.
        backbone: of the trained model.

    Returns:
        `source validation`, `across modalities` and `within a modality`, fractions.
    """
    mask = wanted.hypermodel().mask(values, backbone)
    view = clip_views.CODES if mask is None else SEARCHED
    masks = {} if mask is None else {SEARCHED: mask}
    encoded = EncodedClips(backbone, wanted.source)
    train, val, test = (
        clip_views.vectors_of(encoded, split, masks, tokens=False)[view]
        for split in ("train", "val", "test")
    )
    sources = {name: (train[name], val[name]) for name in train}
    number = len(wanted.source.categories())
    probes, predicted = clip_probes.probe_pairs(sources, test, number)
    own = [probe.validation for probe in probes.values()]
    within: list[float] = []
    across: list[float] = []
    for pair, answer in predicted.items():
        source, target = pair.split("->")
        right = (answer == test[target].classes)[test[target].present]
        (within if source == target else across).append(float(right.mean()))
    return {
        "source validation": sum(own) / len(own),
        "across modalities": sum(across) / len(across),
        "within a modality": sum(within) / len(within),
    }


def _preset_trial(model: tuning.CMGHyperModel) -> dict[str, Any]:
    try:
        scores = [model.measure({}, seed) for seed in model.seeds]
    except ValueError as error:
        # Such as a loss that is not finite: the preset does not work on these data.
        return {"trial": 0, "values": {}, "score": None, "message": str(error)}
    return {"trial": 0, "values": {}, "score": sum(scores) / len(scores), "message": None}


def _run_trials(wanted: Search, workers: int) -> None:
    if workers == 1:
        _take_part(wanted)
        return
    path = Path(wanted.cache) / "job.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as scratch:
        scratch.write_text(json.dumps(dataclasses.asdict(wanted), indent=1), encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = {"KERASTUNER_ORACLE_IP": "127.0.0.1", "KERASTUNER_ORACLE_PORT": str(port)}
    names = ["chief", *(f"worker{i}" for i in range(workers))]
    processes = [_start(path, {**address, "KERASTUNER_TUNER_ID": name}) for name in names]
    try:
        failed = [
            name for name, process in zip(names, processes, strict=True) if process.wait() != 0
        ]
    finally:
        for process in processes:
            process.terminate()
    if failed:
        raise ValueError(f"processes of the search failed, see above: {failed}")


def _take_part(wanted: Search) -> None:
    tuner = wanted.tuner()
    try:
        tuner.search(verbose=0)
    except RuntimeError as error:
        # KerasTuner stops after several failed trials, whose messages are reported.
        if not any(trial.message for trial in tuner.oracle.trials.values()):
            raise ValueError(str(error)) from error


def _start(path: Path, variables: Mapping[str, str]) -> subprocess.Popen:
    command = [sys.executable, "-m", f"{__package__}.hyperparameter_search", str(path)]
    return subprocess.Popen(command, env={**os.environ, **variables})


def main(path: Path) -> None:
    """Takes part in a search.

    Args:
        path: file of the search.
    """
    set_engine_defaults()
    with reading(path, "describe a search"):
        wanted = Search(**read_record(path, {}))
    _take_part(wanted)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
