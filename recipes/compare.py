"""Trains every system on the same clips, and asks each the same questions across modalities.

The columns of the paper's Tables 1 and 2 (Huang et al., 2025) for all systems of the library, with
the same clips, epochs and batches: linear probes trained on the codes of one modality and tested on
another, retrieval across modalities, both with and without TOC, time and memory.

    python -m recipes compare --data digits --root FOLDER --seeds 5 --out DIR
    python -m recipes compare --data digits --root FOLDER --seeds 5 --trials 4 --out DIR
    python -m recipes compare --data digits --root FOLDER --seeds 5 --ablate plus --out DIR

`--trials N` tunes every system by N trials of `recipes/search_spaces.py`, by the accuracy of probes
on validation clips of the modality that they were trained on: neither other modalities nor test
clips are looked at. What was chosen goes to `tuned.json`, which `--tuned` takes to save the search;
without either, systems run as chosen in `recipes/configs`. Every system and seed runs in a process
of its own, and `--resume` keeps those that are finished, trials included.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import data_tools
import keras_cmg
from data_tools.files import read_json
from keras_cmg.models.presets import merged
from recipes import compare_tables, comparison, provenance, publishing, search_spaces, settings
from recipes.output import RESULT
from recipes.seeds import Run

TUNED = "tuned.json"
TUNING_SEED = 1000
"""Of all trials; not one of those that are reported."""
VARIANTS = ("paper_small", "plus")
"""Presets of a system that are compared beside "small"."""
STARTED = time.time()


@dataclasses.dataclass
class Settings:
    """What a run is made of; all fields but `variants` are options."""

    data: str
    num_clips: dict[str, int]
    split: str | None = None
    systems: tuple[str, ...] = ()
    epochs: int = 8
    batch_size: int = 32
    probe_epochs: int = 25
    toc_channels: int = 128
    trials: int = 0
    tuned: dict[str, Any] = dataclasses.field(default_factory=dict)
    variants: dict[str, Any] = dataclasses.field(default_factory=dict)
    """Of an ablation: name to `entry` and `changes`."""


DEFAULTS = {
    "synthetic": Settings("synthetic", {"train": 400, "val": 200, "test": 500}),
    "digits": Settings("digits", {"train": 400, "val": 200, "test": 500}),
}
SMOKE: dict[str, Any] = {
    "num_clips": {"train": 20, "val": 10, "test": 20},
    "systems": ("fcid:plus", "simmmdg"),
    "epochs": 1,
    "batch_size": 10,
    "probe_epochs": 2,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    parser.add_argument("--data", choices=sorted(DEFAULTS), default="synthetic", help="data set")
    parser.add_argument("--root", help="folder of the raw files (default: download where needed)")
    parser.add_argument("--split", help="way of splitting (digits: official or speaker)")
    parser.add_argument("--features", help="folder of prepared features (default: OUT/features)")
    parser.add_argument(
        "--num-clips",
        type=int,
        nargs=3,
        metavar=("TRAIN", "VAL", "TEST"),
        help="clips of each split",
    )
    parser.add_argument(
        "--systems",
        nargs="+",
        metavar="SYSTEM[:PRESET]",
        help="which to compare (default: all, FCID also with the presets paper_small and plus)",
    )
    parser.add_argument("--epochs", type=int, help="of training without labels")
    parser.add_argument("--batch-size", type=int, help="clips per step")
    parser.add_argument("--probe-epochs", type=int, help="of training a probe")
    parser.add_argument("--toc-channels", type=int, metavar="Q", help="dimensions that TOC keeps")
    parser.add_argument("--trials", type=int, metavar="N", help="tune every system by N trials")
    parser.add_argument("--tuned", metavar="FILE", help="settings that an earlier search chose")
    parser.add_argument(
        "--ablate",
        metavar="PRESET",
        help="of FCID: undo, one at a time, what the preset changes in small",
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the data set, of `--smoke`, and of the options given, the last one counting."""
    given = argparse.Namespace(**{**vars(options), "tuned": None})
    if options.num_clips is not None:
        given.num_clips = dict(zip(("train", "val", "test"), options.num_clips, strict=True))
    chosen = settings.resolve(DEFAULTS[options.data], given, SMOKE)
    settings.check_positive(chosen, ("epochs", "batch_size", "probe_epochs", "toc_channels"))
    if chosen.trials < 0:
        raise ValueError(f"--trials must be at least 0; received: {chosen.trials}")
    if options.ablate is not None:
        if options.systems is not None:
            raise ValueError("--ablate names its systems itself; leave out --systems")
        chosen = dataclasses.replace(chosen, variants=ablation(options.ablate))
    systems = tuple(chosen.variants or chosen.systems or all_systems())
    entries = [chosen.variants[name]["entry"] if chosen.variants else name for name in systems]
    for entry in entries:
        system, preset = parts(entry)
        known = sorted(keras_cmg.system(system).presets)
        if preset not in known:
            raise ValueError(f"the preset of {system} must be one of {known}; received: {preset!r}")
    tuned = {}
    if not chosen.trials:
        everything = read_tuned(options, chosen)
        tuned = {entry: everything[entry] for entry in entries if entry in everything}
    elif options.tuned:
        raise ValueError("--trials searches for what --tuned brings; give one of them")
    return dataclasses.replace(chosen, systems=systems, tuned=tuned)


def all_systems() -> tuple[str, ...]:
    """Every registered system, with the presets that are compared.

    Returns:
        Entries, "system" for the preset "small" or "system:preset".

    Example:

    >>> "dcid" in all_systems() and "fcid:plus" in all_systems()
    True
    """
    return tuple(
        entry
        for name in keras_cmg.systems()
        for entry in (
            name,
            *(f"{name}:{kind}" for kind in VARIANTS if kind in keras_cmg.system(name).presets),
        )
    )


def parts(entry: str) -> tuple[str, str]:
    """System and preset of an entry.

    Args:
        entry: "system" or "system:preset".

    Returns:
        System and preset.

    Example:

    >>> parts("fcid:plus"), parts("dcid")
    (('fcid', 'plus'), ('dcid', 'small'))
    """
    system, _, preset = entry.partition(":")
    return system, preset or "small"


def ablation(preset: str) -> dict[str, Any]:
    """A preset of FCID, "small", and the preset without each thing that it changes in "small".

    Args:
        preset: name of the preset.

    Returns:
        Name to `entry`, whose tuned settings are used, and `changes`.

    Raises:
        ValueError: for an unknown preset, or one that changes nothing.

    Example:

    >>> list(ablation("plus"))[:3]
    ['small', 'plus', 'plus without backbone.quantize_level']
    """
    presets = keras_cmg.FCID.presets
    if preset not in presets:
        raise ValueError(f"--ablate must be one of {sorted(presets)}; received: {preset!r}")
    small, changed = (_arguments(presets[name]) for name in ("small", preset))
    entry = f"fcid:{preset}"
    without = {
        f"{preset} without {'.'.join(path)}": {
            "entry": entry,
            "changes": _nested(path, small[path]),
        }
        for path in changed
        if changed[path] != small.get(path)
    }
    if not without:
        raise ValueError(f"--ablate must be another preset than small; received: {preset!r}")
    return {
        # Trained as the preset is, so that only the system differs.
        "small": {"entry": entry, "changes": {}, "preset": "small"},
        preset: {"entry": entry, "changes": {}},
        **without,
    }


def _arguments(preset: Mapping[str, Any]) -> dict[tuple[str, ...], Any]:
    """Path to value of everything in a preset; paths as in arguments of `from_preset`."""

    def walk(value: Any, path: tuple[str, ...]) -> dict[tuple[str, ...], Any]:
        if not isinstance(value, Mapping):
            return {path: value}
        return {k: v for name in value for k, v in walk(value[name], (*path, name)).items()}

    return {**walk(preset["backbone"], ("backbone",)), **walk(preset["objective"], ())}


def _nested(path: Sequence[str], value: Any) -> Any:
    return {path[0]: _nested(path[1:], value)} if path else value


def read_tuned(options: argparse.Namespace, chosen: Settings) -> dict[str, Any]:
    """Settings that a search chose: of the file given, or those that come with the recipes."""
    own = Path(__file__).parent / "configs" / f"compare_{chosen.data}.json"
    path = Path(options.tuned) if options.tuned else own
    if not options.tuned and (options.smoke or not own.is_file()):
        return {}
    return {
        entry: {key: found[key] for key in ("learning_rate", "schedule", "changes")}
        for entry, found in read_json(path)["systems"].items()
    }


def run(options: argparse.Namespace, out: Path) -> None:
    """Runs the recipe on one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    features = prepare(options, chosen)
    folder = data_tools.FeatureFolder(features)
    checksums = {key: folder.manifest[key] for key in ("arguments", "options", "sources", "files")}
    measured, tuned = {}, {}
    for name in chosen.systems:
        variant = chosen.variants.get(name, {"entry": name, "changes": {}})
        entry = variant["entry"]
        if entry not in tuned:
            tuned[entry] = tune(options, chosen, features, checksums, entry)
        spec = {
            **spec_of(chosen, features, checksums, entry, tuned[entry]),
            **{key: variant[key] for key in ("preset",) if key in variant},
            "seed": options.seed,
            "test": True,
        }
        spec["changes"] = merged(spec["changes"], variant["changes"])
        measured[name] = found = one_run(options, name, f"seed{options.seed}", spec)
        mean = compare_tables.mean_of_four(found["scores"]["codes"])
        print(f"{name}, seed {options.seed}: mean of four {100 * mean:.1f} %", flush=True)
    result = {
        **provenance.about(options, chosen),
        "protocol": "heldout",
        "chance": 1 / len(folder.categories),
        "systems": measured,
        "tuned": tuned,
        "features": checksums,
    }
    provenance.write_json(out / TUNED, {"data": chosen.data, "systems": tuned})
    provenance.write_json(out / RESULT, result)


def prepare(options: argparse.Namespace, chosen: Settings) -> Path:
    """The folder of features, prepared now or found as it was left."""
    folder = options.features or Path(options.out) / "features"
    try:
        return data_tools.prepare(
            options.data,
            folder,
            options.root,
            num_clips=chosen.num_clips,
            split=chosen.split,
            progress=True,
        )
    except ValueError as error:
        raise ValueError(f"features in {folder}: {error}") from error


def spec_of(
    chosen: Settings, features: Path, checksums: Any, entry: str, tuned: Mapping[str, Any]
) -> dict[str, Any]:
    """What `recipes.comparison.measure` is told, but for seed and test."""
    system, preset = parts(entry)
    names = ("epochs", "batch_size", "probe_epochs", "toc_channels")
    return {
        "system": system,
        "preset": preset,
        **{key: tuned[key] for key in ("learning_rate", "schedule", "changes")},
        **{name: getattr(chosen, name) for name in names},
        "features": str(features),
        "checksums": checksums["files"],
    }


def tune(
    options: argparse.Namespace, chosen: Settings, features: Path, checksums: Any, entry: str
) -> dict[str, Any]:
    """The settings of a system: those given, those of the best trial, or the preset's.

    Args:
        options: of the command line.
        chosen: settings.
        features: folder of features.
        checksums: of the data.
        entry: system, or `system:preset`.

    Returns:
        `learning_rate`, `schedule` and `changes`; after a search also `trials`, what each scored.

    Raises:
        ValueError: every trial failed.
    """
    if not chosen.trials:
        return chosen.tuned.get(entry, search_spaces.draw(entry, 0))
    trials: list[dict[str, Any]] = []
    for trial in range(chosen.trials):
        drawn = search_spaces.draw(entry, trial)
        spec = spec_of(chosen, features, checksums, entry, drawn)
        try:
            found = one_run(
                options, entry, f"trial{trial}", {**spec, "seed": TUNING_SEED, "test": False}
            )
            trials.append({**drawn, "validation": found["validation"]})
        except ValueError as error:
            # Such as a loss that stops being finite: settings that do not work.
            trials.append({**drawn, "validation": None, "error": str(error)})
        print(f"{entry}, trial {trial}: {trials[-1]['validation']}", flush=True)
    scored = [trial for trial in trials if trial["validation"] is not None]
    if not scored:
        raise ValueError(f"every trial of {entry} failed; the last: {trials[-1]['error']}")
    # The first of equally good ones.
    best = max(scored, key=lambda trial: trial["validation"])
    return {
        **{key: best[key] for key in ("learning_rate", "schedule", "changes")},
        "chosen_trial": trials.index(best),
        "trials": trials,
    }


def one_run(
    options: argparse.Namespace, name: str, label: str, spec: Mapping[str, Any]
) -> dict[str, Any]:
    """What one system did on one seed or in one trial: measured now, or found as it was left.

    Args:
        options: of the command line.
        name: of the system.
        label: of the seed or the trial.
        spec: see `recipes.comparison.measure`.

    Returns:
        What was measured.

    Raises:
        ValueError: the system cannot be trained.
    """
    path = Path(options.out) / "runs" / name.replace(":", "-").replace(" ", "-") / f"{label}.json"
    # Where the features lie does not matter, what they are does.
    identity = provenance.plain({**spec, "versions": provenance.versions()})
    del identity["features"]
    # Trials of this very run are kept from seed to seed.
    if path.is_file() and (options.resume or path.stat().st_mtime >= STARTED):
        found = read_json(path)
        if found["spec"] == identity:
            return found["measured"]
    measured = comparison.isolated(spec)
    path.parent.mkdir(parents=True, exist_ok=True)
    provenance.write_json(path, {"spec": identity, "measured": measured})
    return measured


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results = [run.result for run in runs]
    tables = compare_tables.all_tables(results)
    if len(runs) > 1:
        about = {"data": results[0]["settings"]["data"], "systems": results[0]["tuned"]}
        provenance.write_json(out / TUNED, about)
    return publishing.publish(
        out, "Systems compared", runs, tables, method=compare_tables.method(results[0])
    )
