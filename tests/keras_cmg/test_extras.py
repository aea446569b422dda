"""Optional packages: every import has an extra, and messages say how to install it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

from keras_cmg import extras
from keras_cmg.extras import EXTRAS, describe, engine_error, install_command, missing
from tests.conftest import REPOSITORY

OWN = ("keras_cmg", "data_tools", "recipes")
REQUIRED = {"absl", "keras", "numpy", "packaging"}
"""Of the project, and what Keras requires."""
NOTEBOOK = {"IPython"}
"""Imported where a notebook has imported it."""
PROVIDERS = {"apache_beam": "apache-beam", "keras_hub": "keras-hub"}
"""Packages that tests do not have, to their distributions."""


def sources() -> list[Path]:
    return [path for package in OWN for path in sorted((REPOSITORY / package).rglob("*.py"))]


def requirements(extra: str) -> set[str]:
    """Names of the distributions of an extra in pyproject.toml."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text("utf-8"))["project"]
    found = set()
    for entry in project["optional-dependencies"][extra]:
        nested = re.match(r"keras-cmg\[(.*)\]", entry)
        if nested:
            found |= {name for other in nested[1].split(",") for name in requirements(other)}
        else:
            found.add(re.match(r"[\w-]+", entry)[0])
    return found


def test_every_optional_import_has_an_extra() -> None:
    imported = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    known = {*sys.stdlib_module_names, *OWN, *EXTRAS} | REQUIRED | NOTEBOOK
    assert imported - known == set()


@pytest.mark.parametrize("package", EXTRAS)
def test_the_extra_holds_the_package(package: str) -> None:
    known = importlib.metadata.packages_distributions()
    providers = {name.lower() for name in known.get(package, [PROVIDERS.get(package)])}
    # The tests have TensorFlow without kernels for GPUs.
    providers |= {"tensorflow"} if package == "tensorflow" else set()
    assert providers & requirements(EXTRAS[package])


def test_one_function_says_how_to_install() -> None:
    strays = [
        f"{path.relative_to(REPOSITORY)}: {line.strip()}"
        for path in sources()
        for line in path.read_text("utf-8").splitlines()
        if "pip install" in line and path.name != "extras.py"
    ]
    assert strays == []


def test_a_checkout_is_installed_by_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(REPOSITORY)
    assert install_command("data,report") == "pip install -e '.[data,report]'"
    monkeypatch.chdir(tmp_path)
    assert install_command("data") == f"pip install -e '{REPOSITORY}[data]'"


def test_elsewhere_the_missing_packages_of_the_extra_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(extras, "__file__", str(tmp_path / "keras_cmg" / "extras.py"))
    stated = [
        "keras>=3.15",
        "nothing-like-it>=2; extra == 'data'",
        "numpy>=1.26; extra == 'data'",
        "av-like-it>=14; extra == 'extract'",
        "keras-cmg[data]; extra == 'extract'",
        "of-windows; sys_platform == 'win32' and extra == 'extract'",
    ]
    monkeypatch.setattr(extras.importlib.metadata, "requires", lambda name: stated)
    assert install_command("data") == "pip install 'nothing-like-it>=2'"
    found = install_command("extract")
    assert found == "pip install 'av-like-it>=14' 'nothing-like-it>=2'"


@pytest.mark.parametrize("package", ["onnxruntime", "onnx", "av", "jinja2"])
def test_an_error_of_a_missing_package_says_what_installs_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    command = f"`{install_command(EXTRAS[package])}` installs it"
    text = f"No module named {package!r}"
    bare = ModuleNotFoundError(text, name=package)
    assert describe(bare) == f"{text}; {command}"
    # As a worker process reports it, and as the cause of another error.
    assert describe(ImportError(text)).endswith(command)
    caused = ValueError("reading gave nothing")
    caused.__cause__ = bare
    assert describe(caused) == f"reading gave nothing; {command}"
    told = str(missing(package, "Models need", bare))
    assert told == f"Models need the package {package!r}, which is not installed; {command}"
    assert describe(missing(package, "Models need", bare)) == told


def test_a_package_that_is_broken_is_not_called_missing() -> None:
    error = ImportError("cannot import name 'c' from 'numpy'", name="numpy")
    assert describe(error) == "cannot import name 'c' from 'numpy'"
    told = str(missing("scipy", "Sounds need", ImportError("libblas.so is absent")))
    assert told == "Sounds need the package 'scipy'; importing it gave: libblas.so is absent"


def test_engines_are_listed_and_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda name: name == "torch")
    monkeypatch.chdir(REPOSITORY)
    assert describe(ModuleNotFoundError("No module named 'jax'", name="jax")) == (
        "the engine 'jax' is not installed (installed: torch); set KERAS_BACKEND to another of "
        "jax, tensorflow, torch, or `pip install -e '.[jax]'`"
    )
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    assert describe(ValueError("Unable to import backend : theano")) == (
        "KERAS_BACKEND must be one of jax, tensorflow, torch (installed: torch). Received: 'theano'"
    )
    monkeypatch.setattr(extras, "is_installed", lambda name: False)
    for name in ("tensorflow", "theano"):
        assert engine_error(name) == (
            "an engine must be installed, one of jax, tensorflow, torch; "
            "`pip install -e '.[jax]'` installs the first"
        )
