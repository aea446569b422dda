"""Training of a recipe over several devices of this machine; all else a recipe does, on one.

A recipe that offers `--devices` has `train(settings, features, seed)`, which gives the trained
model, its history and the seconds it took. On JAX and TensorFlow it runs in this process; PyTorch
has a process for each device, so `torchrun` starts this module.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras

import keras_cmg
from data_tools.io.files import read_json
from recipes.runner import provenance

MODEL, HISTORY, JOB = "model.keras", "history.json", "job.json"

Trained = tuple[Any, dict[str, list[float]], float]
"""The model, the logs of every epoch, and the seconds of training."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Adds the option of recipes that train over several devices.

    Args:
        parser: of the recipe.
    """
    parser.add_argument(
        "--devices",
        default="1",
        metavar="N|auto",
        help="of this machine that share every batch in training; auto: all (default: 1)",
    )


def devices_of(options: argparse.Namespace, batch_size: int) -> int:
    """How many devices train.

    Args:
        options: with `devices`, as text.
        batch_size: clips per step, which the devices share.

    Returns:
        The number.

    Raises:
        ValueError: it is no number, there are not so many, or they cannot share a batch evenly.

    Example:

    >>> devices_of(argparse.Namespace(devices="1"), 80)
    1
    """
    text = options.devices
    if text != "auto" and not (text.isdigit() and int(text)):
        raise ValueError(f"--devices must be 'auto' or at least 1; received: {text}")
    if text == "1":
        return 1
    if keras.backend.backend() == "torch":
        import torch

        # On a machine without accelerators, processes share the processor.
        count = max(torch.cuda.device_count(), 1) if text == "auto" else int(text)
    else:
        asked: Any = text if text == "auto" else int(text)
        count = keras_cmg.distribution.distribute(asked).num_replicas
    if batch_size % count:
        raise ValueError(
            f"--batch-size must be a multiple of --devices; received: {batch_size} clips for "
            f"{count} devices"
        )
    return count


def trained(
    recipe: str, settings: Any, features: str | os.PathLike[str], seed: int, devices: int
) -> Trained:
    """Trains a recipe's model over devices, and gives it back as a model of one.

    Args:
        recipe: its name.
        settings: a dataclass, as `settings_of` of the recipe gives it.
        features: feature folder.
        seed: of the training.
        devices: how many, see `devices_of`.

    Returns:
        The model, the logs of every epoch, and the seconds of training.

    Raises:
        ValueError: the processes failed.
    """
    train = importlib.import_module(f"recipes.experiments.{recipe}").train
    if devices == 1:
        return train(settings, features, seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if keras.backend.backend() == "torch":
            job = {"recipe": recipe, "features": str(features), "seed": seed}
            job["settings"] = provenance.plain(dataclasses.asdict(settings))
            (folder / JOB).write_text(json.dumps(job), encoding="utf-8")
            launch(folder, devices)
        else:
            with keras_cmg.distribution.distribute(devices):
                leave(folder, *train(settings, features, seed))
        told = read_json(folder / HISTORY)
        return keras.saving.load_model(folder / MODEL), told["history"], told["seconds"]


def launch(folder: Path, devices: int) -> None:
    """Runs the job in `folder` in a process for each device.

    Args:
        folder: with the job.
        devices: how many.

    Raises:
        ValueError: a process failed; what it said went to the error output.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [
        "--nproc-per-node",
        str(devices),
        "-m",
        "recipes.training.data_parallel",
        str(folder),
    ]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise ValueError(f"training over {devices} processes failed, see above: {command}")


def leave(folder: Path, model: Any, history: dict[str, list[float]], seconds: float) -> None:
    """Writes down what training gave.

    Args:
        folder: to write into.
        model: trained.
        history: logs of every epoch.
        seconds: of training.
    """
    model.save(folder / MODEL)
    provenance.write_json(folder / HISTORY, {"history": history, "seconds": seconds})


def main(folder: Path) -> None:
    """A process of the job in `folder`; the first one leaves the result and speaks.

    Args:
        folder: with the job.
    """
    job = read_json(folder / JOB)
    recipe = importlib.import_module(f"recipes.experiments.{job['recipe']}")
    settings = recipe.Settings(**job["settings"])
    with keras_cmg.distribution.distribute() as distribution, contextlib.ExitStack() as stack:
        if not distribution.is_chief:
            silence = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        result = recipe.train(settings, job["features"], job["seed"])
        if distribution.is_chief:
            leave(folder, *result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
