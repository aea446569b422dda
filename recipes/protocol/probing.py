"""Cross-modal probes: linear layers trained on one modality's codes and tried on the others'.

All probes of a run are outputs of one model and train in one `fit`. They share no weight and Adam
works weight by weight, so each comes out as if trained alone, and only one step is compiled.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import data_tools
import keras_cmg
from data_tools.io.constants import SPLITS

Codes = Mapping[str, Mapping[str, np.ndarray]]
"""Modality to view to codes of all clips of a split; a view is one way to look at the codes."""


ENCODE_BATCH = 100
"""Clips at once where nothing is trained; whole batches of the usual splits, compiled once."""


class ProbeScores(NamedTuple):
    """Outcome of `cross_modal_probes`; the first key is always the view."""

    scores: dict[str, dict[str, float]]
    """View and pair `"source->target"` to accuracy on the target's test clips."""
    validation: dict[str, dict[str, float]]
    """View and source to the accuracy on the source's validation clips that chose the epoch."""
    epochs: dict[str, dict[str, int]]
    """View and source to the chosen epoch, from 1."""
    probes: dict[str, dict[str, keras_cmg.models.LinearProbe]]
    """View and source to the probe, as it was at that epoch."""


def encode_splits(
    backbone: keras_cmg.models.Backbone,
    features: str | os.PathLike[str],
    levels: Mapping[str, str],
    splits: Sequence[str] = SPLITS,
    batch_size: int = ENCODE_BATCH,
) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """Codes of all clips, from the frozen backbone.

    Args:
        backbone: the encoder, built.
        features: feature folder.
        levels: modality to "segment" or "clip".
        splits: which to encode.
        batch_size: clips at once.

    Returns:
        Split to modality to a dict of `general` and `quantized`, float (clips, frames, dim) or
        (clips, dim), and `indices`, int (clips, frames) or (clips,).

    Raises:
        ValueError: the folder or an argument is wrong.
    """
    codes: dict[str, dict[str, dict[str, np.ndarray]]] = {split: {} for split in splits}
    for modality, level in levels.items():
        # One for all splits, so that it is compiled once.
        encoder = keras_cmg.models.ModalityEncoder(backbone, modality, level=level)
        for split in splits:
            # One modality at a time, so that the largest alone sets the memory in use.
            batches = data_tools.load(
                features, split, (modality,), batch_size, shuffle=False, drop_remainder=False
            )
            codes[split][modality] = encoder.predict(batches, verbose=0)
    return codes


def toc_masks(
    channels: Sequence[int], dim: int, **options: Any
) -> dict[str, keras_cmg.layers.TOCChannelMask]:
    """A TOC mask for each number of kept dimensions, not adapted yet.

    Args:
        channels: numbers of dimensions to keep.
        dim: of the codes.
        options: further arguments of the masks.

    Returns:
        The number, as text, to the mask.

    Raises:
        ValueError: a number is below 1 or above `dim`.

    Example:

    >>> [mask.num_channels for mask in toc_masks((4, 2), 8).values()]
    [4, 2]
    """
    for kept in channels:
        if not 1 <= kept <= dim:
            raise ValueError(f"--toc-channels must lie between 1 and {dim}; received: {kept}")
    return {str(kept): keras_cmg.layers.TOCChannelMask(kept, **options) for kept in channels}


def code_views(
    codes: Codes, masks: Mapping[str, keras_cmg.layers.TOCChannelMask]
) -> dict[str, dict[str, np.ndarray]]:
    """What probes are trained on: the codes, the features before them, the channels TOC keeps.

    Args:
        codes: modality to a dict with `quantized` and `general`, as from `encode_splits`.
        masks: name to TOC mask, adapted.

    Returns:
        Modality to view, "quantized", "continuous" or the name of a mask, to codes.

    Example:

    >>> mask = keras_cmg.layers.TOCChannelMask(1)
    >>> mask.adapt(np.eye(2))
    >>> codes = {"text": {"quantized": np.ones((3, 2)), "general": np.zeros((3, 2))}}
    >>> {view: x.shape for view, x in code_views(codes, {"1": mask})["text"].items()}
    {'quantized': (3, 2), 'continuous': (3, 2), '1': (3, 1)}
    """
    return {
        modality: {
            "quantized": kinds["quantized"],
            "continuous": kinds["general"],
            **{
                name: ops.convert_to_numpy(mask(ops.convert_to_tensor(kinds["quantized"])))
                for name, mask in masks.items()
            },
        }
        for modality, kinds in codes.items()
    }


def clip_classes(features: str | os.PathLike[str], split: str) -> np.ndarray:
    """Class of each clip of a split: the one that most of its segments show.

    Args:
        features: feature folder.
        split: "train", "val" or "test".

    Returns:
        (clips,) int.

    Raises:
        ValueError: the folder is wrong.
    """
    folder = data_tools.FeatureFolder(features)
    labels = folder.read("labels", folder.order(split))
    folder.close()
    return labels[..., :-1].sum(axis=1).argmax(axis=-1)


class EpochChoice(keras.callbacks.Callback):
    """Keeps each probe's weights of the epoch that is best on its source's validation clips.

    Args:
        measure: gives the validation accuracy of every probe, by key.
        probes: key to probe.
    """

    def __init__(
        self, measure: Callable[[], Mapping[Any, float]], probes: Mapping[Any, keras.Model]
    ) -> None:
        super().__init__()
        self.measure = measure
        self.probes = probes
        self.best: dict[Any, tuple[float, int, list[np.ndarray]]] = {}

    def on_epoch_end(self, epoch, logs=None):
        for key, accuracy in self.measure().items():
            # The first of equally good epochs: the least trained probe.
            if key not in self.best or accuracy > self.best[key][0]:
                weights = [ops.convert_to_numpy(weight) for weight in self.probes[key].weights]
                self.best[key] = (accuracy, epoch + 1, weights)

    def restore(self) -> None:
        """Gives every probe the weights of its best epoch; after `fit`, which holds its own."""
        for key, (_, _, weights) in self.best.items():
            self.probes[key].set_weights(weights)


def cross_modal_probes(
    codes: Mapping[str, Codes],
    classes: Mapping[str, np.ndarray],
    num_classes: int,
    epochs: int = 25,
    batch_size: int = 80,
    learning_rate: float = 4e-3,
    seed: int = 0,
) -> ProbeScores:
    """Trains a probe on each modality's training codes and tries it on every modality's test codes.

    The protocol `heldout`: a probe's epoch is chosen on validation clips of its *source*; test
    labels of the target are read once, at that epoch.

    Args:
        codes: split ("train", "val", "test") to modality to view to float (clips, frames, dim)
            or (clips, dim); a view has the same dim in every modality.
        classes: split to (clips,) int classes.
        num_classes: how many classes there are.
        epochs: of training.
        batch_size: clips per step.
        learning_rate: of Adam.
        seed: of the order of the training clips.

    Returns:
        Accuracies, as fractions, chosen epochs, and the probes.

    Raises:
        ValueError: a split is empty, has other clips than classes, or codes that are not finite.

    Example:

    >>> x = np.repeat(np.eye(2, dtype="float32"), 4, axis=0)
    >>> both = {"audio": {"codes": x}, "text": {"codes": x}}
    >>> splits = dict.fromkeys(("train", "val", "test"), both)
    >>> classes = dict.fromkeys(splits, np.repeat([0, 1], 4))
    >>> cross_modal_probes(splits, classes, 2, epochs=2).scores["codes"]["audio->text"]
    1.0
    """
    check_codes(codes, classes)
    probes = {
        # From zero the outcome does not hang on a draw.
        (source, view): keras_cmg.models.LinearProbe(num_classes, kernel_initializer="zeros")
        for source, views in codes["train"].items()
        for view in views
    }
    inputs, logits = {}, []
    for (source, view), probe in probes.items():
        dim = codes["train"][source][view].shape[-1]
        inputs[f"{source}_{view}"] = keras.Input((None, dim), name=f"{source}_{view}")
        logits.append(probe(inputs[f"{source}_{view}"]))
    model = keras.Model(inputs, ops.stack(logits, axis=1))

    def arrays(split: str, target: str | None = None) -> dict[str, np.ndarray]:
        """Inputs of all probes: of the modality each was trained on, or of one for all."""
        chosen = {key: codes[split][target or key[0]][key[1]] for key in probes}
        return {
            f"{source}_{view}": x if x.ndim == 3 else x[:, None]
            for (source, view), x in chosen.items()
        }

    def accuracies(split: str, target: str | None = None) -> dict[tuple[str, str], float]:
        logits = model.predict(arrays(split, target), batch_size=ENCODE_BATCH, verbose=0)
        right = logits.argmax(axis=-1) == classes[split][:, None]
        return dict(zip(probes, right.mean(axis=0).tolist(), strict=True))

    choice = EpochChoice(lambda: accuracies("val"), probes)
    # Its mean over probes only scales their gradients, which Adam does not mind.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), loss)
    order = np.random.default_rng(seed).permutation(len(classes["train"]))
    # A last, smaller batch would be compiled anew.
    order = order[: max(len(order) // batch_size, 1) * batch_size]
    model.fit(
        {name: x[order] for name, x in arrays("train").items()},
        np.repeat(classes["train"][order][:, None], len(probes), axis=1),
        batch_size=batch_size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[choice],
    )
    choice.restore()
    result = ProbeScores({}, {}, {}, {})
    for (source, view), (validation, epoch, _) in choice.best.items():
        result.validation.setdefault(view, {})[source] = validation
        result.epochs.setdefault(view, {})[source] = epoch
        result.probes.setdefault(view, {})[source] = probes[source, view]
    for target in codes["test"]:
        for (source, view), score in accuracies("test", target).items():
            result.scores.setdefault(view, {})[f"{source}->{target}"] = score
    return result


def check_codes(codes: Mapping[str, Codes], classes: Mapping[str, np.ndarray]) -> None:
    """Refuses codes that a probe cannot learn from.

    Args:
        codes: split to modality to view to codes.
        classes: split to classes.

    Raises:
        ValueError: naming the split, the modality and the rule.

    Example:

    >>> check_codes({"val": {"audio": {"codes": np.zeros((1, 2))}}}, {"val": np.array([3])})
    """
    for split, modalities in codes.items():
        for modality, views in modalities.items():
            for view, values in views.items():
                if not len(values) or len(values) != len(classes[split]):
                    raise ValueError(
                        f"`codes` of {modality!r} in {split!r} must hold one row for each of the "
                        f"clips, at least one; received: {len(values)} rows ({view}) for "
                        f"{len(classes[split])} classes"
                    )
                if not np.isfinite(values).all():
                    raise ValueError(
                        f"`codes` of {modality!r} in {split!r} must be finite; "
                        f"received NaN or infinity ({view})"
                    )
