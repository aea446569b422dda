"""The options of the export command, and its run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import keras

from keras_cmg.export.exporting import FORMATS, MAX_CLIPS, MAX_FRAMES, export
from keras_cmg.export.metadata import read_metadata
from keras_cmg.export.runs import load_log_mel_summary, load_reductions, load_run
from keras_cmg.files import check_writable
from keras_cmg.layers.toc_channel_mask import TOCChannelMask


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the command.

    Args:
        parser: parser of the command.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["runs/demo", "--to", "served"]).format
    'saved_model'
    """
    parser.add_argument("run", help="folder of a recipe's run, or a .keras file")
    parser.add_argument("--to", required=True, help="folder to write")
    parser.add_argument("--format", choices=FORMATS, default="saved_model")
    parser.add_argument(
        "--level", action="append", default=[], metavar="[MODALITY=]LEVEL",
        help="segment (default) or clip, for all modalities or for one",
    )  # fmt: skip
    parser.add_argument(
        "--toc", type=int, metavar="Q", help="also return the Q channels that TOC selects"
    )
    parser.add_argument("--probe", help="a .keras file with a probe, for all modalities")
    parser.add_argument("--probe-view", help="input of the probe: quantized, general or selected")
    parser.add_argument("--activation", default="softmax", help="softmax or sigmoid")
    parser.add_argument("--labels", help="text file with a class name per line")
    parser.add_argument(
        "--waveform",
        metavar="FEATURES",
        help="folder of prepared features; adds endpoints that take waveforms",
    )
    parser.add_argument(
        "--reduction",
        metavar="FEATURES",
        help="folder of extracted or prepared features; adds endpoints that take features before "
        "their reduction to principal components",
    )
    parser.add_argument("--max-clips", type=int, default=MAX_CLIPS, help="of a request")
    parser.add_argument("--max-frames", type=int, default=MAX_FRAMES, help="of a clip")
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Exports a run and prints the signatures of what was written.

    Args:
        options: parsed command line.

    Returns:
        Dict of `out`, the path, and `signatures`, name to inputs and outputs.

    Raises:
        FileNotFoundError: if there is no such run.
        ValueError: if an argument is wrong, or the folder exists.
    """
    check_writable(options.to, "--to")
    model, origin = load_run(options.run)
    path = export(
        model,
        options.to,
        format=options.format,
        levels=_levels(options.level),
        toc=_toc(options.toc, model),
        probes=options.probe and load_run(options.probe)[0],
        labels=options.labels and Path(options.labels).read_text(encoding="utf-8").splitlines(),
        probe_view=options.probe_view,
        activation=options.activation,
        front_ends=_front_ends(options.waveform, options.format),
        reductions=_reductions(options.reduction, model),
        max_clips=options.max_clips,
        max_frames=options.max_frames,
        extra=origin,
        overwrite=options.overwrite,
    )
    print(path)
    signatures = read_metadata(path)["signatures"]
    for name, signature in signatures.items():
        shapes = ", ".join(f"{key} {tuple(shape)}" for key, shape in signature["inputs"].items())
        print(f"  {name}: {shapes}")
    return {"out": str(path), "signatures": signatures}


def _levels(words: list[str]) -> str | dict[str, str]:
    named = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    if len(plain) > 1 or (plain and named):
        raise ValueError(f"--level must be one level for all, or one for each. Received: {words}")
    return plain[0] if plain else named or "segment"


def _toc(channels: int | None, model: keras.Model) -> TOCChannelMask | None:
    if channels is None:
        return None
    backbone = getattr(model, "backbone", model)
    if backbone.quantizer is None:
        raise ValueError("--toc must be left out for a system without a codebook.")
    toc = TOCChannelMask(channels)
    toc.adapt(backbone.code_source())
    return toc


def _front_ends(features: str | None, format: str) -> dict[str, Any] | None:
    if features is None:
        return None
    # LiteRT has no double precision.
    dtype = "float32" if format == "litert" else "float64"
    return {"audio": load_log_mel_summary(features, dtype)}


def _reductions(features: str | None, model: keras.Model) -> dict[str, Any] | None:
    if features is None:
        return None
    # A model may have been trained on some of the modalities.
    modalities = getattr(model, "backbone", model).modalities
    return {name: each for name, each in load_reductions(features).items() if name in modalities}
