"""A codebook that starts where the features are, once the encoders have learned something."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops


class KMeansCodebookInit(keras.callbacks.Callback):
    """Places the codes by k-means at the beginning of an epoch, see `Codebook.adapt`.

    Codes that start near zero are few in use and slow to spread. After an epoch or two of training
    the features say where codes are needed.

    Where several processes train, each looks at the same clips and places the codes alike, if the
    data are a dict of arrays or a `PyDataset`.

    Args:
        data: what `fit` trains on: a dict of arrays, or batches that can be read more than once.
        epoch: the epoch, from 0, before which to place them.
        max_clips: how many clips to look at, from the first.
        batch_size: clips encoded at once, of a dict of arrays.

    Raises:
        ValueError: for an iterator, which the look would use up.

    Example:

    >>> model = keras_cmg.models.FCID(("audio",))
    >>> model.compile()
    >>> batch = {"audio": np.random.default_rng(0).normal(size=(4, 10, 128)).astype("float32")}
    >>> init = keras_cmg.callbacks.KMeansCodebookInit(batch, epoch=1)
    >>> _ = model.fit(batch, epochs=2, verbose=0, callbacks=[init])
    """

    def __init__(self, data: Any, epoch: int = 0, max_clips: int = 1000, batch_size: int = 80):
        super().__init__()
        if isinstance(data, Iterator):
            raise ValueError(
                "The data must be readable more than once where the codes are placed by k-means, "
                "such as a dict of arrays, a PyDataset or a tf.data.Dataset; or leave the codes "
                f"where they are, with `codebook_init_step=None`. Received: {type(data).__name__}"
            )
        self.data = data
        self.epoch = epoch
        self.max_clips = max_clips
        self.batch_size = batch_size

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.model.backbone.adapt_codebook(self._batches())

    def _batches(self) -> Iterator[dict[str, np.ndarray]]:
        clips = 0
        for batch in self._all_batches():
            arrays = {name: _array(value) for name, value in batch.items() if name != "draws"}
            yield {name: value[: self.max_clips - clips] for name, value in arrays.items()}
            clips += len(next(iter(arrays.values())))
            if clips >= self.max_clips:
                return

    def _all_batches(self) -> Iterator[Mapping[str, Any]]:
        if isinstance(self.data, Mapping):
            names = [name for name in self.data if name != "draws"]
            for start in range(0, len(self.data[names[0]]), self.batch_size):
                stop = start + self.batch_size
                yield {name: self.data[name][start:stop] for name in names}
            return
        indexed = isinstance(self.data, keras.utils.PyDataset)
        batches: Iterable[Any] = (
            map(self.data.__getitem__, range(len(self.data))) if indexed else (self.data)
        )
        for batch in batches:
            yield batch if isinstance(batch, Mapping) else batch[0]


def _array(value: Any) -> np.ndarray:
    return ops.convert_to_numpy(value) if ops.is_tensor(value) else np.asarray(value)
