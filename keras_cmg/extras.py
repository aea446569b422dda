"""Optional packages: which extra has them, how to install it here, and errors that say so.

Imports neither Keras nor an engine, so that it can be loaded without them.
"""

from __future__ import annotations

import difflib
import importlib.metadata
import importlib.util
import os
import re
import shlex
from pathlib import Path

DISTRIBUTION = "keras-cmg"
ENGINES = ("jax", "tensorflow", "torch")
EXTRAS = {
    "PIL": "data",
    "ai_edge_litert": "pretrained",
    "apache_beam": "beam",
    "av": "extract",
    "diffusers": "generation",
    "faiss": "search",
    "fastapi": "serve",
    "filelock": "data",
    "gradio": "ui",
    "h5py": "data",
    "huggingface_hub": "hub",
    "jax": "jax",
    "jinja2": "report",
    "keras_hub": "bert",
    "keras_tuner": "tuner",
    "matplotlib": "report",
    "onnx": "pretrained",
    "onnxruntime": "pretrained",
    "pandas": "report",
    "prometheus_client": "serve",
    "safetensors": "pretrained",
    "scipy": "data",
    "six": "tuner",
    "sklearn": "data",
    "soundfile": "data",
    "starlette": "serve",
    "tensorflow": "tensorflow",
    "tensorflow_io": "tensorflow-io",
    "tf2onnx": "export",
    "threadpoolctl": "data",
    "tokenizers": "pretrained",
    "torch": "torch",
    "tqdm": "data",
    "transformers": "generation",
    "uvicorn": "serve",
}
"""Optional package, by the name that is imported, to the extra of pyproject.toml that has it."""

_NO_MODULE = re.compile(r"No module named '(\w+)")


def missing(
    package: str, what: str, error: BaseException | None = None, extra: str | None = None
) -> ImportError:
    """Makes the error for an optional package that cannot be imported.

    Args:
        package: name that is imported, one of `EXTRAS`.
        what: str, what needs the package, at the start of a sentence.
        error: what importing it raised; it is told of a package that is installed.
        extra: extra to install; that of the package if None.

    Returns:
        The error, to be raised.

    Example:

    >>> str(missing("apache_beam", "A runner needs")).partition("; ")[0]
    "A runner needs the package 'apache_beam', which is not installed"
    """
    if is_installed(package):
        reason = " ".join(str(error).split())
        return ImportError(f"{what} the package {package!r}; importing it gave: {reason}")
    return ImportError(
        f"{what} the package {package!r}, which is not installed; "
        f"`{install_command(extra or EXTRAS[package])}` installs it",
        name=package,
    )


def install_command(extra: str) -> str:
    """Returns the command that installs an extra into this environment.

    In a checkout it installs the checkout with the extra; elsewhere the packages of the extra that
    are missing, so that it works however keras_cmg was installed.

    Args:
        extra: name of an extra in pyproject.toml; several with commas between them.

    Returns:
        The command.

    Example:

    >>> install_command("search").startswith("pip install ")
    True
    """
    checkout = Path(__file__).resolve().parents[1]
    if (checkout / "pyproject.toml").is_file():
        here = "." if Path.cwd() == checkout else str(checkout)
        return f"pip install -e {shlex.quote(f'{here}[{extra}]')}"
    packages = {package for name in extra.split(",") for package in _requirements(name)}
    absent = [package for package in sorted(packages) if not _is_present(package)]
    return shlex.join(["pip", "install", *(absent or sorted(packages))])


def _requirements(extra: str) -> set[str]:
    """Packages of an extra as the metadata of the installation states them."""
    from packaging.requirements import Requirement

    try:
        stated = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        return {f"{DISTRIBUTION}[{extra}]"}
    found = set()
    for requirement in map(Requirement, stated):
        if requirement.marker is None or not requirement.marker.evaluate({"extra": extra}):
            continue
        if requirement.marker.evaluate({"extra": ""}):
            continue
        if requirement.name == DISTRIBUTION:
            found |= {name for other in requirement.extras for name in _requirements(other)}
        else:
            requirement.marker = None
            found.add(str(requirement))
    return found


def _is_present(requirement: str) -> bool:
    from packaging.requirements import Requirement

    try:
        importlib.metadata.version(Requirement(requirement).name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def describe(error: BaseException) -> str:
    """Returns an error in one line; for a missing package or engine, with what to install.

    Args:
        error: the error.

    Returns:
        The line.

    Example:

    >>> describe(ModuleNotFoundError("No module named 'jinja2'", name="jinja2")).partition(";")[0]
    "No module named 'jinja2'"
    """
    text = " ".join(str(error).split())
    if "Unable to import backend" in text:
        return engine_error(os.environ.get("KERAS_BACKEND", ""))
    package = missing_package(error)
    if package is None or "pip install" in text:
        return text
    if package in ENGINES:
        return engine_error(package)
    return f"{text}; `{install_command(EXTRAS[package])}` installs it"


def missing_package(error: BaseException | None) -> str | None:
    """Finds the optional package whose absence is behind an error.

    Args:
        error: any error, or None.

    Returns:
        The name that is imported; None if the error has another reason.

    Example:

    >>> missing_package(ImportError("the worker said: No module named 'apache_beam'"))
    'apache_beam'
    """
    for _ in range(20):
        if error is None:
            break
        if isinstance(error, ImportError):
            named = (error.name or "").partition(".")[0]
            stated = _NO_MODULE.search(str(error))
            for name in (named, stated[1] if stated else ""):
                if name in EXTRAS and not is_installed(name):
                    return name
        error = error.__cause__ or error.__context__
    return None


def engine_error(name: str) -> str:
    """Returns why an engine cannot be used.

    Args:
        name: name of the engine, as in `KERAS_BACKEND`.

    Returns:
        A line that lists the names of engines, and says which are installed or how to install one.

    Example:

    >>> engine_error("pytorch").partition(". ")[2]
    "Received: 'pytorch'; did you mean torch?"
    """
    names = ", ".join(ENGINES)
    installed = [engine for engine in ENGINES if is_installed(engine)]
    if not installed:
        return (
            f"an engine must be installed, one of {names}; `{install_command('jax')}` installs the "
            "first"
        )
    here = f"installed: {', '.join(installed)}"
    if name in ENGINES:
        return (
            f"the engine {name!r} is not installed ({here}); set KERAS_BACKEND to another of "
            f"{names}, or `{install_command(name)}`"
        )
    near = difflib.get_close_matches(name.lower(), ENGINES, 1)
    meant = f"; did you mean {near[0]}?" if near else ""
    return f"KERAS_BACKEND must be one of {names} ({here}). Received: {name!r}{meant}"


def is_installed(package: str) -> bool:
    """Returns whether a package can be imported, without importing it.

    Args:
        package: name that is imported.

    Returns:
        True or False.

    Example:

    >>> is_installed("no_such_package")
    False
    """
    try:
        return importlib.util.find_spec(package) is not None
    except (ImportError, ValueError):
        return False
