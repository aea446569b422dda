"""Imports inside `recipes` go one way, and nothing but recipes and benchmarks imports recipes."""

from __future__ import annotations

import ast
from pathlib import Path

ORDER = (
    *("runner", "protocol", "training", "reporting", "image_generation", "own_clips"),
    "experiments",
)
ALLOWED = {
    "runner": {"runner"},
    "protocol": {"protocol"},
    "training": {"runner", "protocol", "training"},
    "reporting": {"runner", "protocol", "training", "reporting"},
    "image_generation": {"runner", "protocol", "image_generation"},
    "own_clips": {"runner", "protocol", "training", "reporting", "own_clips"},
    "experiments": {"runner", "protocol", "training", "reporting", "image_generation", "own_clips"},
}


def imported(path: Path) -> set[str]:
    """Names of the modules that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return found


def test_imports_inside_recipes_go_one_way(repository: Path) -> None:
    strays = [
        f"{path.relative_to(repository)} imports {name}"
        for folder in ORDER
        for path in (repository / "recipes" / folder).glob("*.py")
        for name in imported(path)
        if name.startswith("recipes.") and name.split(".")[1] not in ALLOWED[folder]
    ]
    assert not strays


def test_no_module_of_recipes_is_in_a_circle(repository: Path) -> None:
    modules = {
        ".".join(path.relative_to(repository).with_suffix("").parts): path
        for path in (repository / "recipes").rglob("*.py")
    }
    edges = {name: imported(path) & set(modules) for name, path in modules.items()}
    while edges:
        free = [name for name, targets in edges.items() if not targets & set(edges)]
        assert free, f"circle among {sorted(edges)}"
        edges = {name: targets for name, targets in edges.items() if name not in free}


def test_recipes_do_not_import_benchmarks(repository: Path) -> None:
    for path in (repository / "recipes").rglob("*.py"):
        assert not any(name.split(".")[0] == "benchmarks" for name in imported(path)), path


def test_experiments_are_short_and_have_no_classes(repository: Path) -> None:
    for path in (repository / "recipes" / "experiments").glob("*.py"):
        code = path.read_text(encoding="utf-8")
        assert len(code.splitlines()) <= 200, path
        for node in ast.walk(ast.parse(code)):
            assert not isinstance(node, ast.ClassDef), f"{path}: {node.name}"
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno <= 80, f"{path}: {node.name}"
