"""Prepares the features of a raw data set: renders or reads its clips, extracts, checks splits."""

from __future__ import annotations

import argparse
from inspect import signature

from data_tools.commands.shared import add_option, add_overwrite
from data_tools.composing import command as composing
from data_tools.features.audio import AUDIO_BACKENDS
from data_tools.io.arguments import parse_options
from data_tools.io.constants import SPLITS
from data_tools.io.files import SUCCESS, check_writable
from data_tools.raw.preparation import prepare
from data_tools.raw.registry import COMPOSED_DATASETS, RAW_DATASETS


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of the command.

    Args:
        command: its parser.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_arguments(parser)
        >>> parser.parse_args(["synthetic", "--out", "features"]).seed
        0
    """
    command.add_argument("name", choices=sorted(RAW_DATASETS), help="data set")
    command.add_argument("--out", required=True, help="folder to write")
    command.add_argument("--root", help="folder of the raw files (default: download them)")
    command.add_argument(
        "--seed", type=int, default=0, help="seed of clips and features (default: 0)"
    )
    command.add_argument("--split", help="split of the data set (digits: official or speaker)")
    for split in SPLITS:
        command.add_argument(
            f"--{split}", type=int, metavar="N", help=f"number of clips of the {split} split"
        )
    command.add_argument(
        "--video-channels", type=int, default=64, help="channels of the video map (default: 64)"
    )
    command.add_argument(
        "--text-dim", type=int, default=64, help="size of a word vector (default: 64)"
    )
    command.add_argument(
        "--num-tokens", type=int, default=10, help="words of a caption (default: 10)"
    )
    command.add_argument(
        "--audio-backend",
        choices=AUDIO_BACKENDS,
        default=AUDIO_BACKENDS[0],
        help="library that computes the spectrogram (default: %(default)s)",
    )
    composing.add_arguments(command)
    add_option(command)
    add_overwrite(command)


def run(arguments: argparse.Namespace) -> int:
    """Runs `prepare`.

    Args:
        arguments: parsed arguments.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if a raw file is missing.
        ValueError: if an argument or a raw file is wrong.
    """
    check_writable(arguments.out, "--out")
    default = RAW_DATASETS[arguments.name].default_num_clips
    asked = {split: getattr(arguments, split) for split in SPLITS}
    num_clips = {
        split: default[split] if count is None else count for split, count in asked.items()
    }
    if arguments.name in COMPOSED_DATASETS:
        print("\n".join(composing.run(arguments, num_clips)))
        arguments.result["out"] = arguments.out
        return SUCCESS
    if given := composing.given_options(arguments):
        raise ValueError(
            f"{', '.join(given)} must come with {' or '.join(COMPOSED_DATASETS)}. "
            f"Received: {arguments.name}"
        )
    out = prepare(
        arguments.name,
        arguments.out,
        root=arguments.root,
        seed=arguments.seed,
        num_clips=num_clips,
        split=arguments.split,
        video_channels=arguments.video_channels,
        text_dim=arguments.text_dim,
        num_tokens=arguments.num_tokens,
        audio_backend=arguments.audio_backend,
        overwrite=arguments.overwrite,
        progress=True,
        **parse_options(arguments.option, signature(prepare).parameters),
    )
    print(f"features of {arguments.name} are in {out}")
    arguments.result["out"] = str(out)
    return SUCCESS
