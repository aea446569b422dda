"""Runs the writers on TensorFlow: in this process, or in one that is started for it (`worker`)."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_cmg.backend.keras_internals import all_layers
from keras_cmg.export.served_system import ServedSystem
from keras_cmg.extras import is_installed, missing
from keras_cmg.faults import fault_in, shorten

SYSTEM, TASK = "system.keras", "task.json"
NEEDED = {"saved_model": ("tensorflow",), "onnx": ("tensorflow", "onnx", "tf2onnx")}
"""Format to the packages it needs."""


def write(
    served: ServedSystem,
    folder: Path,
    format: str,
    metadata: Mapping[str, Any],
    limits: Mapping[str, int],
) -> None:
    """Writes a system in a format.

    Args:
        served: the system to write.
        folder: an empty folder in a temporary folder.
        format: one of `keras_cmg.export.FORMATS`.
        metadata: dict of `metadata_of`.
        limits: largest sizes of a request.

    Raises:
        ImportError: if a package is not installed.
        OSError: if the disk is full or read-only.
        ValueError: if the system cannot be written, with the reason.
    """
    for package in NEEDED.get(format, NEEDED["saved_model"]):
        if not is_installed(package):
            raise missing(package, f"Export in the format {format!r} needs")
    if keras.backend.backend() == "tensorflow":
        writer(format)(served, folder, metadata, limits)
        return
    task = {
        "format": format,
        "metadata": metadata,
        "limits": limits,
        "modules": _modules(served),
        "folder": str(folder),
        "floatx": keras.config.floatx(),
        "image_data_format": keras.config.image_data_format(),
    }
    scratch = folder.parent
    served.save(scratch / SYSTEM)
    (scratch / TASK).write_text(json.dumps(task), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "keras_cmg.export.worker", str(scratch)],
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            # Tracing needs no accelerator, and this process may have reserved their memory.
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = _last_error(done.stderr) or f"exit status {done.returncode}"
        if (fault := fault_in(done.stderr)) is not None:
            raise OSError(fault.errno, fault.strerror, str(folder))
        raise ValueError(f"Writing on TensorFlow failed: {shorten(reason)}")


def _modules(served: ServedSystem) -> list[str]:
    """Modules with custom classes, which the other process must import to load the system."""
    modules = {type(layer).__module__ for layer in all_layers(served)}
    if "__main__" in modules:
        classes = {
            type(layer).__name__
            for layer in all_layers(served)
            if type(layer).__module__ == "__main__"
        }
        raise ValueError(
            f"Custom classes must be defined in a module that can be imported. The classes "
            f"{sorted(classes)} are defined in a script."
        )
    return sorted(name for name in modules if name.partition(".")[0] not in ("keras", "keras_cmg"))


def writer(format: str) -> Any:
    """Returns the function that writes a format; called on TensorFlow alone.

    Args:
        format: one of `keras_cmg.export.FORMATS`.

    Returns:
        Function of the system, a folder, metadata and limits.
    """
    if format == "saved_model":
        from keras_cmg.export.tensorflow_graphs import write_saved_model

        return write_saved_model
    from keras_cmg.export import converters

    return {"onnx": converters.write_onnx, "litert": converters.write_litert}[format]


def _last_error(text: str) -> str:
    """The error at the end of a traceback, in one line."""
    lines = text.strip().splitlines()
    starts = [i for i, line in enumerate(lines) if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return " ".join(" ".join(lines[starts[-1] if starts else -1 :]).split())
