"""K-means initialisation of the codebook during training."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.quantizers.quantizer import Quantizer


class KMeansCodebookInit(keras.callbacks.Callback):
    """Places the codes at k-means centres of the features, once, before a given training step.

    Codes that start near zero are rarely chosen and spread slowly. After some training the features
    show where codes are needed; see `Codebook.adapt`.

    Codes of a `ResidualQuantizer` are placed level by level, those of a `GroupedQuantizer` group by
    group; quantisers that store no codes, such as `FSQ`, have nothing to place.

    Steps are those of the model: its weight `step_counter` counts every training step, in one `fit`
    or several, and is part of the file. A model that is past the step, because it was
    trained or loaded, keeps its codes, and so does a codebook with `trainable=False`; of several
    levels or groups, those that are not frozen are placed. With several steps per execution the
    codes are placed before the execution that contains the step.

    Features are computed at that moment from clips of the data that `fit` trains on: the first
    `max_clips` of a dict of arrays, a `PyDataset`, a `tf.data.Dataset` or a torch `DataLoader`,
    which are read by an iterator of their own; of a generator, the batches that training has taken
    last, up to `max_clips`, which are kept in memory until then. If several processes read batches
    of their own, all place the codes by the features of the first.

    Args:
        step: training step, from 0, before which the codes are placed.
        max_clips: largest number of clips to compute features of.

    Raises:
        ValueError: if `step` is below 0 or `max_clips` below 1.

    Example:

    >>> model = keras_cmg.models.FCID(("audio",))
    >>> model.compile()
    >>> batch = {"audio": np.random.default_rng(0).normal(size=(4, 10, 128)).astype("float32")}
    >>> init = keras_cmg.callbacks.KMeansCodebookInit(step=1)
    >>> _ = model.fit(batch, epochs=2, verbose=0, callbacks=[init])
    """

    def __init__(self, step: int = 0, max_clips: int = 1000):
        super().__init__()
        if step < 0:
            raise ValueError(f"`step` must be at least 0. Received: {step}")
        if max_clips < 1:
            raise ValueError(f"`max_clips` must be at least 1. Received: {max_clips}")
        self.step = step
        self.max_clips = max_clips
        self.data: Any = None
        self.batch_size = 32
        self.kept: list[Mapping[str, Any]] = []
        self.due = True
        self.steps_before = 0
        self.steps_per_execution = 1

    def read_from(self, data: Any, batch_size: int | None = None) -> None:
        """Sets the data set that features are computed of; `fit` calls this.

        Args:
            data: what `fit` trains on.
            batch_size: clips per batch of a dict of arrays; default 32.

        Example:

        >>> keras_cmg.callbacks.KMeansCodebookInit().read_from({"audio": np.zeros((4, 10, 128))})
        """
        self.data = data
        self.batch_size = batch_size or 32
        self.kept = []
        self.due = True

    def watch(self, batch: Any) -> None:
        """Keeps a batch that a generator has yielded; `fit` calls this.

        Args:
            batch: the batch, alone or in a tuple.

        Example:

        >>> init = keras_cmg.callbacks.KMeansCodebookInit(max_clips=4)
        >>> for clips in (2, 2, 3):
        ...     init.watch({"audio": np.zeros((clips, 10, 128))})
        >>> [len(batch["audio"]) for batch in init.kept]
        [2, 3]
        """
        if self.due:
            self.kept.append(_entries(batch))
            while sum(map(_num_clips, self.kept[1:])) >= self.max_clips:
                del self.kept[0]

    def on_train_begin(self, logs=None):
        backbone = self.model.backbone
        backbone.require_codebook("K-means initialisation")
        if not self._parts():
            raise ValueError(
                "K-means initialisation needs a quantizer that stores its codes. "
                f"Received: {type(backbone.quantizer).__name__}"
            )

    def _parts(self) -> list[Any]:
        """The parts of the quantiser that store codes."""
        quantizer = self.model.backbone.quantizer
        return quantizer.adaptable_parts() if isinstance(quantizer, Quantizer) else [quantizer]

    def on_epoch_begin(self, epoch, logs=None):
        self.steps_per_execution = self.model.steps_per_execution
        # Read once per epoch: on JAX a look at a weight interrupts training.
        counter = self.model.step_counter if self.model.built else 0
        self.steps_before = int(ops.convert_to_numpy(counter))
        learning = self.model.backbone.quantizer.trainable and any(
            part.trainable for part in self._parts()
        )
        self.due = learning and self.steps_before <= self.step
        if not self.due:
            self.kept = []

    def on_train_batch_begin(self, batch, logs=None):
        if not self.due or self.steps_before + batch + self.steps_per_execution <= self.step:
            return
        backbone = self.model.backbone
        features = backbone.codebook_features(self._batches())
        backbone.quantizer.adapt(engine.current().broadcast_array(features))
        self.due = False
        self.kept = []

    def _batches(self) -> Iterator[dict[str, np.ndarray]]:
        clips = 0
        for batch in self._all_batches():
            arrays = {name: _array(x) for name, x in batch.items() if not isinstance(x, Mapping)}
            yield {name: x[: self.max_clips - clips] for name, x in arrays.items()}
            clips += _num_clips(arrays)
            if clips >= self.max_clips:
                return

    def _all_batches(self) -> Iterator[Mapping[str, Any]]:
        if self.kept:
            yield from self.kept
        elif isinstance(self.data, Mapping):
            arrays = {n: x for n, x in self.data.items() if not isinstance(x, Mapping)}
            for start in range(0, _num_clips(arrays), self.batch_size):
                yield {name: x[start : start + self.batch_size] for name, x in arrays.items()}
        else:
            batches: Iterable[Any] = self.data
            if isinstance(self.data, keras.utils.PyDataset):
                count = self.data.num_batches
                places: Iterable[int] = itertools.count() if count is None else range(count)
                batches = map(self.data.__getitem__, places)
            yield from map(_entries, batches)


def _entries(batch: Any) -> Mapping[str, Any]:
    return batch if isinstance(batch, Mapping) else batch[0]


def _num_clips(batch: Mapping[str, Any]) -> int:
    return next(len(x) for x in batch.values() if not isinstance(x, Mapping))


def _array(value: Any) -> np.ndarray:
    return ops.convert_to_numpy(value) if ops.is_tensor(value) else np.asarray(value)
