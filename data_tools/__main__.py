"""Makes feature folders from raw data sets and stores from raw clips, and checks them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from inspect import signature
from pathlib import Path

from data_tools import prepare, store, verify
from data_tools.extraction import command as extraction
from data_tools.io.arguments import parse_options
from data_tools.io.constants import SPLITS
from data_tools.published.inspection import inspect, write_clean
from data_tools.published.registry import PUBLISHED_DATASETS
from data_tools.raw.registry import RAW_DATASETS


def parser() -> argparse.ArgumentParser:
    """The command-line parser.

    Returns:
        The parser.

    Example:
        >>> parser().parse_args(["verify", "features"]).name
        'features'
    """
    result = argparse.ArgumentParser(prog="python -m data_tools", description=__doc__)
    commands = result.add_subparsers(dest="command", required=True)
    command = commands.add_parser("prepare", help="make a feature folder from a raw data set")
    command.add_argument("name", choices=sorted(RAW_DATASETS), help="data set")
    command.add_argument("--out", required=True, help="folder to write")
    command.add_argument("--root", help="folder of the raw files (default: download them)")
    command.add_argument("--seed", type=int, default=0, help="of clips and features (default: 0)")
    command.add_argument("--split", help="way of splitting (digits: official or speaker)")
    for split in SPLITS:
        command.add_argument(
            f"--{split}", type=int, metavar="N", help=f"clips of the {split} split"
        )
    command.add_argument("--channels", type=int, default=64, help="of the video map (default: 64)")
    command.add_argument("--text-dim", type=int, default=64, help="of a word (default: 64)")
    command.add_argument("--tokens", type=int, default=10, help="words of a caption (default: 10)")
    command.add_argument(
        "--audio-backend",
        choices=("numpy", "tensorflow-io"),
        default="numpy",
        help="library of the spectrogram (default: numpy)",
    )
    command.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the data set, such as test_speaker=george of digits split by speaker",
    )
    command.add_argument("--overwrite", action="store_true", help="replace another preparation")
    command = commands.add_parser("extract", help="features of raw clips into a sharded store")
    extraction.add_arguments(command)
    command = commands.add_parser("pack", help="published or prepared features into a store")
    command.add_argument("root", help="folder of annotations and features")
    command.add_argument("--out", required=True, help="store to write")
    command.add_argument("--dataset", help=f"one of {', '.join(PUBLISHED_DATASETS)}")
    command.add_argument("--labels", choices=("segment", "weak", "none"), default="segment")
    command.add_argument("--shards", type=int, metavar="N", help="clips per shard")
    command.add_argument("--overwrite", action="store_true", help="replace the store")
    command.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="of the data set"
    )
    command = commands.add_parser(
        "verify",
        help="check a published data set or a prepared folder from end to end",
        epilog="exit codes: 0 nothing is missing or damaged; 1 it can't be read at all, or a "
        "prepared folder is damaged; 2 wrong words; 3 something of a published data set is "
        "missing, damaged or unlike the published file, and was listed",
    )
    command.add_argument(
        "name", help=f"a prepared folder, or with --root one of {', '.join(PUBLISHED_DATASETS)}"
    )
    command.add_argument("--root", help="folder of the published data set")
    command.add_argument("--clean", metavar="FILE", help="write the cleaned split into this table")
    command.add_argument(
        "--quick", action="store_true", help="look for feature files without reading them"
    )
    command.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="option of the data set, such as events=audio or side=vggsound",
    )
    return result


def run_verify(arguments: argparse.Namespace) -> int:
    """Checks what the command line asks for, and prints what is found.

    Args:
        arguments: of `verify`.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: a folder or file is missing.
        ValueError: a file is damaged, or the arguments do not go together.
    """
    if arguments.root is None:
        if arguments.clean or arguments.option or arguments.quick:
            raise ValueError(
                "`--clean`, `--quick` and `--option` must come with `--root`, the folder of a "
                "published data set"
            )
        if arguments.name in PUBLISHED_DATASETS and not Path(arguments.name).exists():
            raise ValueError(f"`--root` must name the folder of {arguments.name!r}")
        print("\n".join(verify(arguments.name)))
        print(f"{arguments.name} is whole")
        return 0
    if arguments.name in RAW_DATASETS:
        raise ValueError(
            f"{arguments.name!r} is kept as a prepared folder: verify {arguments.root}, "
            "without `--root`"
        )
    options = parse_options(arguments.option)
    report = inspect(arguments.name, arguments.root, read=not arguments.quick, **options)
    print("\n".join(report.lines()))
    if arguments.clean:
        write_clean(report, arguments.clean)
        print(f"written to {arguments.clean}")
    return 0 if report.whole else 3


def run_pack(arguments: argparse.Namespace) -> str:
    """Packs what the command line asks for.

    Args:
        arguments: of `pack`.

    Returns:
        A line to print.

    Raises:
        FileNotFoundError: a folder or file is missing.
        ValueError: an argument or a file is wrong, or the store exists.
    """
    result = store.pack(
        arguments.root,
        arguments.out,
        arguments.dataset,
        labels=False if arguments.labels == "none" else arguments.labels,
        shard_rows=arguments.shards,
        overwrite=arguments.overwrite,
        progress=True,
        options=parse_options(arguments.option),
    )
    return f"{result['rows']} clips are in {arguments.out}, {result['failed']} could not be read"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: words of the command line; those of the process if None.

    Returns:
        Exit code: 0; 1 after an error that was printed; 3 if `verify` lists something missing.

    Example:
        >>> main(["prepare", "synthetic", "--out", ".", "--train", "0"])
        1
    """
    options, rest = parser().parse_known_args(arguments)
    if rest and options.command != "extract":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        if options.command == "extract":
            print("\n".join(extraction.run(options, rest)))
        elif options.command == "pack":
            print(run_pack(options))
        elif options.command == "verify":
            return run_verify(options)
        else:
            asked = {split: getattr(options, split) for split in SPLITS}
            default = RAW_DATASETS[options.name].default_num_clips
            out = prepare(
                options.name,
                options.out,
                root=options.root,
                seed=options.seed,
                num_clips={k: default[k] if n is None else n for k, n in asked.items()},
                split=options.split,
                channels=options.channels,
                text_dim=options.text_dim,
                num_tokens=options.tokens,
                audio_backend=options.audio_backend,
                overwrite=options.overwrite,
                progress=True,
                **parse_options(options.option, signature(prepare).parameters),
            )
            print(f"features of {options.name} are in {out}")
    except (FileNotFoundError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
