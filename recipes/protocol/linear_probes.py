"""Linear probes under both protocols: trained on codes of one modality, tested on another's.

Every view of one modality's codes (quantised, continuous, channels that TOC keeps) has a probe of
its own. The probes train in one `fit`: they share no weights, their losses are summed and Adam
works weight by weight, so that each probe is the same as if it were trained alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import keras_cmg
from keras_cmg.optimizers.module_clipped_adam import ModuleClippedAdam
from recipes.protocol.clips import ENCODE_BATCH, clip_classes
from recipes.protocol.probe_metrics import measure

MILESTONES, CLIP_NORM, REFERENCE_RATE = (10, 20, 30), 0.5, 4e-4
"""Of the published code: epochs that halve the learning rate, norm of gradients, first rate."""
LOG_LOSS_START = 0.1


class Labelled(NamedTuple):
    """Codes of clips in one modality, by view, and their labels."""

    views: dict[str, np.ndarray]
    """View to float (clips, frames, dim)."""
    labels: np.ndarray
    """(clips, frames, classes + 1), the last column background."""


class Choice(NamedTuple):
    """Scores of a probe at the epoch that was chosen."""

    scores: dict[str, float]
    epoch: int
    """From 1."""
    chosen_on: float
    """The main score by which the epoch was chosen."""
    probe: keras.Model | None = None
    """The probe, with its weights at that epoch; None under "reference", where each target has
    weights of its own."""


class ProbesOfViews(keras.Model):
    """One probe per view, trained together.

    Args:
        probes: view to a model from (batch, frames, dim) to logits.
        num_outputs: number of logits of each probe.
        localises: whether the loss is the binary cross-entropy of each class and second, rather
            than the cross-entropy of the clip's class.
        log_loss: whether to add the published code's term: the log-softmax of the labelled
            classes, each times exp(-alpha) with a trainable alpha.

    Call arguments:
        inputs: view to (batch, frames, dim).

    Returns:
        Logits (batch, views, ...).

    Example:

    >>> probes = ProbesOfViews({"codes": keras_cmg.models.LinearProbe(3)}, 3)
    >>> tuple(probes({"codes": np.zeros((2, 10, 4), "float32")}).shape)
    (2, 1, 3)
    """

    def __init__(
        self,
        probes: Mapping[str, keras.Model],
        num_outputs: int,
        localises: bool = False,
        log_loss: bool = False,
    ) -> None:
        super().__init__(name="probes")
        self.probes = dict(probes)
        self.localises = localises
        self.alpha = None
        if log_loss:
            self.alpha = self.add_weight(
                shape=(len(probes), 1, num_outputs),
                initializer=keras.initializers.Constant(LOG_LOSS_START),
                name="alpha",
            )

    def build(self, input_shape):
        for view, probe in self.probes.items():
            probe.build(input_shape[view])
        self.built = True

    def call(self, inputs):
        return ops.stack([probe(inputs[view]) for view, probe in self.probes.items()], axis=1)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        # Summed over probes, so that each has the gradient that it would have alone.
        if not self.localises:
            classes = ops.repeat(ops.cast(y, "int32")[:, None], len(self.probes), axis=1)
            losses = ops.sparse_categorical_crossentropy(classes, y_pred, from_logits=True)
            return ops.sum(ops.mean(losses, axis=0))
        labels = ops.broadcast_to(ops.cast(y, y_pred.dtype)[:, None], ops.shape(y_pred))
        losses = ops.mean(ops.binary_crossentropy(labels, y_pred, from_logits=True), axis=-1)
        if self.alpha is not None:
            weighted = labels * ops.log_softmax(y_pred, axis=-1) * ops.exp(-self.alpha)
            losses = losses - ops.mean(ops.sum(weighted, axis=-1), axis=-1)[..., None]
        return ops.sum(ops.mean(losses, axis=(0, 2)))


def make_probe(
    protocol: str, localises: bool, dim: int, outputs: int, seed: int, name: str
) -> keras.Model:
    """Returns one probe, not trained.

    Args:
        protocol: "heldout": one linear layer, as in the paper; "reference": two layers with the
            maximum over time between them, as in the published code.
        localises: whether it has logits of every second.
        dim: length of a code.
        outputs: number of logits.
        seed: seed of the initial weights under "reference"; under "heldout" they are zero.
        name: name of the model.

    Returns:
        A model from (batch, frames, dim) to logits.

    Example:

    >>> probe = make_probe("reference", False, 4, 3, seed=0, name="probe")
    >>> tuple(probe(np.zeros((2, 10, 4), "float32")).shape)
    (2, 3)
    """
    if protocol == "heldout":
        return keras_cmg.models.LinearProbe(
            outputs, "none" if localises else "max", kernel_initializer="zeros", name=name
        )

    def dense(units: int, place: str, shift: int) -> keras.Layer:
        # PyTorch's default: uniform within the inverse root of the inputs.
        reach = dim**-0.5
        draw = keras.initializers.RandomUniform
        return keras.layers.Dense(
            units,
            kernel_initializer=draw(-reach, reach, seed=4 * seed + shift),
            bias_initializer=draw(-reach, reach, seed=4 * seed + shift + 1),
            name=place,
        )

    pooling = [] if localises else [keras.layers.GlobalMaxPooling1D()]
    layers = [dense(dim, "first", 0), *pooling, dense(outputs, "second", 2)]
    return keras.Sequential(layers, name=name)


def probe_optimizer(
    protocol: str, views: int, learning_rate: float, steps: int
) -> keras.optimizers.Optimizer:
    """Returns the optimiser of all probes of a modality.

    Args:
        protocol: "heldout" or "reference".
        views: number of probes.
        learning_rate: learning rate under "heldout".
        steps: steps per epoch.

    Returns:
        Adam; under "reference" with gradients clipped probe by probe and halving rates.

    Example:

    >>> type(probe_optimizer("heldout", 1, 4e-3, 10)).__name__
    'Adam'
    """
    if protocol == "heldout":
        return keras.optimizers.Adam(learning_rate)
    halves = [REFERENCE_RATE / 2**number for number in range(len(MILESTONES) + 1)]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [milestone * steps - 1 for milestone in MILESTONES], halves
    )
    modules = {f"probe_{number}": f"probe_{number}/" for number in range(views)}
    return ModuleClippedAdam(schedule, clip_norm=CLIP_NORM, modules=modules)


def train_probes(
    train: Labelled,
    val: Labelled | None,
    targets: Mapping[str, Labelled],
    localises: bool = False,
    main: str = "accuracy",
    protocol: str = "heldout",
    epochs: int = 25,
    batch_size: int = 80,
    learning_rate: float = 4e-3,
    seed: int = 0,
) -> dict[str, dict[str, Choice]]:
    """Trains a probe on each view of one modality's codes and tests it on those of others.

    Every epoch visits the training clips in an order of its own, in whole batches.

    Args:
        train: labelled clips to learn on.
        val: clips of the same modality, on which the epoch is chosen under "heldout"; None under
            "reference".
        targets: name to the clips that are reported. Under "reference" every epoch is tested on
            them and the best is reported, as the published code does.
        localises: whether every second has classes, or each clip one.
        main: name of the metric that chooses the epoch.
        protocol: "heldout" or "reference".
        epochs: epochs of training.
        batch_size: clips per step.
        learning_rate: learning rate of Adam under "heldout".
        seed: seed of the order of the clips and of initial weights.

    Returns:
        Target to view to the scores at the chosen epoch.

    Raises:
        ValueError: if there are no clips, other labels than codes, or codes that are not finite.

    Example:

    >>> x = np.repeat(np.eye(2, dtype="float32"), 4, axis=0)[:, None]
    >>> labels = np.repeat(np.eye(2, 3), 4, axis=0)[:, None]
    >>> clips = Labelled({"codes": x}, labels)
    >>> found = train_probes(clips, clips, {"audio": clips}, epochs=2)
    >>> found["audio"]["codes"].scores
    {'accuracy': 1.0}
    """
    check_codes({"training": train, **({"validation": val} if val else {}), **targets})
    outputs = train.labels.shape[-1] - (0 if localises else 1)
    y: Any = train.labels if localises else clip_classes(train.labels)
    model = ProbesOfViews(
        {
            view: make_probe(protocol, localises, x.shape[-1], outputs, seed, f"probe_{number}")
            for number, (view, x) in enumerate(train.views.items())
        },
        outputs,
        localises,
        log_loss=localises and protocol == "reference",
    )
    model.build({view: x.shape for view, x in train.views.items()})
    steps = max(len(y) // batch_size, 1)
    model.compile(probe_optimizer(protocol, len(train.views), learning_rate, steps))
    measured_on = dict(targets) if protocol == "reference" else {}
    if protocol == "heldout" and val is not None:
        measured_on[""] = val
    batches = batch_size if protocol == "reference" else None

    def logits(clips: Labelled) -> dict[str, np.ndarray]:
        found = model.predict(clips.views, batch_size=ENCODE_BATCH, verbose=0)
        return {view: found[:, place] for place, view in enumerate(clips.views)}

    best: dict[tuple[str, str], tuple[float, int, list[np.ndarray]]] = {}
    random = np.random.default_rng(seed)
    for epoch in range(1, epochs + 1):
        # A last, smaller batch would be compiled anew.
        order = random.permutation(len(y))[: steps * batch_size]
        views = {view: x[order] for view, x in train.views.items()}
        model.fit(views, y[order], batch_size=batch_size, shuffle=False, verbose=0)
        for target, clips in measured_on.items():
            for view, found in logits(clips).items():
                score = measure(localises, clips.labels, found, batches, only=main)[main]
                # The first of equally good epochs: the least trained probe.
                if (target, view) not in best or score > best[target, view][0]:
                    best[target, view] = (score, epoch, model.probes[view].get_weights())
    results: dict[str, dict[str, Choice]] = {}
    for target, clips in targets.items():
        place = target if protocol == "reference" else ""
        for view, probe in model.probes.items():
            probe.set_weights(best[place, view][2])
        results[target] = {
            view: Choice(
                measure(localises, clips.labels, found, batches),
                best[place, view][1],
                best[place, view][0],
                model.probes[view] if protocol == "heldout" else None,
            )
            for view, found in logits(clips).items()
        }
    return results


def check_codes(clips: Mapping[str, Labelled]) -> None:
    """Checks that a probe can learn from codes.

    Args:
        clips: name, for errors, to codes and labels.

    Raises:
        ValueError: if there are no clips, other labels than codes, or codes that are not finite.

    Example:

    >>> check_codes({"audio": Labelled({"codes": np.zeros((1, 1, 2))}, np.zeros((1, 1, 3)))})
    """
    for name, (views, labels) in clips.items():
        for view, values in views.items():
            if not len(values) or len(values) != len(labels):
                raise ValueError(
                    f"codes of {name!r} must have one row per labelled clip, at least one. "
                    f"Received: {len(values)} rows ({view}) for {len(labels)} clips"
                )
            if not np.isfinite(values).all():
                raise ValueError(f"codes of {name!r} must be finite. Received: NaN or inf ({view})")
