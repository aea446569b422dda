"""Makes feature folders from raw data sets, and checks them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from data_tools import datasets, prepare, verify
from data_tools.datasets.base import SPLITS


def parser() -> argparse.ArgumentParser:
    """The command-line parser.

    Returns:
        The parser.

    Example:
        >>> parser().parse_args(["verify", "features"]).root
        'features'
    """
    result = argparse.ArgumentParser(prog="python -m data_tools", description=__doc__)
    commands = result.add_subparsers(dest="command", required=True)
    command = commands.add_parser("prepare", help="make a feature folder from a raw data set")
    command.add_argument("name", choices=sorted(datasets.DATASETS), help="data set")
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
        "--audio-road",
        choices=("numpy", "tensorflow-io"),
        default="numpy",
        help="library of the spectrogram (default: numpy)",
    )
    command.add_argument("--overwrite", action="store_true", help="replace another preparation")
    command = commands.add_parser("verify", help="check a feature folder from end to end")
    command.add_argument("root", help="the folder")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line.

    Args:
        arguments: words of the command line; those of the process if None.

    Returns:
        Exit code: 0, or 1 after an error that was printed.

    Example:
        >>> main(["prepare", "synthetic", "--out", ".", "--train", "0"])
        1
    """
    options = parser().parse_args(arguments)
    try:
        if options.command == "verify":
            print("\n".join(verify(options.root)))
            print(f"{options.root} is whole")
        else:
            asked = {split: getattr(options, split) for split in SPLITS}
            default = datasets.DATASETS[options.name].default_num_clips
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
                audio_road=options.audio_road,
                overwrite=options.overwrite,
                progress=True,
            )
            print(f"features of {options.name} are in {out}")
    except (FileNotFoundError, ValueError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
