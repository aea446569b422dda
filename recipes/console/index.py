"""Indexes a folder of clips with a trained model, for `keras-cmg search --index`.

    keras-cmg index --clips FOLDER --out index
    keras-cmg index --clips FOLDER --run runs/clips --out index

The clips may be others than those of the training, with or without classes; a class may lack sounds
or pictures. Files that cannot be used are listed with the reason, and the others are indexed.
"""

from __future__ import annotations

import argparse

from data_tools.io.files import check_writable
from keras_cmg.search.clip_index import check_index_folder
from recipes.console.search import add_run_arguments, loaded
from recipes.own_clips.indexing import index_of_folder


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand.

    Args:
        parser: its parser.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["--clips", "clips", "--out", "index"]).clips
    'clips'
    """
    parser.add_argument(
        "--clips", required=True, metavar="FOLDER", help="folder of clips, or CSV manifest"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="index to write")
    add_run_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Writes the index.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if the folder or the model does not exist.
        ValueError: if no file can be used, or the output folder holds something else.
    """
    check_writable(arguments.out, "--out")
    check_index_folder(arguments.out, "--out")
    made = index_of_folder(loaded(arguments), arguments.clips)
    made.clips.save(arguments.out)
    counts = {name: len(made.clips.clips(name)) for name in made.clips.modalities}
    shown = ", ".join(f"{count} of {name}" for name, count in counts.items())
    print(f"{len(made.clips)} clips are in {arguments.out}: {shown}")
    for one in made.refused:
        print(f"  refused {one['file']}: {one['reason']}")
    arguments.result.update({"indexed": counts, "refused": made.refused, "index": arguments.out})
    return 0
