"""Prepares and extracts features, packs them into stores, and verifies data sets."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from inspect import signature
from pathlib import Path

from data_tools import prepare, store, verify
from data_tools.composing import command as composing
from data_tools.extraction import command as extraction
from data_tools.features.audio import AUDIO_BACKENDS
from data_tools.io.arguments import parse_options
from data_tools.io.constants import SPLITS
from data_tools.io.files import run_command
from data_tools.published.inspection import inspect, write_clean
from data_tools.published.registry import PUBLISHED_DATASETS
from data_tools.raw.registry import COMPOSED_DATASETS, RAW_DATASETS

WHOLE, NOT_WHOLE, BAD_INPUT = 0, 1, 2
"""Exit codes, with those of `run_command`. `NOT_WHOLE`: `verify` found something missing or
damaged."""


def parser() -> argparse.ArgumentParser:
    """Makes the command-line parser.

    Returns:
        The parser.

    Example:
        >>> parser().parse_args(["verify", "features"]).name
        'features'
    """
    result = argparse.ArgumentParser(
        prog="python -m data_tools",
        description=__doc__,
        epilog="exit codes: 0 success; 1 `verify` found something missing or damaged; 2 wrong "
        "arguments or input; 130 interrupted",
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--debug", action="store_true", help="show the traceback of an error")
    data_set = argparse.ArgumentParser(add_help=False)
    data_set.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the data set, such as events=audio or test_speaker=george (repeatable)",
    )
    output = argparse.ArgumentParser(add_help=False)
    output.add_argument("--overwrite", action="store_true", help="replace what `--out` holds")
    commands = result.add_subparsers(dest="command", required=True)

    command = commands.add_parser(
        "prepare", parents=[common, data_set, output], help="features of a raw data set"
    )
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

    command = commands.add_parser(
        "extract", parents=[common, output], help="features of raw clips into a sharded store"
    )
    extraction.add_arguments(command)

    command = commands.add_parser(
        "pack",
        parents=[common, data_set, output],
        help="published or prepared features into a store",
    )
    command.add_argument("root", help="folder of annotations and features")
    command.add_argument("--out", required=True, help="store to write")
    command.add_argument("--dataset", help=f"one of {', '.join(PUBLISHED_DATASETS)}")
    command.add_argument("--labels", choices=("segment", "weak", "none"), default="segment")
    command.add_argument("--shard-rows", type=int, metavar="N", help="clips per shard")

    command = commands.add_parser(
        "verify",
        parents=[common, data_set],
        help="check a published data set or a prepared folder",
        epilog="exit codes: 0 nothing is missing or damaged; 1 something is missing, damaged or "
        "differs from the published file, and was listed; 2 wrong arguments, or annotations that "
        "cannot be read; 130 interrupted",
    )
    command.add_argument(
        "name", help=f"a prepared folder, or with --root one of {', '.join(PUBLISHED_DATASETS)}"
    )
    command.add_argument("--root", help="folder of the published data set")
    command.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="FOLDER",
        help="folder of other data sets, whose shared videos are reported (repeatable)",
    )
    command.add_argument("--clean", metavar="FILE", help="write the cleaned split into this table")
    command.add_argument(
        "--quick", action="store_true", help="check that feature files exist without reading them"
    )
    return result


def run_prepare(arguments: argparse.Namespace) -> int:
    """Runs `prepare`.

    Args:
        arguments: parsed arguments.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if a raw file is missing.
        ValueError: if an argument or a raw file is wrong.
    """
    default = RAW_DATASETS[arguments.name].default_num_clips
    asked = {split: getattr(arguments, split) for split in SPLITS}
    num_clips = {
        split: default[split] if count is None else count for split, count in asked.items()
    }
    if arguments.name in COMPOSED_DATASETS:
        print("\n".join(composing.run(arguments, num_clips)))
        return WHOLE
    if given := composing.given_options(arguments):
        raise ValueError(f"{given} must come with one of {COMPOSED_DATASETS}.")
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
    return WHOLE


def run_verify(arguments: argparse.Namespace) -> int:
    """Runs `verify`.

    Args:
        arguments: parsed arguments.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if a file is damaged, or arguments do not fit together.
    """
    if arguments.root is None:
        if arguments.clean or arguments.option or arguments.quick or arguments.against:
            raise ValueError(
                "`--clean`, `--quick`, `--against` and `--option` must come with `--root`, the "
                "folder of a published data set"
            )
        if arguments.name in PUBLISHED_DATASETS and not Path(arguments.name).exists():
            raise ValueError(f"`--root` must name the folder of {arguments.name!r}")
        return _verify_prepared(arguments)
    if arguments.name in RAW_DATASETS:
        raise ValueError(
            f"{arguments.name!r} is kept as a prepared folder: verify {arguments.root}, "
            "without `--root`"
        )
    options = parse_options(arguments.option)
    report = inspect(
        arguments.name, arguments.root, not arguments.quick, arguments.against, **options
    )
    print("\n".join(report.lines()))
    if arguments.clean:
        write_clean(report, arguments.clean)
        print(f"written to {arguments.clean}")
    return WHOLE if report.whole else NOT_WHOLE


def _verify_prepared(arguments: argparse.Namespace) -> int:
    if not Path(arguments.name).is_dir():
        raise FileNotFoundError(f"`name` must be a prepared folder. Received: {arguments.name}")

    def check() -> int:
        print("\n".join(verify(arguments.name)))
        print(f"{arguments.name} is whole")
        return WHOLE

    code = run_command(check, arguments.debug)
    return NOT_WHOLE if code == BAD_INPUT else code


def run_pack(arguments: argparse.Namespace) -> int:
    """Runs `pack`.

    Args:
        arguments: parsed arguments.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if a folder or file is missing.
        ValueError: if an argument or a file is wrong, or the store exists.
    """
    result = store.pack(
        arguments.root,
        arguments.out,
        arguments.dataset,
        labels=False if arguments.labels == "none" else arguments.labels,
        shard_rows=arguments.shard_rows,
        overwrite=arguments.overwrite,
        progress=True,
        options=parse_options(arguments.option),
    )
    print(f"{result['rows']} clips are in {arguments.out}, {result['failed']} could not be read")
    return WHOLE


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: arguments of the command line; those of the process if None.

    Returns:
        Exit code: 0 for success; 1 if `verify` found something missing or damaged; 2 after an
        error, which is printed in one line, with its traceback before it if `--debug` is given;
        130 after an interrupt.

    Example:
        >>> main(["prepare", "synthetic", "--out", ".", "--train", "0"])
        2
    """
    options, rest = parser().parse_known_args(arguments)
    if rest and options.command != "extract":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    commands = {"prepare": run_prepare, "pack": run_pack, "verify": run_verify}

    def run() -> int:
        if options.command == "extract":
            print("\n".join(extraction.run(options, rest)))
            return WHOLE
        return commands[options.command](options)

    resumable = "; the same command goes on with the clips that are left"
    line = f"interrupted{resumable if options.command == 'extract' else ''}"
    return run_command(run, options.debug, line)


if __name__ == "__main__":
    sys.exit(main())
