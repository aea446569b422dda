"""Trains a small FCID for some epochs with a checkpoint after each: a process to be killed.

`python -m tests.helpers.resumable_run FOLDER EPOCHS` prints the loss of each epoch; it goes on
from `FOLDER/model.keras` if there is one. Under `torchrun`, several processes train together, and
each leaves its process id in `FOLDER/PROCESS.pid`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras

import keras_cmg
from tests.helpers.small_fcid import compiled_fcid, small_batch

PAIR = ("audio", "text")


class PrintLoss(keras.callbacks.Callback):
    """One line per epoch, as soon as its checkpoint is written."""

    def on_epoch_end(self, epoch, logs=None):
        sys.stdout.write(f"{epoch} {float(logs['loss'])!r}\n")
        sys.stdout.flush()


def main(folder: Path, epochs: int) -> None:
    path = folder / "model.keras"
    with keras_cmg.distribution.distribute() as distribution:
        (folder / f"{distribution.process_index}.pid").write_text(str(os.getpid()))
        model = keras.saving.load_model(path) if path.exists() else compiled_fcid(PAIR)
        done = int(model.optimizer.iterations) // 2 if model.optimizer.built else 0
        model.fit(
            small_batch(PAIR),
            batch_size=2,
            initial_epoch=done,
            epochs=epochs,
            shuffle=False,
            verbose=0,
            callbacks=[
                keras_cmg.callbacks.Checkpoint(path),
                *([PrintLoss()] if distribution.is_chief else []),
            ],
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
