"""Cross-modal probes: linear layers trained on one modality's codes and tried on the others'.

All probes of a run are outputs of one model and train in one `fit`. They share no weight and Adam
works weight by weight, so each comes out as if trained alone, and only one step is compiled.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import data_tools
import keras_cmg

Codes = Mapping[str, Mapping[str, np.ndarray]]
"""Modality to what `CrossModalBackbone.encode` gives, for all clips of a split."""

VIEWS = {"quantized": "quantized", "continuous": "general"}
"""What a probe sees, by the key of the codes that it is made of; TOC views come on top."""


class ProbeScores(NamedTuple):
    """Outcome of `cross_modal_probes`; the first key is always the view."""

    scores: dict[str, dict[str, float]]
    """View and pair `"source->target"` to accuracy on the target's test clips."""
    validation: dict[str, dict[str, float]]
    """View and source to the accuracy on the source's validation clips that chose the epoch."""
    epochs: dict[str, dict[str, int]]
    """View and source to the chosen epoch, from 1."""


def encode_split(
    backbone: keras_cmg.CrossModalBackbone,
    features: str | os.PathLike[str],
    split: str,
    levels: Mapping[str, str],
    batch_size: int = 100,
) -> dict[str, dict[str, np.ndarray]]:
    """Codes of all clips of a split, from the frozen backbone.

    Args:
        backbone: the encoder, built.
        features: feature folder.
        split: "train", "val" or "test".
        levels: modality to "segment" or "clip".
        batch_size: clips at once.

    Returns:
        Modality to a dict of `general` and `quantized`, float (clips, frames, dim) or (clips,
        dim), and `indices`, int (clips, frames) or (clips,).

    Raises:
        ValueError: the folder or an argument is wrong.
    """
    codes = {}
    for modality, level in levels.items():
        encoder = keras_cmg.ModalityEncoder(backbone, modality, level=level)
        # One modality at a time, so that the largest alone sets the memory in use.
        batches = data_tools.load(
            features, split, (modality,), batch_size, shuffle=False, drop_remainder=False
        )
        codes[modality] = encoder.predict(batches, verbose=0)
    return codes


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

    def __init__(self, measure: Any, probes: Mapping[Any, keras_cmg.LinearProbe]) -> None:
        super().__init__()
        self.measure = measure
        self.probes = probes
        self.best: dict[Any, tuple[float, int, list[np.ndarray]]] = {}

    def on_epoch_end(self, epoch, logs=None):
        for key, accuracy in self.measure().items():
            # The first of equally good epochs: the least trained probe.
            if key not in self.best or accuracy > self.best[key][0]:
                self.best[key] = (accuracy, epoch + 1, self.probes[key].get_weights())

    def on_train_end(self, logs=None):
        for key, (_, _, weights) in self.best.items():
            self.probes[key].set_weights(weights)


def cross_modal_probes(
    codes: Mapping[str, Codes],
    classes: Mapping[str, np.ndarray],
    num_classes: int,
    masks: Mapping[str, keras_cmg.TOCChannelMask] | None = None,
    epochs: int = 25,
    batch_size: int = 80,
    learning_rate: float = 4e-3,
    seed: int = 0,
) -> ProbeScores:
    """Trains a probe on each modality's training codes and tries it on every modality's test codes.

    The protocol `heldout`: a probe's epoch is chosen on validation clips of its *source*; test
    labels of the target are read once, at that epoch.

    Args:
        codes: split ("train", "val", "test") to codes of each modality.
        classes: split to (clips,) int classes.
        num_classes: how many classes there are.
        masks: name to TOC mask, adapted; each is one more view, of the quantised codes.
        epochs: of training.
        batch_size: clips per step.
        learning_rate: of Adam.
        seed: of the order of the training clips.

    Returns:
        Accuracies, as fractions, and chosen epochs.

    Raises:
        ValueError: a split is empty, has other clips than classes, or codes that are not finite.

    Example:

    >>> x = np.repeat(np.eye(2, dtype="float32"), 4, axis=0)
    >>> both = {"quantized": x, "general": x}
    >>> splits = dict.fromkeys(("train", "val", "test"), {"audio": both, "text": both})
    >>> classes = dict.fromkeys(splits, np.repeat([0, 1], 4))
    >>> cross_modal_probes(splits, classes, 2, epochs=2).scores["quantized"]["audio->text"]
    1.0
    """
    check_codes(codes, classes)
    order = np.random.default_rng(seed).permutation(len(classes["train"]))
    views: dict[str, tuple[str, Any]] = {view: (kind, None) for view, kind in VIEWS.items()}
    views |= {view: ("quantized", mask) for view, mask in (masks or {}).items()}
    inputs, arrays, outputs, probes = {}, {}, {}, {}
    for source, kinds in codes["train"].items():
        for kind in VIEWS.values():
            name = f"{source}_{kind}"
            inputs[name] = keras.Input(kinds[kind].shape[1:], name=name)
            arrays[name] = kinds[kind][order]
        for view, (kind, mask) in views.items():
            x = inputs[f"{source}_{kind}"]
            probe = probes[source, view] = keras_cmg.LinearProbe(num_classes)
            outputs[f"{source}_{view}"] = probe(x if mask is None else mask(x))
            # From zero the outcome does not hang on a draw.
            probe.set_weights([np.zeros_like(weight) for weight in probe.get_weights()])

    def accuracy(source: str, view: str, split: str, target: str) -> float:
        kind, mask = views[view]
        x = codes[split][target][kind]
        logits = probes[source, view](x if mask is None else mask(ops.convert_to_tensor(x)))
        predicted = ops.convert_to_numpy(logits).argmax(axis=-1)
        return float((predicted == classes[split]).mean())

    choice = EpochChoice(lambda: {key: accuracy(*key, "val", key[0]) for key in probes}, probes)
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(learning_rate), dict.fromkeys(outputs, loss))
    targets = dict.fromkeys(outputs, classes["train"][order])
    model.fit(
        arrays,
        targets,
        batch_size=batch_size,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[choice],
    )
    sources = tuple(codes["train"])
    return ProbeScores(
        {
            view: {
                f"{source}->{target}": accuracy(source, view, "test", target)
                for source in sources
                for target in sources
            }
            for view in views
        },
        {view: {source: choice.best[source, view][0] for source in sources} for view in views},
        {view: {source: choice.best[source, view][1] for source in sources} for view in views},
    )


def check_codes(codes: Mapping[str, Codes], classes: Mapping[str, np.ndarray]) -> None:
    """Refuses codes that a probe cannot learn from.

    Args:
        codes: split to codes of each modality.
        classes: split to classes.

    Raises:
        ValueError: naming the split, the modality and the rule.

    Example:

    >>> check_codes({"val": {"audio": {"general": np.zeros((1, 2))}}}, {"val": np.array([3])})
    """
    for split, modalities in codes.items():
        for modality, kinds in modalities.items():
            for kind, values in kinds.items():
                if not len(values) or len(values) != len(classes[split]):
                    raise ValueError(
                        f"`codes` of {modality!r} in {split!r} must hold one row for each of the "
                        f"clips, at least one; received: {len(values)} rows ({kind}) for "
                        f"{len(classes[split])} classes"
                    )
                if not np.isfinite(values).all():
                    raise ValueError(
                        f"`codes` of {modality!r} in {split!r} must be finite; "
                        f"received NaN or infinity ({kind})"
                    )
