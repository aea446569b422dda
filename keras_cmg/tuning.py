"""Hyperparameter search for any system, with KerasTuner (the extra `tuner`)."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_cmg.extras import missing
from keras_cmg.files import atomic_file
from keras_cmg.layers import TOCChannelMask
from keras_cmg.models import Pretrainer, create_model
from keras_cmg.models.base import registry
from keras_cmg.models.base.configs import is_serialized
from keras_cmg.models.base.presets import merged
from keras_cmg.optimizers.learning_rates import SCHEDULES, scheduled_learning_rate
from keras_cmg.records import read_record

try:
    import keras_tuner
except ModuleNotFoundError as error:
    package = "six" if error.name == "six" else "keras_tuner"
    raise missing(package, "keras_cmg.tuning needs", error) from error

OBJECTIVE = "source_validation"
"""Name of the objective, which is maximised: the mean over seeds of `score`."""

TOC = "toc"
WEIGHT = "weight_"
PATHS = {
    "num_embeddings": "backbone.num_embeddings",
    "embedding_dim": "backbone.embedding_dim",
    "dead_code_patience": "backbone.quantizer.dead_code_patience",
}
"""Hyperparameter to argument of the model."""


@dataclasses.dataclass(frozen=True)
class Space:
    """Search space of each hyperparameter; those of empty entries keep the value of the preset.

    Args:
        num_embeddings: sizes of the codebook, the paper's H.
        embedding_dim: lengths of a code, the paper's D.
        learning_rate: bounds of the main optimiser's, on a logarithmic scale.
        estimator_learning_rate: of the estimators' optimiser, for systems that have one.
        dead_code_patience: training steps without use after which a code is replaced.
        loss_weight: bounds of the weight of each term, on a logarithmic scale.
        toc_lambda: bounds of the weight of variance in TOC, Eq. 22.
        toc_share: shares of the dimensions that TOC keeps, the paper's Q over D; 1 is no TOC.
        schedule: schedules of the main optimiser's learning rate.
        arguments: further arguments of the model, dots for nesting, to the values that are tried.

    Example:

    >>> Space(embedding_dim=()).num_embeddings
    (100, 200, 400, 800)
    """

    num_embeddings: tuple[int, ...] = (100, 200, 400, 800)
    embedding_dim: tuple[int, ...] = (64, 128, 256)
    learning_rate: tuple[float, ...] = (1e-4, 4e-3)
    estimator_learning_rate: tuple[float, ...] = (2e-4, 5e-3)
    dead_code_patience: tuple[int, ...] = (10, 25, 50, 100, 300)
    loss_weight: tuple[float, ...] = (0.1, 10.0)
    toc_lambda: tuple[float, ...] = (0.0, 1.0)
    toc_share: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    schedule: tuple[str, ...] = ()
    arguments: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)


class CMGHyperModel(keras_tuner.HyperModel):
    """A KerasTuner hypermodel of any system of the library.

    A trial trains the system once per seed, without labels, and reports the mean score. The score
    of each seed is written to `folder` when it is known, so that an interrupted search is resumed,
    and neither a repeated trial nor the final comparison trains again.

    Args:
        system: str, name of the system, see `keras_cmg.models.list_models`.
        data: function of the seed to the training batches.
        score: function of the trained backbone, the adapted TOC mask or None, and the seed to a
            number; larger is better. It should use validation clips of the source modality alone,
            as the search must not see the target.
        folder: folder of the scores, shared by all workers of a search.
        modalities: names of the modalities; default those of the preset.
        preset: str, preset from which the search starts; default that of the system.
        space: the search space.
        seeds: ints, seeds of the trainings of a trial.
        epochs: int, epochs of each training.
        learning_rate: float, of the main Adam, unless it is searched.
        estimator_learning_rate: float, of the estimators' Adam, unless it is searched.
        overrides: changes to the preset, as arguments of `keras_cmg.models.create_model`.
        identity: everything else that determines a score, in types of JSON: a checksum of the data,
            the batch size, versions. Scores in `folder` are reused for equal identities only.
        callbacks: function that returns the callbacks of one training, such as one that keeps the
            best epoch; none if None.

    Raises:
        ValueError: if `system` or `preset` is unknown, or there are no seeds or epochs.

    Example:

    >>> model = CMGHyperModel("dcid", None, None, "scores", modalities=("audio", "text"))
    >>> model.defaults()["num_embeddings"], model.defaults()["weight_commitment"]
    (400, 1.0)
    """

    def __init__(
        self,
        system: str,
        data: Callable[[int], Any] | None,
        score: Callable[[Any, TOCChannelMask | None, int], float] | None,
        folder: str | os.PathLike[str],
        modalities: tuple[str, ...] | None = None,
        preset: str | None = None,
        space: Space = Space(),
        seeds: Sequence[int] = (0,),
        epochs: int = 10,
        learning_rate: float = 4e-4,
        estimator_learning_rate: float = 1e-3,
        overrides: Mapping[str, Any] | None = None,
        identity: Mapping[str, Any] | None = None,
        callbacks: Callable[[], list[keras.callbacks.Callback]] | None = None,
    ):
        super().__init__(name=system)
        if not seeds:
            raise ValueError(f"`seeds` must hold at least one. Received: {seeds!r}")
        if epochs < 1:
            raise ValueError(f"`epochs` must be at least 1. Received: {epochs}")
        self.system = system
        self.data: Any = data
        self.score: Any = score
        self.folder = Path(folder)
        self.modalities = modalities
        self.preset = preset or registry.get_model_class(system).default_preset
        self.space = space
        self.seeds = tuple(seeds)
        self.epochs = epochs
        self.rates = {
            "learning_rate": learning_rate,
            "estimator_learning_rate": estimator_learning_rate,
        }
        self.overrides = dict(overrides or {})
        self.identity = dict(identity or {})
        self.callbacks = callbacks
        self.known = self.create({}, 0)

    def create(self, values: Mapping[str, Any], seed: int) -> Pretrainer:
        """Creates the system with the given hyperparameters, not compiled.

        Args:
            values: hyperparameter to value; others keep the value of the preset.
            seed: int, seed of weights, codes and dropout.

        Returns:
            The model.

        Example:

        >>> model = CMGHyperModel("fcid", None, None, "scores", modalities=("audio", "text"))
        >>> model.create({"num_embeddings": 100}, 0).backbone.num_embeddings
        100
        """
        # Copies of layers, so that no trial starts from what an earlier one trained.
        arguments = merged(_copied(self.overrides), self.arguments(values))
        keras.utils.set_random_seed(seed)
        return create_model(self.system, self.preset, self.modalities, seed, **arguments)

    def arguments(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the arguments of `keras_cmg.models.create_model` that some values stand for.

        Args:
            values: hyperparameter to value; those of the optimiser and of TOC are skipped.

        Returns:
            Nested arguments.

        Example:

        >>> model = CMGHyperModel("fcid", None, None, "scores", modalities=("audio", "text"))
        >>> model.arguments({"num_embeddings": 100, "weight_cpc": 2.0, "learning_rate": 1e-3})
        {'backbone': {'num_embeddings': 100}, 'loss_weights': {'cpc': 2.0}}
        """
        found: dict[str, Any] = {}
        for name, value in values.items():
            path = PATHS.get(name)
            if name.startswith(WEIGHT):
                path = f"loss_weights.{name.removeprefix(WEIGHT)}"
            if name in self.space.arguments:
                path = name
            if path is not None:
                nested: Any = value
                for part in reversed(path.split(".")):
                    nested = {part: nested}
                found = merged(found, nested)
        return found

    def defaults(self) -> dict[str, Any]:
        """Returns the preset's value of every hyperparameter of the space that the system has.

        Returns:
            Hyperparameter to value.

        Example:

        >>> CMGHyperModel("fcid", None, None, "scores").defaults()["toc_share"]
        1.0
        """
        model, space = self.known, self.space
        codebook = getattr(model.backbone, "quantizer", None)
        found: dict[str, Any] = {}
        given = (self.overrides.get("backbone") or {}).get("quantizer")
        if isinstance(given, keras.Layer) or is_serialized(given):
            # A given quantiser has a size of its own.
            space = dataclasses.replace(
                space, num_embeddings=(), embedding_dim=(), dead_code_patience=()
            )
        if codebook is not None:
            found |= {k: getattr(model.backbone, k) for k in ("num_embeddings", "embedding_dim")}
            if getattr(codebook, "dead_code_patience", None):
                found["dead_code_patience"] = codebook.dead_code_patience
            # Equal weights of the codes of a grid say nothing about its channels.
            if not getattr(codebook, "is_grid", False):
                found |= {"toc_share": 1.0, "toc_lambda": TOCChannelMask(1).variance_weight}
        elif hasattr(model.backbone, "embedding_dim"):
            found["embedding_dim"] = model.backbone.embedding_dim
        found["learning_rate"] = self.rates["learning_rate"]
        if model.estimators:
            found["estimator_learning_rate"] = self.rates["estimator_learning_rate"]
        found["schedule"] = "constant"
        found = {name: value for name, value in found.items() if getattr(space, name)}
        if space.loss_weight and "loss_weights" in inspect.signature(type(model)).parameters:
            found |= {f"{WEIGHT}{name}": model.loss_weights[name] for name in model.loss_names}
        return found

    def values(self, hp: Any) -> dict[str, Any]:
        """Declares the space to KerasTuner.

        Args:
            hp: a `keras_tuner.HyperParameters`.

        Returns:
            Hyperparameter to this trial's value.

        Example:

        >>> model = CMGHyperModel("dcid", None, None, "scores", modalities=("audio",))
        >>> model.values(keras_tuner.HyperParameters()) == model.defaults()
        True
        """
        found = {}
        for name, default in self.defaults().items():
            weight = name.startswith(WEIGHT)
            bounds = getattr(self.space, "loss_weight" if weight else name)
            if weight:
                # Relative to the weight of the preset, which depends on the number of features.
                low, high = (default * bound for bound in bounds)
                found[name] = hp.Float(name, low, high, sampling="log", default=default)
            elif name.endswith("learning_rate"):
                found[name] = hp.Float(name, *bounds, sampling="log", default=default)
            elif name == "toc_lambda":
                found[name] = hp.Float(name, *bounds, default=default)
            else:
                options = tuple(dict.fromkeys((*bounds, default)))
                found[name] = hp.Choice(name, options, default=default)
        for name, tried in self.space.arguments.items():
            found[name] = hp.Choice(name, tuple(tried))
        return found

    def build(self, hp: Any) -> Pretrainer:
        return self.compiled(self.values(hp), self.seeds[0])

    def compiled(self, values: Mapping[str, Any], seed: int, steps: int = 1) -> Pretrainer:
        """Creates and compiles the system with the given hyperparameters.

        Args:
            values: hyperparameter to value.
            seed: int, seed of weights, codes and dropout.
            steps: of the whole training, for a schedule of the learning rate.

        Returns:
            The model.

        Example:

        >>> model = CMGHyperModel("fcid", None, None, "scores", modalities=("audio", "text"))
        >>> round(float(model.compiled({"learning_rate": 1e-3}, 0).optimizer.learning_rate), 6)
        0.001
        """
        rates = {name: values.get(name, rate) for name, rate in self.rates.items()}
        model = self.create(values, seed)
        rate = scheduled_learning_rate(
            rates["learning_rate"], values.get("schedule", SCHEDULES[0]), steps
        )
        model.compile(
            keras.optimizers.Adam(rate, global_clipnorm=1.0),
            keras.optimizers.Adam(rates["estimator_learning_rate"]),
        )
        return model

    def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
        values = self.values(hp)
        scores = [self.measure(values, seed) for seed in self.seeds]
        return {OBJECTIVE: sum(scores) / len(scores)}

    def measure(self, values: Mapping[str, Any], seed: int) -> float:
        """Returns the score of the given hyperparameters and seed, from its file or by training.

        Args:
            values: hyperparameter to value.
            seed: int, seed of the training.

        Returns:
            The score.

        Raises:
            ValueError: if the score is not finite.
        """
        path = self.folder / f"{self._key(values, seed)}.json"
        if path.exists():
            return float(read_record(path, {"score": float})["score"])
        model = self.trained(values, seed)
        score = float(self.score(model.backbone, self.mask(values, model.backbone), seed))
        if score != score or score in (float("inf"), -float("inf")):
            raise ValueError(f"`score` must give a finite number. Received: {score}")
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"values": dict(values), "seed": seed, "score": score}, indent=1)
        with atomic_file(path) as scratch:
            scratch.write_text(text, encoding="utf-8")
        return score

    def trained(self, values: Mapping[str, Any], seed: int) -> Pretrainer:
        """Trains the system with the given hyperparameters.

        Args:
            values: hyperparameter to value.
            seed: int, seed of the training.

        Returns:
            The model.
        """
        data = self.data(seed)
        scheduled = values.get("schedule", SCHEDULES[0]) != SCHEDULES[0]
        model = self.compiled(values, seed, len(data) * self.epochs if scheduled else 1)
        callbacks = [] if self.callbacks is None else self.callbacks()
        model.fit(data, epochs=self.epochs, shuffle=False, verbose=0, callbacks=callbacks)
        return model

    def mask(self, values: Mapping[str, Any], backbone: Any) -> TOCChannelMask | None:
        """Creates the TOC mask of the given hyperparameters, adapted to a backbone's codebook.

        Args:
            values: hyperparameter to value.
            backbone: trained.

        Returns:
            The adapted mask, or None if all dimensions are kept.

        Example:

        >>> model = CMGHyperModel("dcid", None, None, "scores", modalities=("audio",))
        >>> model.known.backbone.build({"audio": (None, 10, 128)})
        >>> model.mask({"toc_share": 0.25}, model.known.backbone).num_channels
        64
        """
        share = values.get("toc_share", 1.0)
        if share >= 1 or backbone.quantizer is None:
            return None
        mask = TOCChannelMask(
            max(1, round(share * backbone.code_dim)),
            variance_weight=values.get("toc_lambda", TOCChannelMask(1).variance_weight),
        )
        mask.adapt(backbone.code_source())
        return mask

    def settled(self) -> dict[str, Any]:
        """Returns everything that determines a score beside the hyperparameters and the seed.

        Returns:
            Name to setting.

        Example:

        >>> CMGHyperModel("fcid", None, None, "scores", epochs=3).settled()["epochs"]
        3
        """
        return {
            "system": self.system,
            "preset": self.preset,
            "modalities": self.modalities,
            "overrides": self.overrides,
            "epochs": self.epochs,
            "rates": self.rates,
            "engine": keras.backend.backend(),
            "identity": self.identity,
        }

    def _key(self, values, seed):
        return _fingerprint({**self.settled(), "values": dict(values), "seed": seed})


def _copied(value: Any) -> Any:
    """Nested settings with new layers of the same configurations."""
    if isinstance(value, keras.Layer):
        return type(value).from_config(value.get_config())
    if isinstance(value, Mapping):
        return {key: _copied(each) for key, each in value.items()}
    return value


def _described(value: Any) -> Any:
    """What determines a value, in types of JSON: of a layer its configuration."""
    if isinstance(value, keras.Layer):
        return _without_names(keras.saving.serialize_keras_object(value))
    return str(value)


def _without_names(config: Any) -> Any:
    """A configuration without names of layers, which Keras numbers within a process."""
    if isinstance(config, Mapping):
        return {key: _without_names(each) for key, each in config.items() if key != "name"}
    if isinstance(config, list | tuple):
        return [_without_names(each) for each in config]
    return config


def _fingerprint(settings: Mapping[str, Any]) -> str:
    text = json.dumps(settings, sort_keys=True, default=_described)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def tuner(
    hypermodel: CMGHyperModel,
    directory: str | os.PathLike[str],
    max_trials: int,
    seed: int = 0,
    method: str = "bayesian",
) -> Any:
    """Creates a KerasTuner search, which resumes an earlier one in the folder.

    With KerasTuner's environment variables `KERASTUNER_TUNER_ID`, `KERASTUNER_ORACLE_IP` and
    `KERASTUNER_ORACLE_PORT` set, the process named `chief` hands out trials and the others run
    them.

    Args:
        hypermodel: the system and its search space.
        directory: folder of the search's files.
        max_trials: int, number of trials.
        seed: int, seed of the search.
        method: `"bayesian"` or `"random"`.

    Returns:
        A `keras_tuner.Tuner`; call its `search()`.

    Raises:
        ValueError: if `method` is unknown, or `max_trials` is below 1.

    Example:

    >>> model = CMGHyperModel("dcid", None, None, "scores", modalities=("audio",))
    >>> tuner(model, "search", max_trials=2).remaining_trials
    2
    """
    kinds = {
        "bayesian": keras_tuner.BayesianOptimization,
        "random": keras_tuner.RandomSearch,
    }
    if method not in kinds:
        raise ValueError(f"`method` must be one of {sorted(kinds)}. Received: {method!r}")
    if max_trials < 1:
        raise ValueError(f"`max_trials` must be at least 1. Received: {max_trials}")
    space = dataclasses.asdict(hypermodel.space)
    search = {"space": space, "seeds": hypermodel.seeds, "seed": seed, "method": method}
    name = _fingerprint({**hypermodel.settled(), **search})
    found = kinds[method](
        hypermodel,
        objective=keras_tuner.Objective(OBJECTIVE, "max"),
        max_trials=max_trials,
        seed=seed,
        directory=str(directory),
        # Searches with other settings have folders of their own.
        project_name=f"{hypermodel.system}_{name}",
        overwrite=False,
    )
    here = isinstance(found.oracle, keras_tuner.Oracle)
    if here and (Path(found.project_dir) / "oracle.json").exists():
        # KerasTuner looks for a file of this process, which may not be the one that searched.
        found.oracle.reload()
    return found
