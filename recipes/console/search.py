"""Finds the clips that are most similar to a sound, a picture, a video or words.

    keras-cmg search --query bark.ogg --find video
    keras-cmg search --query "a dog barks" --run runs/clips
    keras-cmg search --query dog.mp4 --as audio --find text

Prints scores and names, and writes a page with the clips. A score is a cosine similarity, which
orders clips and is no probability.
"""

from __future__ import annotations

import argparse
import webbrowser
from pathlib import Path

import keras_cmg
from data_tools.io.files import check_writable
from keras_cmg.encoding.hub import is_address
from keras_cmg.search.clip_index import DESCRIPTION
from recipes.own_clips import gallery, searching

PAGE = "search.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand.

    Args:
        parser: its parser.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["--query", "bark.ogg"]).run
    'runs/train'
    """
    parser.add_argument("--query", required=True, metavar="FILE|WORDS", help="what to search for")
    parser.add_argument("--find", metavar="MODALITY", help="audio, video or text (default: others)")
    parser.add_argument(
        "--as",
        dest="modality",
        metavar="MODALITY",
        help="modality of the query, such as audio for the sound of a video (default: by its name)",
    )
    parser.add_argument("-k", type=int, default=10, metavar="N", help="clips to find (default: 10)")
    add_run_arguments(parser)
    parser.add_argument(
        "--index", metavar="FOLDER", help="index to search (default: that of the run)"
    )
    parser.add_argument(
        "--out", default=PAGE, metavar="FILE", help=f"page to write (default: {PAGE})"
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options that name a trained model.

    Args:
        parser: parser of a subcommand.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_run_arguments(parser)
    >>> parser.parse_args(["--model-file", "audio=yamnet.tflite"]).model_file
    ['audio=yamnet.tflite']
    """
    parser.add_argument(
        "--run",
        default="runs/train",
        metavar="ADDRESS",
        help="trained model: folder of a run, or hf://USER/NAME (default: runs/train)",
    )
    parser.add_argument(
        "--model-file",
        action="append",
        default=[],
        metavar="MODALITY=FILE",
        help="network of an extractor, where it is not at the recorded place (repeatable)",
    )


def loaded(arguments: argparse.Namespace) -> keras_cmg.CrossModalEncoder:
    """Loads the trained model that the options name.

    Args:
        arguments: parsed command line.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no model.
        ValueError: if a file is damaged, or `--model-file` is no assignment.
    """
    models = {}
    for word in arguments.model_file:
        modality, equals, path = word.partition("=")
        if not equals or not path:
            raise ValueError(f"--model-file must be MODALITY=FILE. Received: {word!r}")
        models[modality] = path
    if not is_address(arguments.run) and not Path(arguments.run).exists():
        raise FileNotFoundError(
            "--run must be the folder of a trained model, or hf://USER/NAME. There is no "
            f"{arguments.run}; `keras-cmg train --clips FOLDER --out {arguments.run}` makes one"
        )
    return keras_cmg.load(arguments.run, models)


def opened_index(
    arguments: argparse.Namespace, encoder: keras_cmg.CrossModalEncoder
) -> keras_cmg.search.ClipIndex:
    """Opens the index that the options name, or that of the run.

    Args:
        arguments: parsed command line.
        encoder: the trained model.

    Returns:
        The index.

    Raises:
        FileNotFoundError: if there is no index.
        ValueError: if a file of it is damaged.
    """
    if arguments.index is None:
        return encoder.index
    if not Path(arguments.index, DESCRIPTION).is_file():
        raise FileNotFoundError(
            "--index must be a folder that `keras-cmg index` or `keras-cmg train` wrote. There is "
            f"no {Path(arguments.index, DESCRIPTION)}"
        )
    return keras_cmg.search.ClipIndex.load(arguments.index)


def run(arguments: argparse.Namespace) -> int:
    """Runs the search.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if the query, the model or the index does not exist.
        ValueError: if a file cannot be read, or a modality is unknown.
    """
    if arguments.k < 1:
        raise ValueError(f"-k must be at least 1. Received: {arguments.k}")
    check_writable(arguments.out, "--out")
    if Path(arguments.out).is_dir():
        raise ValueError(f"--out must be a file. Received the folder: {arguments.out}")
    modality = searching.modality_of(arguments.query)
    encoder = loaded(arguments)
    index = opened_index(arguments, encoder)
    if arguments.modality is None and modality not in encoder.modalities:
        raise ValueError(
            f"--query must be of a modality of the model, {', '.join(encoder.modalities)}. "
            f"Received: {arguments.query}, of {modality}"
        )
    for option, value, known in (
        ("--as", arguments.modality, encoder.modalities),
        ("--find", arguments.find, index.modalities),
    ):
        if value is not None and value not in known:
            raise ValueError(f"{option} must be one of {', '.join(known)}. Received: {value}")
    modality = arguments.modality or modality
    answer = searching.search(
        encoder, index, arguments.query, arguments.find, arguments.k, modality
    )
    print(searching.as_text(answer))
    page = Path(arguments.out)
    gallery.write_gallery(answer, page)
    print(f"page: {page}")
    if arguments.open:
        webbrowser.open(page.absolute().as_uri())
    arguments.result.update(
        {
            "query": answer.query,
            "modality": answer.modality,
            "codes": list(answer.codes),
            "hits": {
                name: [hit._asdict() | {"shared_codes": list(hit.shared_codes)} for hit in hits]
                for name, hits in answer.hits.items()
            },
            "page": str(page),
        }
    )
    return 0
