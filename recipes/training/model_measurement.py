"""One model on one seed: trained without labels, then probed and searched across modalities."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data_tools.loading import SelectionSource
from data_tools.loading.batch_reader import add_text_mask
from recipes.protocol import (
    clip_probes,
    clip_retrieval,
    clip_views,
    code_sharing,
    code_use,
    segment_probes,
    toc_criteria,
)
from recipes.protocol.clips import Clips, clip_labels
from recipes.protocol.cross_modal_probes import EncodedClips, toc_masks
from recipes.protocol.resource_use import PeakMemory, device_gigabytes
from recipes.runner import content_cache, provenance
from recipes.runner.settings import Settings
from recipes.training.best_epoch import BestEpoch
from recipes.training.trained_encoders import compile_model, new_model, training_batches

PAIRS = (("video", "audio"), ("text", "audio"), ("text", "video"))
MEASURED = (
    "model",
    "preset",
    "set",
    "learning_rate",
    "schedule",
    "epochs",
    "batch_size",
    "toc_channels",
    "labels",
)
"""Settings that decide a measurement."""


def cached_measurement(
    cache: Path, settings: Settings, clips: Clips, seed: int, workers: int = 1
) -> dict[str, Any]:
    """Returns what `measure` measures, from the cache or measured now in a process of its own.

    Args:
        cache: folder of the cache.
        settings: settings with `MEASURED`.
        clips: clips to train and test on.
        seed: seed of the training.
        workers: measurements that run at once, between which the cores are divided.

    Returns:
        What `measure` returns.

    Raises:
        ValueError: if the measurement fails.
    """
    chosen = {name: getattr(settings, name) for name in MEASURED}
    identity = content_cache.with_code({**chosen, "seed": seed, "clips": clips.identity()})
    request = {"settings": chosen, "clips": {**clips._asdict(), "root": str(clips.root)}}
    return content_cache.remembered(
        cache / "measurements", identity, lambda: isolated({**request, "seed": seed}, workers)
    )


def isolated(
    request: Mapping[str, Any],
    workers: int = 1,
    function: Callable[..., dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Calls a function in a process of its own, so that its memory is its own.

    Args:
        request: arguments of the function, `settings` among them.
        workers: processes that run at once.
        function: function of a module, which returns types of JSON; `measure` if None.

    Returns:
        What it measured.

    Raises:
        ValueError: if it failed.
    """
    methods = multiprocessing.get_all_start_methods()
    # Imports take seconds: the server makes them once, and runs nothing itself.
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([f"{__package__}.process_start", __name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=_answer, args=(function or measure, dict(request), workers, sender), daemon=True
    )
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        answer = {"error": f"its process ended with status {process.exitcode}"}
    except KeyboardInterrupt:
        process.terminate()
        raise
    process.join()
    if "error" in answer:
        settings = request["settings"]
        raise ValueError(f"{settings['model']}:{settings['preset']} failed: {answer['error']}")
    return answer


def _answer(
    function: Callable[..., dict[str, Any]], request: Mapping[str, Any], workers: int, sender: Any
) -> None:
    # An interruption is reported once, by the parent process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # Threads of several processes that wait for one another make all of them slow.
        threads = max(1, (os.cpu_count() or 1) // workers)
        with threadpool_limits(threads if workers > 1 else None):
            sender.send(provenance.plain(function(**request)))
    except (OSError, RuntimeError, ValueError) as error:
        sender.send({"error": " ".join(str(error).split())})


def measure(settings: Mapping[str, Any], clips: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Trains a model and measures its codes across modalities.

    Args:
        settings: settings with `MEASURED`; of `toc_channels`, one is chosen for each modality.
        clips: fields of `Clips`.
        seed: seed of weights, dropout, order and of the clips of small probes.

    Returns:
        The epoch that was chosen and the scores that chose it; `measured_codes`; times, memory,
        parameters.

    Raises:
        ValueError: if a setting is wrong, or training fails.
    """
    chosen, source = Settings(**settings), Clips(**{**clips, "root": Path(clips["root"])})
    with PeakMemory() as memory:
        model = new_model(chosen, source.modalities(), seed)
        batches = training_batches(source, chosen.batch_size, seed, model)
        compile_model(model, chosen, len(batches) * chosen.epochs)
        best, clock = BestEpoch(source), EpochClock()
        history = model.fit(
            batches, epochs=chosen.epochs, shuffle=False, verbose=0, callbacks=[clock, best]
        ).history
    encoded = EncodedClips(model.backbone, source)
    return {
        "train_seconds": round(sum(clock.seconds), 2),
        "memory_gigabytes": device_gigabytes() or memory.gigabytes,
        "parameters": {"model": model.count_params(), "kept": model.backbone.count_params()},
        "loss": history["loss"],
        "code_usage": history["code_usage"][-1] if "code_usage" in history else None,
        "epoch": best.epoch,
        "validation": max(best.scores),
        "validation_of_epochs": best.scores,
        **measured_codes(encoded, chosen.toc_channels, chosen.labels, seed),
    }


class EpochClock(keras.callbacks.Callback):
    """Measures the seconds of training of each epoch, without other callbacks.

    Example:

    >>> EpochClock().seconds
    []
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def measured_codes(
    encoded: EncodedClips, toc_channels: Sequence[int], labels: Sequence[int], seed: int
) -> dict[str, Any]:
    """Measures codes across modalities, from their vectors and from their identities.

    Args:
        encoded: codes of the clips.
        toc_channels: numbers of dimensions among which TOC chooses.
        labels: labelled clips per class of further probes.
        seed: seed of random dimensions and of the clips of small probes.

    Returns:
        `scores`, view and "source->target" to accuracy; `correct`, the same to which test clips
        are right, packed into hexadecimal digits; `few_labels`, number of labels to view and pair
        to accuracy; `toc`, chosen numbers of dimensions, and accuracies at half of them by
        criterion; `segments`, `retrieval`, `overlap` and `shares`.
    """
    backbone, clips = encoded.backbone, encoded.clips
    number = len(clips.categories())
    masks, half = {}, 0
    if backbone.quantizer is not None:
        half = max(1, backbone.code_dim // 2)
        masks = toc_masks(tuple(dict.fromkeys((*toc_channels, half))), backbone.code_source())
    splits = {
        split: clip_views.vectors_of(encoded, split, masks) for split in ("train", "val", "test")
    }
    tests = splits["test"][clip_views.CODES]
    classes = next(iter(tests.values())).classes
    present = {name: clips.present for name, clips in tests.items()}
    probes, predicted = {}, {}
    for view in splits["test"]:
        probes[view], predicted[view] = _probed(splits, view, number)
    toc: dict[str, Any] = {}
    if masks:
        toc = _toc(encoded, splits, probes, predicted, toc_channels, half, seed)
    correct = {
        view: {pair: answer == classes for pair, answer in pairs.items()}
        for view, pairs in predicted.items()
    }
    vectors = {
        view: {name: clips.vectors for name, clips in splits["test"][view].items()}
        for view in splits["test"]
    }
    return {
        "scores": {
            view: {pair: _share(right, present, pair) for pair, right in pairs.items()}
            for view, pairs in correct.items()
        },
        "correct": {
            view: {pair: packed(right) for pair, right in pairs.items()}
            for view, pairs in correct.items()
        },
        "confusion": {
            view: {pair: confusion(classes, answer, number) for pair, answer in pairs.items()}
            for view, pairs in predicted.items()
            if view in (clip_views.CODES, clip_views.IDENTITIES)
        },
        "few_labels": {
            str(count): {
                view: {
                    pair: _share(answer == classes, present, pair)
                    for pair, answer in _probed(splits, view, number, count, seed)[1].items()
                }
                for view in splits["test"]
            }
            for count in labels
        },
        "toc": toc,
        "segments": segment_probes.segment_scores(encoded, backbone.modalities),
        "retrieval": recalls_of(vectors, classes, present),
        "clip_codes": {
            name: codes.tolist()
            for name, codes in code_sharing.commonest_codes(encoded, "test").items()
        },
        **code_sharing.shared_codes(encoded, "test"),
    }


def _probed(
    splits: Mapping[str, Any], view: str, number: int, few: int | None = None, seed: int = 0
) -> tuple[dict[str, clip_probes.Probe], dict[str, np.ndarray]]:
    """Probes of one view, of some labelled clips per class or of all."""
    sources = {}
    for name in splits["train"][view]:
        train, val = (splits[split][view][name] for split in ("train", "val"))
        if few is not None:
            # The strength is chosen on as few clips, so that no other label is read.
            train, val = (clip_probes.few_labels(clips, few, seed) for clips in (train, val))
        sources[name] = (train, val)
    return clip_probes.probe_pairs(sources, splits["test"][view], number)


def _toc(
    encoded: EncodedClips,
    splits: Mapping[str, Any],
    probes: Mapping[str, Any],
    predicted: dict[str, Any],
    candidates: Sequence[int],
    half: int,
    seed: int,
) -> dict[str, Any]:
    """Chooses numbers of dimensions, renames the views of masks, and compares criteria."""
    names = [str(kept) for kept in candidates]
    codes = clip_views.CODES
    # The largest of equally good numbers.
    best = {
        name: max((probes[kept][name].validation, int(kept)) for kept in names)[1]
        for name in probes[codes]
    }
    chosen = {pair: predicted[str(best[pair.split("->")[0]])][pair] for pair in predicted[codes]}
    views = {"toc": chosen, "toc at half": predicted[str(half)]}
    for kept in {*names, str(half)}:
        del predicted[kept]
        for by_view in splits.values():
            of_mask = by_view.pop(kept)
            if kept == str(half):
                by_view["toc at half"] = of_mask
    predicted.update(views)
    tables = code_use.codebooks(encoded.backbone)
    if sum(codes.shape[1] for codes in tables) != encoded.backbone.code_dim:
        # Criteria weigh the codes of a codebook, or of groups of channels, not sums of codes.
        return {"channels": best, "criteria": {}}
    number = len(encoded.clips.categories())
    train = splits["train"][codes]
    channels = toc_criteria.chosen_channels(
        [codes.astype("float64") for codes in tables],
        np.sum(list(code_sharing.counts_of(encoded, "train").values()), axis=0),
        {name: clips.vectors for name, clips in train.items()},
        half,
        seed,
    )
    tests = splits["test"][codes]
    present = {name: clips.present for name, clips in tests.items()}
    classes = next(iter(tests.values())).classes
    criteria: dict[str, dict[str, float]] = {}
    for criterion, draws in channels.items():
        scores: dict[str, list[float]] = {}
        for kept_channels in draws:
            reduced = {
                split: {codes: _reduced(by_view[codes], kept_channels)}
                for split, by_view in splits.items()
            }
            for pair, answer in _probed(reduced, codes, number)[1].items():
                scores.setdefault(pair, []).append(_share(answer == classes, present, pair))
        criteria[criterion] = {pair: float(np.mean(found)) for pair, found in scores.items()}
    return {"channels": best, "criteria": criteria}


def _reduced(
    clips: Mapping[str, clip_probes.ClipVectors], channels: np.ndarray
) -> dict[str, clip_probes.ClipVectors]:
    return {name: each._replace(vectors=each.vectors[:, channels]) for name, each in clips.items()}


def _share(right: np.ndarray, present: Mapping[str, np.ndarray], pair: str) -> float:
    """Accuracy on the test clips that have the target."""
    return float(right[present[pair.split("->")[1]]].mean())


def confusion(classes: np.ndarray, answers: np.ndarray, number: int) -> list[list[int]]:
    """Counts test clips by their class and the class that they were given.

    Args:
        classes: (clips,) int.
        answers: (clips,) int, -1 for a clip that lacks the modality.
        number: number of classes.

    Returns:
        Rows of classes, columns of answers.

    Example:

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, -1]), 2)
    [[1, 0], [1, 0]]
    """
    counts = np.zeros((number, number), int)
    np.add.at(counts, (classes[answers >= 0], answers[answers >= 0]), 1)
    return counts.tolist()


def raw_scores(clips: Clips) -> dict[str, float]:
    """Computes the accuracy of probes on raw features, within each modality.

    Features are averaged over segments or words. Raw features of different modalities have
    different dimensions, so that no probe can be tested on another modality.

    Args:
        clips: where clips are read from.

    Returns:
        "modality->modality" to accuracy, a fraction.
    """
    found = {}
    number = len(clips.categories())
    for name in clips.modalities():
        splits = {}
        for split in ("train", "val", "test"):
            source = SelectionSource(clips.select(split, (name,)))
            arrays = source.read_all()
            add_text_mask(arrays)
            x = arrays[name].reshape(*arrays[name].shape[:2], -1)
            mask = arrays.get(f"{name}_mask")
            counted: np.ndarray = np.ones(x.shape[:2], bool) if mask is None else mask
            vectors = clip_views.mean_over_frames(x, mask)
            splits[split] = clip_probes.ClipVectors(
                vectors, clip_labels(clips, split), np.asarray(counted.any(axis=1))
            )
        probe = clip_probes.train_probe(splits["train"], splits["val"], number)
        found[f"{name}->{name}"] = clip_probes.accuracy(probe, splits["test"])
    return found


def packed(flags: np.ndarray) -> str:
    """Packs flags into hexadecimal digits.

    Args:
        flags: (clips,) bool.

    Returns:
        Four flags a digit, the first one the highest.

    Example:

    >>> packed(np.array([True, False, True, False, False, False, False, True]))
    'a1'
    """
    return np.packbits(flags).tobytes().hex()


def recalls_of(
    vectors: Mapping[str, Mapping[str, np.ndarray]],
    classes: np.ndarray,
    present: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Computes recall of every pair of modalities: of the very clip, and of its class.

    "instance": only the query's own clip is correct; "class": any clip of the same class is. Ties
    count as their expected hits. Vectors are compared by cosine, identities by the Bhattacharyya
    coefficient, which is the cosine of the roots of the shares of codes.

    Args:
        vectors: view to modality to float (clips, dim).
        classes: (clips,) int.
        present: modality to (clips,) bool; a clip that lacks one of two modalities is left out.

    Returns:
        View to "instance" and "class" to pair of modalities to recall at 1, 5 and 10, fractions.

    Example:

    >>> x = np.eye(2, dtype="float32")
    >>> everywhere = dict.fromkeys(("audio", "video", "text"), np.ones(2, bool))
    >>> found = recalls_of({"codes": dict.fromkeys(everywhere, x)}, np.array([0, 1]), everywhere)
    >>> found["codes"]["instance"]["video<->audio"]
    [1.0, 1.0, 1.0]
    """
    result: dict[str, Any] = {}
    for view, by_modality in vectors.items():
        if view in (clip_views.IDENTITIES, clip_views.TOKENS):
            by_modality = {name: np.sqrt(x) for name, x in by_modality.items()}
        result[view] = {"instance": {}, "class": {}}
        for a, b in PAIRS:
            if a not in by_modality or b not in by_modality:
                continue
            both = present[a] & present[b]
            cosines = clip_retrieval.cosine(by_modality[a][both], by_modality[b][both])
            of_class = classes[both]
            right = {
                "instance": np.eye(len(of_class), dtype=bool),
                "class": of_class[:, None] == of_class[None],
            }
            for kind, relevant in right.items():
                result[view][kind][f"{a}<->{b}"] = [
                    _recall(relevant, cosines, k) for k in clip_retrieval.RANKS
                ]
    return result


def _recall(right: np.ndarray, scores: np.ndarray, k: int) -> float:
    directions = clip_retrieval.DIRECTIONS
    found = [clip_retrieval.recall(right, scores, k, direction) for direction in directions]
    return sum(found) / len(found)
