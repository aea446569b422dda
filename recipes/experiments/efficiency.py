"""Time and memory of training, system by system, beside those of DCID (Table 8).

Data: any; the sizes of the features decide. Every system trains on the same batches: epochs are
timed in turns in one process, memory is that of a process of its own for each system. Also the
seconds that TOC takes.

    python -m recipes efficiency --data vggsound --root FOLDER --preset paper --batch-size 80
    python -m recipes efficiency --data digits --root FOLDER

A few minutes on one core for digits. Published, of DCID's: CMCM 81 % of the memory and 76 % of the
time, FCID 96 % and 99 %, on one RTX 3090.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from recipes.protocol import clips, costs
from recipes.reporting import charts, tables
from recipes.reporting import paper_tables as published
from recipes.reporting import report as pages
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import Training

YARDSTICK = "dcid"


@dataclasses.dataclass
class Settings(Training):
    """Settings of the trainings that are timed."""

    systems: tuple[str, ...] = ()
    steps: int = 5
    rounds: int = 3
    clock: str = "processor"


SMOKE: dict[str, Any] = {"systems": ("dcid", "fcid"), "steps": 1, "rounds": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, training.PUBLISHED)
    training.add_arguments(parser, several=True)
    parser.add_argument(
        "--systems", nargs="+", choices=training.systems(), help="which to time (default: all)"
    )
    parser.add_argument("--steps", type=int, help="training steps at a time (default: 5)")
    parser.add_argument("--rounds", type=int, help="turns of each system (default: 3)")
    parser.add_argument(
        "--clock",
        choices=("processor", "wall"),
        help="time of this process (default), or of the clock on the wall, for a GPU",
    )


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    chosen = training.settings_of(Settings(), options, SMOKE)
    for name in ("steps", "rounds"):
        if getattr(chosen, name) < 1:
            raise ValueError(f"--{name} must be at least 1; received: {getattr(chosen, name)}")
    names = tuple(dict.fromkeys((YARDSTICK, *(chosen.systems or training.systems()))))
    training.check_preset(chosen.preset, names)
    return dataclasses.replace(chosen, systems=names)


def run(options: argparse.Namespace, out: Path) -> None:
    """Measures on the batches of one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    memory = {}
    for name in chosen.systems:
        print(f"memory of {name}", flush=True)
        # A fresh process each: one that has trained before hides what the next one needs.
        with concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")
        ) as process:
            arguments = (dataclasses.replace(chosen, system=name), source, options.seed)
            memory[name] = process.submit(costs.training_memory, *arguments).result()
    print("time in turns", flush=True)
    result = {
        **provenance.about(options, chosen),
        "protocol": chosen.protocol,
        "features": source.identity(),
        "gigabytes": memory,
        **costs.training_times(chosen, chosen.systems, source, options.seed),
    }
    provenance.write_json(out / RESULT, result)


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results, chosen = [run.result for run in runs], runs[0].result["settings"]

    def relative(kind: str, system: str) -> list[float]:
        return [100 * result[kind][system] / result[kind][YARDSTICK] for result in results]

    relatively, absolutely = {}, {}
    for system in chosen["systems"]:
        name = keras_cmg.models.get_model_class(system).__name__
        relatively[name] = {
            "memory": relative("gigabytes", system),
            "time per epoch": relative("step_seconds", system),
        }
        absolutely[name] = {
            "seconds per step": [result["step_seconds"][system] for result in results],
            "gigabytes": [result["gigabytes"][system] for result in results],
            "million weights": [result["parameters"][system] / 1e6 for result in results],
            **(
                {"TOC, seconds": [result["toc_seconds"][system] for result in results]}
                if system in results[0]["toc_seconds"]
                else {}
            ),
        }
    beside = tables.beside_published(published.COST, relatively, data=chosen["data"])
    each = tables.over_seeds(
        f"Training steps of {chosen['batch_size']} clips", "model", absolutely, digits=4
    )
    section = pages.section(
        "Cost at a glance", pages.picture(charts.grouped(beside, "% of DCID"), beside.title)
    )
    preset = chosen["preset"] or "the default one of each"
    method = (
        f"Preset: {preset}. {chosen['steps']} steps at a time, median of {chosen['rounds']} turns "
        f"by the {chosen['clock']} clock, after one turn that is not counted. Memory: the most "
        "that a fresh process grows by while it builds the model and takes two steps; on a GPU, "
        "the most that is allocated there."
    )
    return publishing.publish(out, "What training costs", runs, [beside, each], [section], method)
