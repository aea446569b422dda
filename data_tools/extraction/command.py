"""The command `python -m data_tools extract`."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from data_tools.extraction.clips import Clip, file_of, find_clips
from data_tools.extraction.extractor import EXTRACTORS
from data_tools.extraction.local_extraction import TIMEOUT, extract
from data_tools.extraction.pretrained import parse_settings
from data_tools.store.schema import FAILURES

DEFAULTS = {"audio": "log_mel", "video": "patches", "text": "words"}
LOOKED_AT = 10_000
"""Number of first clips whose modalities are determined."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of `extract`.

    Args:
        command: parser of the subcommand.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_arguments(parser)
        >>> parser.parse_args(["--input", "clips", "--out", "store"]).segments
        10
    """
    command.add_argument("--input", required=True, help="folder of clips, or CSV manifest")
    command.add_argument("--out", required=True, help="store to write, or to go on with")
    for modality, names in EXTRACTORS.items():
        known = ", ".join(names)
        command.add_argument(
            f"--{modality}",
            metavar="NAME",
            help=f"{known}, MODULE:CLASS, or none (default: {DEFAULTS[modality]} where there is "
            f"{modality})",
        )
    command.add_argument("--segments", type=int, default=10, help="seconds per clip (default: 10)")
    command.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    command.add_argument(
        "--shard-rows", type=int, metavar="N", help="clips per shard (default: of 256 MB)"
    )
    command.add_argument(
        "--fitted", metavar="STORE", help="use the classes and learned features of this extraction"
    )
    command.add_argument(
        "--timeout", type=float, default=TIMEOUT, help=f"seconds for a clip (default: {TIMEOUT:g})"
    )
    command.add_argument("--audio-weights", metavar="FILE", help="weights of vggish")
    command.add_argument("--audio-pca", metavar="FILE", help="PCA parameters of vggish")
    command.add_argument(
        "--audio-hop",
        type=float,
        help="seconds between windows of vggish and of networks (default: 1; yamnet: 0.4875)",
    )
    command.add_argument(
        "--video-weights", metavar="FILE", help="weights of vgg19 (default: imagenet)"
    )
    command.add_argument("--video-channels", type=int, help="channels of patches (default: 64)")
    command.add_argument("--frames-per-segment", type=int, help="frames per second (default: 1)")
    command.add_argument("--frame-rate", type=float, help="frames per second of folders of frames")
    command.add_argument("--seed", type=int, help="seed of patches (default: 0)")
    add_network_arguments(command)
    command.add_argument(
        "--text-preset", metavar="NAME", help="preset of bert, or the folder of one"
    )
    command.add_argument("--text-dim", type=int, help="size of a vector of words (default: 64)")
    command.add_argument("--num-tokens", type=int, help="words of a caption (default: 10)")
    command.add_argument(
        "--runner",
        metavar="NAME",
        help="Apache Beam runner, such as DirectRunner, DataflowRunner or FlinkRunner; the "
        "pipeline's own options follow all others",
    )


def add_network_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of pretrained networks, for each modality.

    Args:
        command: parser of the subcommand.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_network_arguments(parser)
        >>> parser.parse_args(["--audio-reduce", "128"]).audio_reduce
        128
    """
    for modality in EXTRACTORS:
        command.add_argument(
            f"--{modality}-model", metavar="FILE", help="model file of a pretrained network"
        )
        command.add_argument(
            f"--{modality}-output", metavar="NAME", help="tensor to return, an internal one too"
        )
        command.add_argument(
            f"--{modality}-reduce", type=int, metavar="N", help="principal components to keep"
        )
        command.add_argument(
            f"--{modality}-option",
            action="append",
            metavar="NAME=VALUE",
            help="any other argument of the extractor, such as sample_rate=48000 (repeatable)",
        )


OPTIONS = {
    ("audio", "log_mel"): {"segments": "segments"},
    ("audio", "vggish"): {
        "segments": "segments",
        "weights": "audio_weights",
        "pca": "audio_pca",
        "hop_seconds": "audio_hop",
    },
    ("video", "patches"): {
        "segments": "segments",
        "channels": "video_channels",
        "frames_per_segment": "frames_per_segment",
        "frame_rate": "frame_rate",
        "seed": "seed",
    },
    ("video", "vgg19"): {
        "segments": "segments",
        "weights": "video_weights",
        "frames_per_segment": "frames_per_segment",
        "frame_rate": "frame_rate",
    },
    ("text", "words"): {"num_tokens": "num_tokens", "dim": "text_dim"},
    ("text", "bert"): {"num_tokens": "num_tokens", "preset": "text_preset"},
    ("text", "wordllama"): {"num_tokens": "num_tokens", "reduce": "text_reduce"},
    ("text", "minilm"): {"num_tokens": "num_tokens", "reduce": "text_reduce"},
    ("text", "onnx"): {
        "num_tokens": "num_tokens",
        "model": "text_model",
        "output": "text_output",
        "reduce": "text_reduce",
    },
    **{
        ("audio", name): {
            "segments": "segments",
            "model": "audio_model",
            "output": "audio_output",
            "hop": "audio_hop",
            "reduce": "audio_reduce",
        }
        for name in ("yamnet", "onnx", "litert", "keras")
    },
    **{
        ("video", name): {
            "segments": "segments",
            "model": "video_model",
            "output": "video_output",
            "frames_per_segment": "frames_per_segment",
            "frame_rate": "frame_rate",
            "reduce": "video_reduce",
        }
        for name in ("efficientnet_lite0", "onnx", "litert", "keras")
    },
}
"""Arguments of the extractors, with the options of the command line that set them."""


def chosen_extractors(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Returns the extractors that the command line chooses.

    Args:
        options: the parsed command line.

    Returns:
        Modality to `{"name": ..., "options": {...}}`.

    Raises:
        ValueError: if no extractor is chosen, or an option belongs to none of them.
        FileNotFoundError: if the input does not exist.
    """
    chosen = {}
    used = {"segments"}
    for modality in EXTRACTORS:
        name = getattr(options, modality)
        if name is None and modality in _modalities(options.input):
            name = DEFAULTS[modality]
        if name is None or name == "none":
            continue
        names = OPTIONS.get((modality, name), {"segments": "segments"})
        used |= set(names.values())
        values = {ours: getattr(options, theirs) for ours, theirs in names.items()}
        given = {key: value for key, value in values.items() if value is not None}
        given |= parse_settings(getattr(options, f"{modality}_option") or ())
        chosen[modality] = {"name": name, "options": given}
    if not chosen:
        raise ValueError(
            f"--input must hold clips of a chosen modality. Received: {options.input}, with "
            f"{', '.join(sorted(_modalities(options.input))) or 'no clips'}"
        )
    for modality in set(EXTRACTORS) - set(chosen):
        if words := getattr(options, f"{modality}_option"):
            raise ValueError(
                f"`--{modality}-option` must belong to an extractor in use; there is none of "
                f"{modality}. Received: {words[0]!r}. Choose one by `--{modality}`"
            )
    known = {theirs for names in OPTIONS.values() for theirs in names.values()}
    for stray in sorted(known - used):
        if getattr(options, stray) is not None:
            option = stray.replace("_", "-")
            in_use = [spec["name"] for spec in chosen.values()]
            raise ValueError(
                f"`--{option}` must belong to an extractor in use; those are {', '.join(in_use)}"
            )
    return chosen


def _first(source: str) -> Iterator[Clip]:
    return itertools.islice(find_clips(source)[1], LOOKED_AT)


def _modalities(source: str) -> set[str]:
    """Returns the modalities of the first clips."""
    found = set()
    for clip in _first(source):
        found |= {name for name in ("audio", "video", "text") if clip.get(name)}
        found |= {"text"} if clip.get("caption") else set()
    return found


def run(options: argparse.Namespace, rest: list[str]) -> dict[str, Any]:
    """Runs `extract`.

    Args:
        options: the parsed command line.
        rest: arguments that the parser does not know: options of a Beam pipeline.

    Returns:
        Dict of `out`, the folder, `rows`, the number of clips in it, `failed`, the number of
        those that could not be read, and `sound_left_out`, whether there are videos whose sound
        was not asked for.

    Raises:
        FileNotFoundError: if the input or a file of weights does not exist.
        ValueError: if an argument or the input is wrong, or the output holds something else.
        ImportError: if an extractor or the runner lacks a package.
    """
    if not Path(options.input).exists():
        raise FileNotFoundError(
            f"--input must be a folder of clips, or a CSV manifest. There is no {options.input}"
        )
    extractors = chosen_extractors(options)
    arguments = {
        "source": options.input,
        "out": options.out,
        "extractors": extractors,
        "segments": options.segments,
        "shard_rows": options.shard_rows,
        "fitted": options.fitted,
        "timeout": options.timeout,
        "overwrite": options.overwrite,
        "workers": options.workers,
    }
    if options.runner is not None:
        from data_tools.extraction.beam import extract_with_beam

        result = extract_with_beam(**arguments, runner=options.runner, pipeline_options=rest)
    elif rest:
        raise ValueError(f"unknown arguments: {' '.join(rest)}")
    else:
        result = extract(**arguments, progress=True)
    unheard = options.audio is None and "audio" not in extractors
    return {
        "out": options.out,
        "rows": result["rows"],
        "failed": result["failed"],
        "sound_left_out": unheard and any(file_of(clip, "audio") for clip in _first(options.input)),
    }


def lines(found: Mapping[str, Any]) -> list[str]:
    """Returns what `run` returned as lines to print.

    Args:
        found: dict of `run`.

    Returns:
        The lines.

    Example:
        >>> lines({"out": "store", "rows": 3, "failed": 0, "sound_left_out": False})
        ['3 clips are in store']
    """
    result = [f"{found['rows']} clips are in {found['out']}"]
    if found["failed"]:
        result.append(f"{found['failed']} failed, see {found['out']}/{FAILURES}")
    if found["sound_left_out"]:
        result.append("the sound of videos is left out; --audio log_mel extracts it")
    return result
