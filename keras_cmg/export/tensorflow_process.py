"""Runs the writers where Keras runs on TensorFlow: here, or in a process of its own."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_cmg.export.served_system import ServedSystem
from keras_cmg.files import read_json

SYSTEM, TASK = "system.keras", "task.json"


def write(
    served: ServedSystem,
    folder: Path,
    format: str,
    metadata: Mapping[str, Any],
    limits: Mapping[str, int],
) -> None:
    """Writes a system in a format.

    Args:
        served: what to write.
        folder: an empty folder in a scratch folder.
        format: of `keras_cmg.export.FORMATS`.
        metadata: of `metadata_of`.
        limits: largest sizes of a request.

    Raises:
        ImportError: if a package is missing.
        ValueError: if the system cannot be written, with the reason.
    """
    needed = {"onnx": "tf2onnx"}.get(format)
    for package in ("tensorflow", needed):
        if package and importlib.util.find_spec(package) is None:
            raise ImportError(
                f"Export as {format!r} needs the package {package!r}: "
                "pip install 'keras-cmg[export]'."
            )
    if keras.backend.backend() == "tensorflow":
        _writer(format)(served, folder, metadata, limits)
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
        [sys.executable, "-m", "keras_cmg.export.tensorflow_process", str(scratch)],
        env={
            **os.environ,
            "KERAS_BACKEND": "tensorflow",
            "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path),
            # Tracing needs no accelerator, and the engine of this process may hold them.
            "CUDA_VISIBLE_DEVICES": "-1",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        },
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit status {done.returncode}"]
        raise ValueError(f"Writing on TensorFlow failed: {reason[0]}")


def _modules(served: ServedSystem) -> list[str]:
    """Modules whose classes the other process must know before it loads the system."""
    modules = {type(layer).__module__ for layer in served._flatten_layers()}
    if "__main__" in modules:
        classes = {
            type(layer).__name__
            for layer in served._flatten_layers()
            if type(layer).__module__ == "__main__"
        }
        raise ValueError(
            f"The classes {sorted(classes)} are defined in a script; export needs them in a "
            "module that can be imported."
        )
    return sorted(name for name in modules if name.partition(".")[0] not in ("keras", "keras_cmg"))


def _writer(format: str) -> Any:
    if format == "saved_model":
        from keras_cmg.export.tensorflow_graphs import write_saved_model

        return write_saved_model
    from keras_cmg.export import converters

    return {"onnx": converters.write_onnx, "litert": converters.write_litert}[format]


def main(scratch: Path) -> None:
    """Does what `write` left in a folder.

    Args:
        scratch: the folder.
    """
    task = read_json(scratch / TASK)
    keras.config.set_floatx(task["floatx"])
    keras.config.set_image_data_format(task["image_data_format"])
    for name in task["modules"]:
        importlib.import_module(name)
    served = keras.saving.load_model(scratch / SYSTEM, compile=False)
    _writer(task["format"])(served, Path(task["folder"]), task["metadata"], task["limits"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
