"""Packages import only from the packages below them, and no modules import each other in a circle.

The imports are read from the syntax trees of all files, those inside functions included. Imports
under `if TYPE_CHECKING:` are left out, as they do not happen at run time.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
PACKAGES = ("keras_cmg", "data_tools", "recipes", "benchmarks")
"""From the lowest to the highest."""

LAYERS = {
    "keras_cmg": (
        ("version", "types", "extras"),
        ("faults", "engine_settings"),
        ("files", "isolated_hdf5"),
        ("records", "saved_models"),
        ("backend",),
        ("ops",),
        ("layers",),
        ("metrics", "optimizers", "callbacks", "distribution"),
        ("models",),
        ("search", "tuning", "export", "reference"),
        ("encoding",),
    ),
    "data_tools": (
        ("io",),
        ("untrusted",),
        ("decoding",),
        ("features",),
        ("raw",),
        ("published",),
        ("store",),
        ("extraction",),
        ("composing", "loading"),
        ("commands",),
    ),
    "recipes": (
        ("runner",),
        ("protocol",),
        ("training",),
        ("reporting", "image_generation", "serving"),
        ("own_clips",),
        ("experiments",),
        ("console",),
    ),
}
"""Parts of each package, from the lowest layer to the highest. Parts of one layer do not import
each other."""

Graph = dict[str, set[str]]


def module_name(path: Path, root: Path) -> str:
    """Dotted name of a module file."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def runtime_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a syntax tree, without blocks of `if TYPE_CHECKING:`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield other
                yield from runtime_nodes(other)
            continue
        yield child
        yield from runtime_nodes(child)


def imports_of(source: str, name: str, modules: set[str], is_package: bool) -> set[str]:
    """Modules among `modules` that the source of module `name` imports."""
    found = set()
    for node in runtime_nodes(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".")[: len(name.split(".")) - node.level + is_package]
                base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{base}.{alias.name}"
                found.add(full if full in modules else base)
    return {module for module in found if module in modules and module != name}


@functools.cache
def import_graph(root: Path, packages: tuple[str, ...]) -> Graph:
    """Module to the modules that it imports."""
    paths = {
        module_name(path, root): path
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    }
    modules = set(paths)
    return {
        name: imports_of(path.read_text("utf-8"), name, modules, path.stem == "__init__")
        for name, path in paths.items()
    }


def wrong_arrows(graph: Graph) -> set[tuple[str, str]]:
    """Imports from a higher or an equal layer, as importing and imported module."""
    ranks = {
        f"{package}.{part}": rank
        for package, layers in LAYERS.items()
        for rank, parts in enumerate(layers)
        for part in parts
    }
    wrong = set()
    for module, imported in graph.items():
        package, part = module.partition(".")[0], ".".join(module.split(".")[:2])
        for other in imported:
            other_package, other_part = other.partition(".")[0], ".".join(other.split(".")[:2])
            if package != other_package:
                upward = PACKAGES.index(other_package) > PACKAGES.index(package)
            elif part == other_part or part not in ranks or other_part not in ranks:
                # Inside a part, or in the package's own `__init__` or `__main__`.
                upward = False
            else:
                upward = ranks[other_part] >= ranks[part]
            if upward:
                wrong.add((module, other))
    return wrong


def circles(graph: Graph) -> list[list[str]]:
    """Groups of modules that import each other, directly or through others (Tarjan, 1972)."""
    numbers: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        numbers[module] = lowest[module] = len(numbers)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in numbers:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == numbers[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1:
                found.append(sorted(group))

    for module in graph:
        if module not in numbers:
            visit(module)
    return found


def unknown_parts(graph: Graph) -> set[str]:
    """Parts of packages that no layer names."""
    named = {
        f"{package}.{part}"
        for package, layers in LAYERS.items()
        for parts in layers
        for part in parts
    }
    parts = {
        ".".join(module.split(".")[:2]) for module in graph if module.partition(".")[0] in LAYERS
    }
    return {
        part
        for part in parts - named
        if "." in part and not part.endswith(("__main__", "__init__"))
    }


def test_imports_point_downwards() -> None:
    assert sorted(wrong_arrows(import_graph(REPOSITORY, PACKAGES))) == []


def test_every_part_has_a_layer() -> None:
    assert unknown_parts(import_graph(REPOSITORY, PACKAGES)) == set()


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circles(import_graph(REPOSITORY, PACKAGES)) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from data_tools.features import audio", {"data_tools.features.audio"}),
        ("def f():\n    import data_tools.loading.load", {"data_tools.loading.load"}),
        ("from data_tools.io.files import read_json", {"data_tools.io.files"}),
        ("from . import text", {"data_tools.features.text"}),
        ("from .text import words", {"data_tools.features.text"}),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import data_tools.store.rows",
            set(),
        ),
    ],
)
def test_imports_are_found_wherever_they_stand(source: str, expected: set[str]) -> None:
    modules = set(import_graph(REPOSITORY, PACKAGES))
    assert imports_of(source, "data_tools.features.video", modules, False) == expected


def test_wrong_arrows_and_circles_are_found() -> None:
    graph: Graph = {
        "keras_cmg.ops.a": {"keras_cmg.layers.b", "data_tools.io.files"},
        "keras_cmg.layers.b": {"keras_cmg.ops.c"},
        "keras_cmg.ops.c": {"keras_cmg.ops.a"},
        "data_tools.io.files": set(),
        "data_tools.store.store": {"data_tools.loading.load", "keras_cmg.ops.c"},
        "data_tools.loading.load": {"data_tools.store.store"},
        "keras_cmg.metrics.d": {"keras_cmg.callbacks.e"},
        "keras_cmg.callbacks.e": set(),
        "recipes.experiments.f": {"benchmarks.g"},
        "benchmarks.g": set(),
        "keras_cmg.elsewhere.h": set(),
    }
    assert wrong_arrows(graph) == {
        ("keras_cmg.ops.a", "keras_cmg.layers.b"),
        ("keras_cmg.ops.a", "data_tools.io.files"),
        ("data_tools.store.store", "data_tools.loading.load"),
        ("keras_cmg.metrics.d", "keras_cmg.callbacks.e"),
        ("recipes.experiments.f", "benchmarks.g"),
    }
    assert circles(graph) == [
        ["keras_cmg.layers.b", "keras_cmg.ops.a", "keras_cmg.ops.c"],
        ["data_tools.loading.load", "data_tools.store.store"],
    ]
    assert unknown_parts(graph) == {"keras_cmg.elsewhere"}
