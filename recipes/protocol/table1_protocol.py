"""The protocols of Table 1: which clips probes learn from, what chooses them, what is reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import keras_cmg
from recipes.protocol import linear_probes, probe_metrics
from recipes.protocol.clips import Clips
from recipes.protocol.cross_modal_probes import EncodedClips, toc_masks
from recipes.protocol.tasks import Task

HELDOUT = (
    "Probes are one linear layer, trained on labelled clips of one modality; the epoch, and how "
    "many dimensions TOC keeps, are the best on validation clips of that same modality; test "
    "labels of the other are read once."
)
REFERENCE = (
    "Probes are those of the published code, two linear layers (with the maximum over time between "
    "them where a clip has one class), trained with its losses, learning rates and clipping; the "
    "epoch is the best on the clips that are reported, some of which are training clips. TOC keeps "
    "as many dimensions as the published script, by its criterion, of codes that are not "
    "normalised. Unlike there, dropout is off while features are computed."
)
NO_CODES = "{} has no codes, so that TOC does not apply: its columns are absent."


def describe(protocol: str) -> str:
    """Returns a description of a protocol.

    Args:
        protocol: "heldout" or "reference".

    Example:

    >>> describe("heldout") == HELDOUT
    True
    """
    return HELDOUT if protocol == "heldout" else REFERENCE


def check_directions(directions: Sequence[str], modalities: Sequence[str]) -> None:
    """Checks the directions in which probes are tested.

    Args:
        directions: each "source:target".
        modalities: modalities of the data.

    Raises:
        ValueError: if a direction is not of two of the modalities.

    Example:

    >>> check_directions(("video:audio",), ("audio", "video"))
    """
    for direction in directions:
        ends = direction.split(":")
        if len(ends) != 2 or not set(ends) <= set(modalities):
            raise ValueError(
                f"--directions must be FROM:TO of {tuple(modalities)}, such as video:audio. "
                f"Received: {direction!r}"
            )


def protocol_masks(
    backbone: keras_cmg.models.Backbone,
    task: Task,
    protocol: str,
    channels: Sequence[int],
    criterion: str | None = None,
) -> dict[str, keras_cmg.layers.TOCChannelMask]:
    """Returns the adapted TOC masks of a protocol; none for a model without codes.

    Args:
        backbone: the encoder.
        task: task whose published script sets the mask under "reference".
        protocol: "heldout" or "reference".
        channels: numbers of dimensions to keep under "heldout".
        criterion: criterion of TOC; that of the protocol if None.

    Returns:
        Number of dimensions, as text, to mask.
    """
    source = backbone.code_source()
    if source is None or protocol == "heldout":
        return toc_masks(channels, source, criterion=criterion or "both")
    kept = min(task.reference_channels, backbone.code_dim)
    if getattr(backbone, "second_level", False):
        # The authors of H-DCID select as many channels from the codebook of each level.
        source = source.codebooks
        kept = sum(min(task.reference_channels, codes.shape[1]) for codes in source)
    return toc_masks(
        (kept,),
        source,
        criterion=criterion or task.reference_criterion,
        normalize=False,
        unbiased=True,
    )


def evaluate(
    task: Task,
    backbone: keras_cmg.models.Backbone,
    clips: Clips,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
    directions: Sequence[str] = ("video:audio", "audio:video"),
    probe_epochs: int = 25,
    seed: int = 0,
    cache: dict[Any, Any] | None = None,
) -> dict[str, Any]:
    """Trains and tests the probes of a task, in every direction and within each source.

    Args:
        task: clips, labels and metrics.
        backbone: the frozen encoder.
        clips: where clips are read from; their protocol is used.
        masks: name to TOC mask, adapted.
        directions: each "source:target".
        probe_epochs: epochs of training a probe.
        seed: seed of the probes.
        cache: codes to share between tasks on the same data.

    Returns:
        Dict of `scores`, direction to view to metric; `chosen_on` and `epochs`, direction to view;
        `constant`, direction to metric, of the constant answer; `clips`, their numbers;
        `clips_unreadable`; `metrics`, the main one first.

    Raises:
        ValueError: if a split has no clips for the task, or a modality cannot localise events.
    """
    roles = _Roles(task, EncodedClips(backbone, clips, cache=cache), masks)
    heldout = clips.protocol == "heldout"
    learn, tested = ("train", "test") if heldout else task.reference_splits
    pairs = [tuple(direction.split(":")) for direction in directions]
    result: dict[str, Any] = {"metrics": list(task.metrics)}
    for kind in ("scores", "chosen_on", "epochs", "constant"):
        result[kind] = {}
    for modality in dict.fromkeys(first for first, _ in pairs):
        train = roles.labelled(learn, modality, "source")
        val = roles.labelled("val", modality, "source") if heldout else None
        others = [second for first, second in pairs if first == modality]
        targets = {
            target: roles.labelled(tested, target, "target")
            for target in dict.fromkeys([*others, modality])
        }
        found = linear_probes.train_probes(
            train,
            val,
            targets,
            task.localises,
            task.metrics[0],
            clips.protocol,
            probe_epochs,
            seed=seed,
        )
        for target, views in found.items():
            direction, labels = f"{modality}->{target}", targets[target].labels
            result["scores"][direction] = {view: c.scores for view, c in views.items()}
            result["epochs"][direction] = {view: c.epoch for view, c in views.items()}
            result["chosen_on"][direction] = {view: c.chosen_on for view, c in views.items()}
            answer = probe_metrics.constant_logits(task.localises, train.labels, len(labels))
            result["constant"][direction] = probe_metrics.measure(task.localises, labels, answer)
    return {**result, "clips": roles.counts, "clips_unreadable": roles.encoded.missing}


class _Roles:
    """Labelled clips of a task by role, counted."""

    def __init__(self, task, encoded, masks):
        self.task, self.encoded, self.masks = task, encoded, masks
        self.counts: dict[str, int] = {}

    def labelled(self, split: str, modality: str, role: str) -> linear_probes.Labelled:
        """Views and labels of the clips of a split that take a role."""
        if self.task.localises and self.encoded.levels.get(modality) == "clip":
            raise ValueError(f"{modality!r} has no seconds, so that it cannot localise events")
        prepared = self.encoded.clips.prepared
        options = {} if prepared else self.task.options.get(modality, {})
        found = self.encoded.labelled(split, modality, self.masks, **options)
        keep = np.ones(len(found.labels), bool)
        if prepared:
            keep = self.task.stand_in(found.labels, modality, role)
        if not keep.any():
            raise ValueError(
                f"{split} of {self.encoded.clips.data} must have clips for {self.task.name}. "
                f"{self.task.stand_in_note}".rstrip()
            )
        self.counts[f"{role} {split} {modality}"] = int(keep.sum())
        views = {name: x[keep] for name, x in found.views.items()}
        return linear_probes.Labelled(views, found.labels[keep])


def chosen_view(result: Mapping[str, Any], direction: str, views: Sequence[str]) -> str:
    """Returns the view that is best by what the protocol chooses on; the first of equals.

    Args:
        result: as `evaluate` returns it.
        direction: "source->target".
        views: views to choose from.

    Example:

    >>> chosen_view({"chosen_on": {"a->b": {"192": 0.5, "128": 0.6}}}, "a->b", ["192", "128"])
    '128'
    """
    return max(views, key=lambda view: result["chosen_on"][direction][view])


def toc_views(result: Mapping[str, Any]) -> list[str]:
    """Returns the names of the views made by TOC, the most dimensions first.

    Args:
        result: as `evaluate` returns it.

    Example:

    >>> toc_views({"epochs": {"a->b": {"quantized": 1, "continuous": 1, "64": 2, "128": 1}}})
    ['128', '64']
    """
    first = next(iter(result["epochs"].values()))
    return sorted((view for view in first if view.isdigit()), key=int, reverse=True)


def across(result: Mapping[str, Any]) -> list[str]:
    """Returns the directions from one modality to another.

    Args:
        result: as `evaluate` returns it.

    Example:

    >>> across({"scores": {"a->a": {}, "a->b": {}}})
    ['a->b']
    """
    return [d for d in result["scores"] if len(set(d.split("->"))) == 2]
