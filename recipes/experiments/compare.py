"""Trains every system on the same clips, and asks each the same questions across modalities.

The columns of the paper's Tables 1 and 2 (Huang et al., 2025) for all systems of the library, with
the same clips, epochs and batches: linear probes trained on the codes of one modality and tested on
another, retrieval across modalities, both with and without TOC, time and memory.

    python -m recipes compare --data digits --root FOLDER --seeds 5 --out DIR
    python -m recipes compare --data digits --root FOLDER --seeds 5 --trials 4 --out DIR
    python -m recipes compare --data digits --root FOLDER --seeds 5 --ablate plus --out DIR

`--trials N` tunes every system by N trials of `recipes/training/search_spaces.py`, by the accuracy
of probes on validation clips of the modality that they were trained on: neither other modalities
nor test clips are looked at. What was chosen goes to `tuned.json`, which `--tuned` takes to save
the search; without either, systems run as chosen in `recipes/configs`. Every system and seed runs
in a process of its own, and `--resume` keeps those that are finished, trials included.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import data_tools
import keras_cmg
from data_tools.io.arguments import parse_options
from keras_cmg.models.base.presets import merged
from recipes.reporting import compare_tables
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance, settings
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import search_spaces
from recipes.training import tuned_settings as tuning
from recipes.training.entries import ablation, all_systems, entry_of, parts

CONFIGS = Path(__file__).parent / "configs"
BUDGET = ("epochs", "batch_size", "probe_epochs", "toc_channels")


@dataclasses.dataclass
class Settings:
    """What a run is made of; all fields but `variants` are options."""

    data: str
    num_clips: dict[str, int]
    split: str | None = None
    data_options: dict[str, Any] = dataclasses.field(default_factory=dict)
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
    "systems": ("fcid", "simmmdg"),
    "epochs": 1,
    "batch_size": 10,
    "probe_epochs": 2,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    parser.add_argument("--data", choices=sorted(DEFAULTS), default="synthetic", help="data set")
    parser.add_argument("--root", help="folder of the raw files (default: download where needed)")
    parser.add_argument("--split", help="way of splitting (digits: official or speaker)")
    parser.add_argument(
        "--option",
        action="append",
        dest="data_options",
        metavar="NAME=VALUE",
        help="of the data set, such as test_speaker=george of digits split by speaker",
    )
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
        help="which to compare (default: all, FCID also with the presets small and paper_small)",
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
    if options.data_options is not None:
        arguments = inspect.signature(data_tools.prepare).parameters
        given.data_options = parse_options(options.data_options, arguments)
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
    named = (entry_of(*parts(entry)) for entry in chosen.systems or all_systems())
    systems = tuple(chosen.variants or dict.fromkeys(named))
    entries = [chosen.variants[name]["entry"] if chosen.variants else name for name in systems]
    for entry in entries:
        system, preset = parts(entry)
        known = sorted(keras_cmg.models.get_model_class(system).presets)
        if preset not in known:
            raise ValueError(f"the preset of {system} must be one of {known}; received: {preset!r}")
    return dataclasses.replace(
        chosen, systems=systems, tuned=known_settings(options, chosen, entries)
    )


def known_settings(
    options: argparse.Namespace, chosen: Settings, entries: Sequence[str]
) -> dict[str, Any]:
    """Settings of systems where nothing is searched for: those given, or those of the presets."""
    if chosen.trials:
        if options.tuned:
            raise ValueError("--trials searches for what --tuned brings; give one of them")
        return {}
    path = Path(options.tuned or CONFIGS / f"compare_{chosen.data}.json")
    known = {}
    if options.tuned or (path.is_file() and not options.smoke):
        known = tuning.read_settings(path)
    return {entry: known.get(entry) or search_spaces.draw(entry, 0) for entry in entries}


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
    budget = {
        **{name: getattr(chosen, name) for name in BUDGET},
        "features": str(features),
        "checksums": checksums["files"],
    }
    measured, tuned = {}, dict(chosen.tuned)
    for name in chosen.systems:
        variant = chosen.variants.get(name, {"entry": name})
        entry = variant["entry"]
        if entry not in tuned:
            tuned[entry] = tuning.search(options, budget, entry, chosen.trials)
        spec = tuning.spec_of(budget, entry, tuned[entry], options.seed, test=True)
        spec["preset"] = variant.get("preset", spec["preset"])
        spec["changes"] = merged(spec["changes"], variant.get("changes", {}))
        found = measured[name] = tuning.one_run(options, name, f"seed{options.seed}", spec)
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
    provenance.write_json(out / tuning.TUNED, {"data": chosen.data, "systems": tuned})
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
            **chosen.data_options,
        )
    except ValueError as error:
        raise ValueError(f"features in {folder}: {error}") from error


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
        provenance.write_json(out / tuning.TUNED, about)
    return publishing.publish(
        out, "Systems compared", runs, tables, method=compare_tables.method(results[0])
    )
