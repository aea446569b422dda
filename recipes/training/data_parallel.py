"""Training over several devices of this machine; everything else in a recipe runs on one.

On JAX and TensorFlow training runs in this process; PyTorch has a process per device, so `torchrun`
starts this module.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

import keras_cmg
from data_tools.io.files import read_record, set_engine_defaults
from recipes.runner.provenance import plain, write_json
from recipes.runner.settings import check_devices

MODEL, RECORD, JOB = "model.keras", "record.json", "job.json"

Trained = tuple[Any, dict[str, Any]]
"""The model, and a record of types of JSON."""


def count_devices(devices: str, batch_size: int) -> int:
    """Returns the number of devices that train.

    Args:
        devices: value of `--devices`: "auto" or a number.
        batch_size: clips per step, which the devices share.

    Raises:
        ValueError: if it is not a number, there are not so many devices, or they cannot share a
            batch evenly.

    Example:

    >>> count_devices("1", 80)
    1
    """
    check_devices(devices, None)
    if devices == "1":
        return 1
    if keras.backend.backend() == "torch":
        import torch

        # On a machine without accelerators, processes share the processor.
        count = max(torch.cuda.device_count(), 1) if devices == "auto" else int(devices)
    else:
        asked: Any = devices if devices == "auto" else int(devices)
        count = keras_cmg.distribution.distribute(asked).num_replicas
    check_devices(str(count), batch_size)
    return count


def train_over(
    train: Callable[..., Trained], arguments: Mapping[str, Any], devices: int
) -> Trained:
    """Trains a model over devices and returns it as a model of one device.

    Args:
        train: function of a module that trains a model; it returns the model and a record.
        arguments: its arguments, of types of JSON.
        devices: number of devices, see `count_devices`.

    Returns:
        The model and the record.

    Raises:
        ValueError: if a process failed.
    """
    if devices == 1:
        return train(**arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if keras.backend.backend() == "torch":
            job = {"module": train.__module__, "function": train.__name__, "arguments": arguments}
            (folder / JOB).write_text(json.dumps(plain(job)), encoding="utf-8")
            _launch(folder, devices)
        else:
            with keras_cmg.distribution.distribute(devices):
                _write(folder, *train(**arguments))
        return keras.saving.load_model(folder / MODEL), read_record(folder / RECORD, {})


def _launch(folder: Path, devices: int) -> None:
    """Runs the job in `folder` in one process per device."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    command += [str(devices), "-m", f"{__package__}.data_parallel", str(folder)]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise ValueError(f"training over {devices} processes failed, see above: {command}")


def _write(folder: Path, model: Any, record: Mapping[str, Any]) -> None:
    model.save(folder / MODEL)
    write_json(folder / RECORD, record)


def main(folder: Path) -> None:
    """Runs one process of the job in a folder; the first process writes the result.

    Args:
        folder: folder with the job.
    """
    set_engine_defaults()
    job = read_record(folder / JOB, {"module": str, "function": str, "arguments": dict})
    train = getattr(importlib.import_module(job["module"]), job["function"])
    with keras_cmg.distribution.distribute() as distribution, contextlib.ExitStack() as stack:
        if not distribution.is_chief:
            silence = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        result = train(**job["arguments"])
        if distribution.is_chief:
            _write(folder, *result)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
