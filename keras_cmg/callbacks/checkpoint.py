"""Checkpoints that are complete even if the process is killed while it saves."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from keras_cmg.backend import engine
from keras_cmg.files import atomic_file


class Checkpoint(keras.callbacks.Callback):
    """Saves the model after each epoch from the first process, atomically.

    The model is saved under a temporary name and renamed, so that a kill at any moment leaves a
    complete file. Within `fit`, a model with weights that are not finite is not saved, and the last
    file remains.

    The file holds everything that training needs to continue: weights, codebook, both optimisers
    and the state of all random draws. Training may continue on another engine or another number of
    devices. Processes on several machines need a shared disk to load it from.

    Args:
        path: path of the file, ending in `.keras`; folders that are missing are made.
        every: number of epochs from one save to the next.

    Raises:
        ValueError: if `path` does not end in `.keras`, or `every` is below 1.

    Example:

    >>> model = keras_cmg.models.FCID(("audio",))
    >>> model.compile()
    >>> data = {"audio": np.zeros((4, 10, 128), "float32")}
    >>> checkpoint = keras_cmg.callbacks.Checkpoint("model.keras")
    >>> _ = model.fit(data, epochs=2, verbose=0, callbacks=[checkpoint])
    >>> int(keras.saving.load_model("model.keras").optimizer.iterations)
    2
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1):
        super().__init__()
        self.path = Path(path)
        if self.path.suffix != ".keras":
            raise ValueError(f"`path` must end in '.keras'. Received: {str(path)!r}")
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: {every}")
        self.every = every

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every or engine.current().process_index(self.model):
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(self.path) as scratch:
            self.model.save(scratch)
