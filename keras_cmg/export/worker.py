"""The process in which Keras runs on TensorFlow; started by `tensorflow_process.write`."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import keras

from keras_cmg.export.tensorflow_process import SYSTEM, TASK, writer
from keras_cmg.files import read_json


def main(scratch: Path) -> None:
    """Loads a system and writes it.

    Args:
        scratch: temporary folder with the system and the task.
    """
    task = read_json(scratch / TASK)
    keras.config.set_floatx(task["floatx"])
    keras.config.set_image_data_format(task["image_data_format"])
    for name in task["modules"]:
        importlib.import_module(name)
    served = keras.saving.load_model(scratch / SYSTEM, compile=False)
    writer(task["format"])(served, Path(task["folder"]), task["metadata"], task["limits"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
