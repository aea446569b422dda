"""Uploads a trained model to the Hugging Face hub, with its extractors, labels and card.

    keras-cmg push runs/clips hf://USER/NAME --licence cc-by-4.0

Then `keras_cmg.load("hf://USER/NAME")` and `--run hf://USER/NAME` load it. Paths of this machine,
networks of extractors and files of clips are not uploaded. The token is that of `hf auth login`, or
the variable HF_TOKEN.
"""

from __future__ import annotations

import argparse

from keras_cmg.encoding import push


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand.

    Args:
        parser: its parser.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["runs/clips", "hf://user/clips"]).address
    'hf://user/clips'
    """
    parser.add_argument("run", help="folder of a run of train, quickstart or pretrain")
    parser.add_argument("address", metavar="hf://USER/NAME", help="repository, new or of an upload")
    parser.add_argument("--index", action="store_true", help="upload names and words of the clips")
    parser.add_argument("--private", action="store_true", help="make a new repository private")
    parser.add_argument(
        "--licence", metavar="NAME", help="licence of the model (default: that of its card)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Uploads the model.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if the run has no model.
        ValueError: if the address has another form.
    """
    url = push(
        arguments.run, arguments.address, arguments.index, arguments.private, arguments.licence
    )
    print(url)
    arguments.result.update({"url": url})
    return 0
