"""The command `python -m data_tools prepare` for composed data sets."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from inspect import signature
from pathlib import Path
from typing import Any

from data_tools.composing.preparation import OFFLINE, REPORT, prepare_composed
from data_tools.extraction.command import add_network_arguments
from data_tools.extraction.extractor import EXTRACTORS
from data_tools.extraction.pretrained import parse_settings
from data_tools.io.arguments import parse_options
from data_tools.io.files import read_record

KINDS = {
    "failures": "failures",
    "near_duplicates": "pairs of near-duplicates",
    "left_out_of_test_root": "files of the test folder left out",
}
"""Lists of the report, in words."""
LISTED = {"file?": str, "files?": [str], "reason?": str, "correlation?": float}
REPORTED = {
    **{key: [LISTED] for key in KINDS},
    "collections": {str: object},
}
"""Form of the report."""
SHOWN = 5
"""Failures and near-duplicates that are printed; the report has all."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Adds the options of composed data sets to `prepare`.

    Args:
        command: parser of the subcommand.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_arguments(parser)
        >>> parser.parse_args(["--audio", "yamnet"]).audio
        'yamnet'
    """
    for modality, names in EXTRACTORS.items():
        command.add_argument(
            f"--{modality}",
            metavar="NAME",
            help=f"of natural and folders: {', '.join(names)} or MODULE:CLASS (default: "
            f"{OFFLINE[modality]['name']})",
        )
    add_network_arguments(command)
    command.add_argument("--cache", metavar="FOLDER", help="of the features of natural and folders")
    command.add_argument("--workers", type=int, default=1, help="processes that extract")


def given_options(options: argparse.Namespace) -> list[str]:
    """Options of composed data sets that a command line has.

    Args:
        options: the parsed command line.

    Returns:
        Their names.

    Example:
        >>> parser = argparse.ArgumentParser()
        >>> add_arguments(parser)
        >>> given_options(parser.parse_args(["--video-reduce", "64"]))
        ['--video-reduce']
    """
    names = [f"{modality}{end}" for modality in EXTRACTORS for end in ENDS] + ["cache"]
    return [f"--{name.replace('_', '-')}" for name in names if getattr(options, name) is not None]


ENDS = ("", "_model", "_output", "_reduce", "_option")


def run(options: argparse.Namespace, num_clips: Mapping[str, int]) -> list[str]:
    """Prepares a composed data set.

    Args:
        options: the parsed command line.
        num_clips: clips per split.

    Returns:
        Lines to print.

    Raises:
        FileNotFoundError: if a file is missing.
        ImportError: if an extractor lacks a package.
        ValueError: if an argument or a file is wrong, or the output holds something else.
    """
    extractors: dict[str, dict[str, Any]] = {}
    for modality in EXTRACTORS:
        name = getattr(options, modality) or OFFLINE[modality]["name"]
        names = {
            end: getattr(options, f"{modality}_{end}") for end in ("model", "output", "reduce")
        }
        chosen = {end: value for end, value in names.items() if value is not None}
        if name == "patches":
            chosen |= {"channels": options.video_channels, "seed": options.seed}
        if modality == "text":
            chosen |= {"num_tokens": options.num_tokens}
            chosen |= {"dim": options.text_dim} if name == "words" else {}
        chosen |= parse_settings(getattr(options, f"{modality}_option") or ())
        extractors[modality] = {"name": name, "options": chosen}
    out = prepare_composed(
        options.name,
        options.out,
        root=options.root,
        seed=options.seed,
        num_clips=num_clips,
        extractors=extractors,
        cache=options.cache,
        workers=options.workers,
        overwrite=options.overwrite,
        progress=True,
        **({} if options.split is None else {"split": options.split}),
        **parse_options(options.option, signature(prepare_composed).parameters),
    )
    report = read_record(Path(out, REPORT), REPORTED)
    lines = [f"features of {options.name} are in {out}"]
    for key, kind in KINDS.items():
        lines.append(f"{len(report[key])} {kind}")
        for each in report[key][:SHOWN]:
            files = each.get("file") or " = ".join(each.get("files", ()))
            lines.append(f"  {files}: {each.get('reason') or each.get('correlation')}")
    for category, measures in report["collections"].items():
        lines.append(f"{category} across collections: {json.dumps(measures)}")
    return [*lines, f"everything is in {out}/{REPORT}"]
