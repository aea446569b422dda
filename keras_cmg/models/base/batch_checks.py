"""Checks of the data that are passed to `fit`, `evaluate` and `predict`."""

from __future__ import annotations

import copy
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

DRAWS = "draws"
"""Entry of a batch with prescribed random draws, a dict, for tests."""

ACCEPTED = (
    "a dict of arrays, or a data set of batches: a tf.data.Dataset, a keras.utils.PyDataset, a "
    "torch DataLoader or a generator of dicts, or of tuples (batch,)"
)


def check_data(x: Any, name: str = "x") -> None:
    """Raises unless `x` is a dict of arrays or a data set of batches.

    Args:
        x: the argument.
        name: its name in the message.

    Raises:
        ValueError: if it is missing, empty, or a list or an array.

    Example:

    >>> check_data({"audio": np.zeros((2, 10, 128))})
    """
    if isinstance(x, Mapping):
        return
    if x is None or isinstance(x, Sequence | np.ndarray | str) or ops.is_tensor(x):
        received = "None" if x is None else type(x).__name__
        if isinstance(x, list | tuple):
            received += f" of {[type(item).__name__ for item in x]}"
        raise ValueError(f"`{name}` must be {ACCEPTED}. Received: {received}")
    if _length(x) == 0:
        raise ValueError(f"`{name}` must yield at least one batch. Received: {x!r}")


def _length(x: Any) -> int | None:
    """Number of batches; None if it is unknown or infinite."""
    try:
        return len(x)
    except TypeError:
        return None


def check_unlabelled(**arguments: Any) -> None:
    """Raises if labels or weights are given, which no loss here uses.

    Args:
        **arguments: `y`, `sample_weight` and `class_weight` of the caller.

    Raises:
        ValueError: naming the argument and the alternative.

    Example:

    >>> check_unlabelled(y=None, sample_weight=None)
    """
    for name, value in arguments.items():
        if value is None:
            continue
        received = f"Received: {type(value).__name__}"
        if name == "y":
            raise ValueError(
                "`y` must be None: training uses no labels. Losses of your own find further "
                f"entries in the batch. {received}"
            )
        raise ValueError(
            f"`{name}` must be None: terms that compare clips with one another, and the codebook, "
            "have no exact weight per clip. Leave out clips or frames by an entry "
            "'<modality>_mask' of shape (batch, frames), 0 where a frame does not count. "
            f"{received}"
        )


def check_keys(names: Sequence[str], modalities: Sequence[str]) -> None:
    """Raises for a mask whose modality is neither the model's nor in the batch.

    Args:
        names: keys of a batch.
        modalities: names of the model's modalities.

    Raises:
        ValueError: naming the keys.

    Example:

    >>> check_keys(["audio", "audio_mask"], ("audio",))
    """
    unknown = [
        name
        for name in names
        if name.endswith("_mask")
        and name.removesuffix("_mask") not in modalities
        and name.removesuffix("_mask") not in names
    ]
    if unknown:
        raise ValueError(
            "An entry '<modality>_mask' must name a modality of the model or an entry of the "
            "batch. "
            f"Received: {unknown} with modalities {tuple(modalities)}"
        )


def is_numeric(value: Any) -> bool:
    """Returns whether an entry of a batch holds numbers, rather than text or objects.

    Args:
        value: array, tensor or list.

    Returns:
        True or False.

    Example:

    >>> is_numeric(np.ones(2)), is_numeric(np.array(["a", "b"])), is_numeric(["a"])
    (True, False, False)
    """
    dtype = getattr(value, "dtype", None)
    if dtype is None:
        dtype = np.asarray(value).dtype
    if isinstance(dtype, np.dtype):
        return dtype.kind in "biuf" or dtype.name in ("bfloat16",)
    return "string" not in str(dtype) and "variant" not in str(dtype)


def is_float(value: Any) -> bool:
    """Returns whether an array or a tensor holds floating-point numbers.

    Args:
        value: array or tensor.

    Returns:
        True or False.

    Example:

    >>> is_float(ops.ones(2)), is_float(np.array([1, 2]))
    (True, False)
    """
    return "float" in keras.backend.standardize_dtype(value.dtype)


def numeric_entries(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entries of a batch that an engine can hold.

    Args:
        batch: name to array, tensor, list or dict.

    Returns:
        Dict without entries of text or objects, such as names of files; lists become arrays.

    Raises:
        ValueError: if the rows of a list differ in length.

    Example:

    >>> sorted(numeric_entries({"audio": np.ones(2), "file": np.array(["a.wav", "b.wav"])}))
    ['audio']
    """
    entries = {name: _as_array(name, value) for name, value in batch.items()}
    return {
        name: value
        for name, value in entries.items()
        if isinstance(value, Mapping) or is_numeric(value)
    }


def _as_array(name: str, value: Any) -> Any:
    if not isinstance(value, list | tuple):
        return value
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(
            f"Entry {name!r} of a batch must be an array, or a list whose rows have one length. "
            f"Received a {type(value).__name__} that is no array: {error}"
        ) from error


def check_arrays(x: Mapping[str, Any], modalities: Sequence[str], use_masks: bool = True) -> None:
    """Raises for a dict of arrays that is empty, of unequal lengths, or not finite.

    Frames that a mask leaves out, and entries that are not a modality or its mask, may hold NaN.

    Args:
        x: name to array; nested dicts are not checked.
        modalities: names of the model's modalities.
        use_masks: whether the model honours masks.

    Raises:
        ValueError: naming the entry, the rule and what was received.

    Example:

    >>> check_arrays({"audio": np.zeros((2, 10, 128))}, ("audio",))
    """
    check_keys(list(x), modalities)
    lengths = {}
    for name, values in x.items():
        if isinstance(values, Mapping):
            continue
        shape = np.shape(values)
        lengths[name] = shape[0] if shape else None
        if name.removesuffix("_mask") in modalities:
            mask = x.get(f"{name}_mask") if use_masks else None
            check_finite(values, f"Features of {name!r}", mask)
    if not lengths or 0 in lengths.values():
        raise ValueError(f"`x` must hold at least one clip. Received clips: {lengths}")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"All entries of `x` must hold the same clips. Received clips: {lengths}")


def check_finite(values: Any, name: str, mask: Any = None) -> None:
    """Raises for NaN or infinity in an array.

    Args:
        values: array or tensor `(batch, ...)`.
        name: what it is, the start of a sentence.
        mask: optional `(batch, frames)`; frames where it is 0 are not checked.

    Raises:
        ValueError: with the first row that is not finite.

    Example:

    >>> check_finite(np.array([[np.nan], [1.0]]), "`x`", np.array([[0], [1]]))
    """
    # Of a tensor one truth value leaves the device.
    if ops.is_tensor(values) and (not is_float(values) or bool(ops.all(ops.isfinite(values)))):
        return
    values = ops.convert_to_numpy(values)
    if not np.issubdtype(values.dtype, np.floating):
        return
    # A sum needs no array of the size of the data, and is finite if all elements are.
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(values.sum(dtype="float64")):
            return
    bad = ~np.isfinite(values)
    if mask is not None:
        counts = np.asarray(ops.convert_to_numpy(mask)).astype("bool")
        if counts.shape == bad.shape[:2]:
            bad &= counts.reshape(*counts.shape, *(1,) * (bad.ndim - 2))
    if bad.any():
        row = int(np.argwhere(bad)[0][0]) if bad.ndim else 0
        raise ValueError(f"{name} must be finite. Received NaN or infinity, first in row {row}.")


def numeric_data(x: Any, watch: Callable[[Any], None] | None = None) -> Any:
    """Returns a data set without the entries that hold no numbers.

    Args:
        x: a dict of arrays or a data set of batches.
        watch: called with each batch of a generator as it passes.

    Returns:
        A data set of the same kind.

    Example:

    >>> sorted(numeric_data({"audio": np.ones(2), "file": np.array(["a.wav", "b.wav"])}))
    ['audio']
    """
    if isinstance(x, Mapping):
        return numeric_entries(x)
    if isinstance(x, keras.utils.PyDataset):
        return _NumericBatches(x)
    if isinstance(x, types.GeneratorType):
        return _passing(x, watch)
    if hasattr(x, "collate_fn"):
        # A torch `DataLoader`, which the other engines read too.
        x = copy.copy(x)
        x.collate_fn = _NumericCollate(x.collate_fn)
        return x
    if hasattr(x, "element_spec") and _numeric_batch(x.element_spec) != x.element_spec:
        single = not isinstance(x.element_spec, tuple)
        return x.map(lambda *batch: _numeric_batch(batch[0] if single else batch))
    return x


class _NumericCollate:
    """The collation of a `DataLoader` without entries that hold no numbers."""

    def __init__(self, collate: Callable[[Any], Any]):
        self.collate = collate

    def __call__(self, clips: Any) -> Any:
        return _in_tuple(self.collate(clips))


class _NumericBatches(keras.utils.PyDataset):
    """The batches of another `PyDataset` without entries that hold no numbers."""

    def __init__(self, batches: keras.utils.PyDataset):
        super().__init__(batches.workers, batches.use_multiprocessing, batches.max_queue_size)
        self.batches = batches

    @property
    def num_batches(self) -> int | None:
        return self.batches.num_batches

    def __getitem__(self, index: int) -> Any:
        return _in_tuple(self.batches[index])

    def on_epoch_begin(self) -> None:
        self.batches.on_epoch_begin()

    def on_epoch_end(self) -> None:
        self.batches.on_epoch_end()


def _passing(batches: Iterator[Any], watch: Callable[[Any], None] | None) -> Iterator[Any]:
    for batch in batches:
        batch = _in_tuple(batch)
        if watch is not None:
            watch(batch)
        yield batch


def _in_tuple(batch: Any) -> Any:
    """A batch without entries that hold no numbers, in a tuple, which Keras takes of every kind."""
    batch = _numeric_batch(batch)
    return (batch,) if isinstance(batch, Mapping) else batch


def _numeric_batch(batch: Any) -> Any:
    if isinstance(batch, Mapping):
        return numeric_entries(batch)
    if isinstance(batch, tuple) and batch and isinstance(batch[0], Mapping):
        return (numeric_entries(batch[0]), *batch[1:])
    return batch
