"""The project as a whole: which engines it imports, its version, its wheel, its paths."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ENGINES = {"jax", "tensorflow", "torch"}
# Optional dependencies that the core library must do without.
OPTIONAL = {
    "PIL",
    "apache_beam",
    "av",
    "keras_hub",
    "faiss",
    "jinja2",
    "keras_tuner",
    "matplotlib",
    "pandas",
    "sklearn",
    "soundfile",
    "tensorflow_io",
    "tf2onnx",
    "tqdm",
}
SOURCES = (".ci", "benchmarks", "data_tools", "docs", "keras_cmg", "recipes", "tests")

# An import of a module that is None in sys.modules fails as if it were not installed.
BLOCK_THEN_IMPORT = """
import sys

sys.modules.update(dict.fromkeys({blocked!r}))
import keras
import keras_cmg

assert keras.backend.backend() == {engine!r}, keras.backend.backend()
"""


def imported_packages(path: Path) -> set[str]:
    """Top-level packages that a file imports, at any depth of its code."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            packages.add(node.module.partition(".")[0])
    return packages


def test_only_training_and_export_import_an_engine(repository: Path) -> None:
    library = repository / "keras_cmg"
    found = {
        path.relative_to(library).as_posix(): sorted(imported_packages(path) & ENGINES)
        for path in library.rglob("*.py")
        if imported_packages(path) & ENGINES
    }
    strays = {
        name: engines
        for name, engines in found.items()
        if not name.startswith(("backend/", "export/")) and name != "reference/files.py"
    }
    assert not strays


def test_checkpoints_import_pytorch_only_to_read_a_file(repository: Path) -> None:
    path = repository / "keras_cmg" / "reference" / "files.py"
    functions = [
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Import) and inner.names[0].name == "torch"
    ]
    assert functions == ["read_torch"]
    assert imported_packages(path) & ENGINES == {"torch"}


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_import_needs_keras_numpy_and_one_engine(repository: Path, engine: str) -> None:
    script = BLOCK_THEN_IMPORT.format(blocked=(ENGINES - {engine}) | OPTIONAL, engine=engine)
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=repository,
        env={**os.environ, "KERAS_BACKEND": engine},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.every_engine
def test_import_keeps_the_chosen_engine() -> None:
    import keras

    import keras_cmg

    assert keras_cmg.__version__
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]


def test_one_version_everywhere(repository: Path) -> None:
    import keras_cmg

    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    citation = (repository / "CITATION.cff").read_text(encoding="utf-8")
    released = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE)
    cited = re.search(r"^version: (.+)$", citation, re.MULTILINE)
    assert released is not None and released[1] == keras_cmg.__version__
    assert cited is not None and cited[1] == keras_cmg.__version__


def test_required_dependencies_are_keras_and_numpy(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {re.match(r"[\w-]+", entry)[0] for entry in project["dependencies"]}
    assert names == {"keras", "numpy"}


def test_no_file_names_a_path_of_one_machine(repository: Path) -> None:
    machine_path = re.compile(
        r"(?<![\w.~/-])/(?:home|mnt|opt|root|tmp|Users|work)/\w|[A-Z]:\\Users"
    )
    # In a worktree, `.git` is a file with the path of the repository.
    files = [path for path in repository.iterdir() if path.is_file() and path.name != ".git"]
    for folder in SOURCES:
        files += [path for path in (repository / folder).rglob("*") if path.is_file()]
    found = []
    for path in files:
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(repository)}:{number}: {line.strip()}"
            for number, line in enumerate(lines, start=1)
            if machine_path.search(line)
        ]
    assert not found


def test_no_file_is_larger_than_what_people_write(repository: Path) -> None:
    """Wheels, networks and recordings do not belong in the repository."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False
    )
    if tracked.returncode:
        pytest.skip("the folder is no checkout of git")
    paths = [repository / name for name in tracked.stdout.split("\0") if name]
    large = [path.name for path in paths if path.is_file() and path.stat().st_size > 200_000]
    assert paths and not large


def test_keras_that_is_tested_is_the_one_asked_for() -> None:
    import keras

    assert keras.__version__ == os.environ.get("KERAS_CMG_TESTED_KERAS", keras.__version__)
