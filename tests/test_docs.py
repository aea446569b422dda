"""README and docs: their Python runs, and their commands exist with the options they show."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import io
import re
import runpy
import shlex
import sys
import warnings
from pathlib import Path
from typing import NamedTuple

import pytest

import keras_cmg  # noqa: F401
from keras_cmg.models.base import registry
from tests.conftest import REPOSITORY

PAGES = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/**/*.md")])
FENCE = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OWN_MODULES = ("benchmarks", "data_tools", "keras_cmg", "recipes")


class Block(NamedTuple):
    """A fenced block: its language, text, and the line of its first row."""

    language: str
    text: str
    line: int


def blocks(page: Path, *languages: str) -> list[Block]:
    """Fenced blocks of a page in any of the given languages."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)
        for match in FENCE.finditer(text)
        if match[1] in languages
    ]


def commands(text: str) -> list[list[str]]:
    """Words of each command of a shell block, without comments and leading `NAME=value`."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        if words:
            found.append(words)
    return found


def make_targets() -> set[str]:
    """Targets that the Makefile offers by name."""
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    return {
        name
        for names in re.findall(r"^([a-z][a-z -]*):(?!=)", makefile, re.MULTILINE)
        for name in names.split()
    }


def shown_commands() -> dict[str, list[str]]:
    """All commands of all pages, by where they stand."""
    return {
        f"{page.name}: {shlex.join(words)}": words
        for page in PAGES
        for block in blocks(page, "bash", "sh", "console")
        for words in commands(block.text)
    }


@pytest.mark.parametrize(
    "page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name
)
def test_python_blocks_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    # What a page registers, no other test meets.
    monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
    namespace: dict[str, object] = {"__name__": "__page__"}
    for block in blocks(page, "python"):
        # The blank lines make a traceback point at the line of the page.
        padded = "\n" * (block.line - 1) + block.text
        exec(compile(padded, str(page), "exec"), namespace)


@pytest.mark.parametrize("shown", sorted(shown_commands()))
def test_command_exists(shown: str) -> None:
    words = shown_commands()[shown]
    if words[0] == "make":
        goals = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
        assert set(goals) <= make_targets()
    elif Path(words[0]).name.startswith("python") and words[1:2] == ["-m"]:
        check_module_command(words[2], words[3:])
    elif words[0] == "keras-cmg":
        check_module_command("recipes.console", words[1:])


def check_module_command(module: str, arguments: list[str]) -> None:
    """Ask one of our modules for help on a command, and look for the options in the answer."""
    package = module.partition(".")[0]
    if package not in OWN_MODULES:
        assert importlib.util.find_spec(package), f"{package} is not installed"
        return
    subcommand = arguments[:1] if arguments and not arguments[0].startswith("-") else []
    if subcommand == ["recipe"]:
        subcommand = arguments[:2] if arguments[1] != "list" else []
    options = {word.partition("=")[0] for word in arguments if word.startswith("--")}
    assert options <= set(re.findall(r"--[\w-]+", help_of(module, *subcommand)))


@functools.cache
def help_of(module: str, *words: str) -> str:
    """What `python -m MODULE WORDS --help` prints, asked in this process, which has Keras."""
    printed, failed = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        # A module that other tests have imported is run once more, as `__main__`.
        warnings.simplefilter("ignore", RuntimeWarning)
        patch.setattr(sys, "argv", [module, *words, "--help"])
        try:
            with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(failed):
                runpy.run_module(module, run_name="__main__")
        except SystemExit as stopped:
            assert not stopped.code, failed.getvalue()
    return printed.getvalue()


def test_readme_shows_how_to_set_up_and_activate_the_environment() -> None:
    shown = [words for name, words in shown_commands().items() if name.startswith("README.md:")]
    assert ["make", "demo"] in shown
    assert ["source", ".venv/bin/activate"] in shown
    assert shown.index(["make", "demo"]) < shown.index(["source", ".venv/bin/activate"])
    first = next(place for place, words in enumerate(shown) if words[0] == "keras-cmg")
    assert shown.index(["source", ".venv/bin/activate"]) < first


def test_shell_blocks_are_read_as_a_shell_reads_them() -> None:
    text = (
        "# a comment\nKERAS_BACKEND=jax make demo  # trains\n$ python -m recipes \\\n  quickstart\n"
    )
    assert commands(text) == [["make", "demo"], ["python", "-m", "recipes", "quickstart"]]
