"""One model on one seed: trained without labels, then probed and searched across modalities."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from recipes.protocol import clip_retrieval
from recipes.protocol.clips import Clips
from recipes.protocol.cross_modal_probes import (
    CONTINUOUS,
    QUANTIZED,
    EncodedClips,
    probe_every_pair,
    toc_masks,
)
from recipes.protocol.resource_use import PeakMemory, device_gigabytes
from recipes.runner import content_cache, provenance
from recipes.runner.settings import Settings
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
    "probe_epochs",
    "toc_channels",
)
"""Settings that decide a measurement."""


def cached_measurement(cache: Path, settings: Settings, clips: Clips, seed: int) -> dict[str, Any]:
    """Returns what `measure` measures, from the cache or measured now in a process of its own.

    Args:
        cache: folder of the cache.
        settings: settings with `MEASURED`.
        clips: clips to train and test on.
        seed: seed of the training.

    Returns:
        What `measure` returns.

    Raises:
        ValueError: if the measurement fails.
    """
    chosen = {name: getattr(settings, name) for name in MEASURED}
    identity = content_cache.with_code({**chosen, "seed": seed, "clips": clips.identity()})
    request = {"settings": chosen, "clips": {**clips._asdict(), "root": str(clips.root)}}
    return content_cache.remembered(
        cache / "measurements", identity, lambda: isolated({**request, "seed": seed})
    )


def isolated(request: Mapping[str, Any]) -> dict[str, Any]:
    """Calls `measure` in a process of its own, so that its memory is its own.

    Args:
        request: arguments of `measure`.

    Returns:
        What it measured.

    Raises:
        ValueError: if it failed.
    """
    methods = multiprocessing.get_all_start_methods()
    # Imports take seconds: the server makes them once, and runs nothing itself.
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(dict(request), sender), daemon=True)
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


def _answer(request: Mapping[str, Any], sender: Any) -> None:
    # An interruption is reported once, by the parent process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sender.send(provenance.plain(measure(**request)))
    except (OSError, RuntimeError, ValueError) as error:
        sender.send({"error": " ".join(str(error).split())})


def measure(settings: Mapping[str, Any], clips: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Trains a model and measures its codes across modalities.

    Args:
        settings: settings with `MEASURED`; of `toc_channels`, the first is used.
        clips: fields of `Clips`.
        seed: seed of weights, dropout, order and probes.

    Returns:
        `scores`, view and pair to accuracy; `validation`, the mean over modalities of the accuracy
        on validation clips of the probe's own modality; `retrieval`, see `retrieval`; times,
        memory, parameters.

    Raises:
        ValueError: if a setting is wrong, or training fails.
    """
    chosen, source = Settings(**settings), Clips(**{**clips, "root": Path(clips["root"])})
    with PeakMemory() as memory:
        model = new_model(chosen, source.modalities(), seed)
        batches = training_batches(source, chosen.batch_size, seed, model)
        compile_model(model, chosen, len(batches) * chosen.epochs)
        start = time.perf_counter()
        history = model.fit(batches, epochs=chosen.epochs, shuffle=False, verbose=0).history
        seconds = time.perf_counter() - start
    masks = toc_masks(chosen.toc_channels[:1], model.backbone.codebooks)
    encoded = EncodedClips(model.backbone, source)
    probes = probe_every_pair(encoded, masks, chosen.probe_epochs, seed)
    return {
        "train_seconds": round(seconds, 2),
        "memory_gigabytes": device_gigabytes() or memory.gigabytes,
        "parameters": {"model": model.count_params(), "kept": model.backbone.count_params()},
        "loss": history["loss"],
        "code_usage": history["code_usage"][-1] if "code_usage" in history else None,
        "validation": float(np.mean(list(probes.validation[QUANTIZED].values()))),
        "scores": named_views(probes.scores, masks),
        "retrieval": named_views(retrieval(encoded, masks), masks),
    }


def named_views(values: Mapping[str, Any], masks: Mapping[str, Any]) -> dict[str, Any]:
    """Renames views so that their names do not depend on the dimensions that TOC keeps.

    Args:
        values: view to anything.
        masks: TOC masks, by the names of their views.

    Returns:
        The same under "codes", "toc" and "continuous".

    Example:

    >>> named_views({"quantized": 1, "continuous": 2, "128": 3}, {"128": None})
    {'codes': 1, 'continuous': 2, 'toc': 3}
    """
    names = {QUANTIZED: "codes", CONTINUOUS: CONTINUOUS, **dict.fromkeys(masks, "toc")}
    return {names[view]: value for view, value in values.items()}


def retrieval(encoded: EncodedClips, masks: Mapping[str, Any]) -> dict[str, Any]:
    """Computes recall of test clips of one modality by those of another, in both directions.

    Clips are compared by the cosine of their codes, averaged over segments, see `recalls_of`.

    Args:
        encoded: codes of the clips.
        masks: name to TOC mask, adapted.

    Returns:
        View to "instance" and "class" to pair of modalities to recall at 1, 5 and 10, fractions.
    """
    found = {name: encoded.labelled("test", name, masks) for name in encoded.backbone.modalities}
    views = {
        name: {view: x.mean(axis=1) for view, x in labelled.views.items()}
        for name, labelled in found.items()
    }
    classes = clip_retrieval.clip_classes(next(iter(found.values())).labels)
    return recalls_of(views, classes)


def recalls_of(
    vectors: Mapping[str, Mapping[str, np.ndarray]], classes: np.ndarray
) -> dict[str, Any]:
    """Computes recall of every pair of modalities: of the very clip, and of its class.

    "instance": only the query's own clip is correct; "class": any clip of the same class is. Ties
    count as their expected hits.

    Args:
        vectors: modality to view to float (clips, dim).
        classes: (clips,) int.

    Returns:
        View to "instance" and "class" to pair of modalities to recall at 1, 5 and 10, fractions.

    Example:

    >>> x = {"codes": np.eye(2, dtype="float32")}
    >>> found = recalls_of({"audio": x, "video": x, "text": x}, np.array([0, 1]))
    >>> found["codes"]["instance"]["video<->audio"]
    [1.0, 1.0, 1.0]
    """
    right = {
        "instance": np.eye(len(classes), dtype=bool),
        "class": classes[:, None] == classes[None],
    }
    result: dict[str, Any] = {}
    for view in next(iter(vectors.values())):
        scores = {
            f"{a}<->{b}": clip_retrieval.cosine(vectors[a][view], vectors[b][view])
            for a, b in PAIRS
        }
        result[view] = {
            kind: {
                pair: [_recall(relevant, cosines, k) for k in clip_retrieval.RANKS]
                for pair, cosines in scores.items()
            }
            for kind, relevant in right.items()
        }
    return result


def _recall(right: np.ndarray, scores: np.ndarray, k: int) -> float:
    directions = clip_retrieval.DIRECTIONS
    found = [clip_retrieval.recall(right, scores, k, direction) for direction in directions]
    return sum(found) / len(found)
