"""Checkpoints that a kill at any moment leaves whole."""

from __future__ import annotations

import os
from pathlib import Path

import keras

from keras_cmg.backend import engine


class Checkpoint(keras.callbacks.Callback):
    """Saves the model after each epoch, under a temporary name first; the first process alone does.

    The file holds all that training needs to go on: weights, codebook, both optimisers, the state
    of every draw. It trains on another engine, and on another number of devices. Where processes
    run on several machines, each must see it, on a shared disk.

    Args:
        path: of the file, ending in `.keras`.
        every: epochs from one to the next.

    Raises:
        ValueError: for another ending, or `every` below 1.

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
        if (epoch + 1) % self.every or engine.current().process(self.model):
            return
        scratch = self.path.with_name(f".{self.path.stem}.part.keras")
        self.model.save(scratch)
        os.replace(scratch, self.path)
