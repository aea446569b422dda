"""Builds the wheel: `data_tools` and `recipes` get names that no other project has.

In the checkout they are `data_tools` and `recipes`; as top-level names in site-packages these could
collide with those of other projects. The wheel holds copies as `keras_cmg_data_tools` and
`keras_cmg_recipes`, in which two things are renamed, found in the syntax tree: imports, and strings
that are the dotted name of a module or start it, such as `"data_tools.extraction.audio:LogMel"`. An
editable installation uses the folders of the checkout.
"""

from __future__ import annotations

import ast
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAMES = {
    "keras_cmg": "keras_cmg",
    "data_tools": "keras_cmg_data_tools",
    "recipes": "keras_cmg_recipes",
}
"""Folder of the checkout to package of the wheel."""
COMMAND = "keras_cmg_command.py"
"""Module of the console script, which knows the name of `recipes`."""
MODULE = re.compile(r"(data_tools|recipes)(?=\.[a-z_][\w.]*(:\w+)?$)")
IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")


class Edit(NamedTuple):
    """Text to replace in a line."""

    line: int
    """From 0."""
    start: int
    end: int
    """Columns in bytes, as `ast` counts them."""
    text: str


class PackagesHook(BuildHookInterface):
    """Adds the packages and the module of the console script."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Writes the files to include into a temporary folder.

        Args:
            version: "standard" or "editable".
            build_data: of hatchling; gets the files.
        """
        self.scratch = Path(tempfile.mkdtemp(prefix="keras_cmg-wheel-"))
        editable = version == "editable"
        command = self.scratch / COMMAND
        command.write_text(command_module("recipes" if editable else NAMES["recipes"]), "utf-8")
        if editable:
            build_data["force_include_editable"][str(command)] = COMMAND
            return
        build_data["force_include"][str(command)] = COMMAND
        for folder, name in NAMES.items():
            copied = self.scratch / name
            shutil.copytree(Path(self.root) / folder, copied, ignore=IGNORED)
            for path in copied.rglob("*.py"):
                source = path.read_text("utf-8")
                path.write_text(renamed(source), "utf-8", newline="\n")
            build_data["force_include"][str(copied)] = name

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes the temporary folder.

        Args:
            version: "standard" or "editable".
            build_data: of hatchling.
            artifact_path: the wheel.
        """
        shutil.rmtree(self.scratch, ignore_errors=True)


def command_module(recipes: str) -> str:
    """Returns the source of the module that the console script imports.

    Args:
        recipes: name of the package `recipes`.
    """
    return (
        '"""The console command `keras-cmg`."""\n\n'
        f'from {recipes}.console.main import main\n\n__all__ = ["main"]\n'
    )


def renamed(source: str) -> str:
    """Renames the packages in the source of a module.

    Args:
        source: text of the module.

    Returns:
        The text with the names of the wheel, on the same lines.

    Raises:
        ValueError: if an import binds the bare name of a package that it renames, by a dotted name.
    """
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for edit in sorted(edits(ast.parse(source), source), reverse=True):
        line = lines[edit.line]
        lines[edit.line] = line[: edit.start] + edit.text.encode() + line[edit.end :]
    return b"".join(lines).decode()


def edits(tree: ast.AST, source: str) -> Iterator[Edit]:
    """Finds what to rename in a module.

    Args:
        tree: its syntax tree.
        source: its text.

    Yields:
        Edits, which do not overlap.

    Raises:
        ValueError: see `renamed`.
    """
    formatted = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in node.values
    }
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level and node.module:
            package = node.module.partition(".")[0]
            if package in NAMES:
                line = node.lineno - 1
                start = lines[line].index(package.encode(), node.col_offset + len("from"))
                yield Edit(line, start, start + len(package), NAMES[package])
        elif isinstance(node, ast.Import):
            for alias in node.names:
                package, dot, _ = alias.name.partition(".")
                if NAMES.get(package, package) == package:
                    continue
                if dot and alias.asname is None:
                    raise ValueError(f"Import a part of {package} by `from`: {ast.unparse(node)}")
                start = alias.col_offset
                text = NAMES[package] if alias.asname else f"{NAMES[package]} as {package}"
                yield Edit(alias.lineno - 1, start, start + len(package), text)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found = MODULE.match(node.value)
            if found is None:
                continue
            if id(node) in formatted or node.lineno != node.end_lineno:
                raise ValueError(f"A module's name must be a plain string: {node.value!r}")
            line, start = node.lineno - 1, node.col_offset
            start = lines[line].index(found[0].encode(), start)
            yield Edit(line, start, start + len(found[0]), NAMES[found[0]])
