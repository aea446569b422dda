"""Runs pytest on the oldest and on the newest Keras that pyproject.toml allows.

Each is installed alone into a folder that comes before the environment's Keras on the path:

    python tests/helpers/keras_versions.py --cache FOLDER -- PYTEST_ARGUMENTS

A release that the environment holds itself is left out: all other tests run on it.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions, version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def oldest_release(pyproject: str) -> str:
    """Returns the oldest release of Keras that a pyproject.toml allows, such as `"3.15.0"`."""
    dependencies = tomllib.loads(pyproject)["project"]["dependencies"]
    (bound,) = (
        match[1] for entry in dependencies if (match := re.match(r"keras>=([\d.]+)", entry))
    )
    return ".".join([*bound.split("."), "0", "0"][:3])


def install(requirement: str, folder: Path, *options: str) -> str:
    """Installs Keras alone into a folder, and returns its version."""
    words = ["install", "--quiet", "--no-deps", *options, "--target", str(folder), requirement]
    subprocess.run([sys.executable, "-m", "pip", *words], check=True)
    (found,) = (d.version for d in distributions(path=[str(folder)]) if d.name == "keras")
    return found


def main() -> int:
    """Runs the tests on both releases, and returns the first exit code other than 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder of the releases")
    parser.add_argument("pytest", nargs="+", help="arguments of pytest")
    options = parser.parse_args()
    oldest = oldest_release((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    folders = {
        "oldest": install(f"keras=={oldest}", options.cache / "oldest", "--upgrade"),
        "newest": install(f"keras>={oldest}", options.cache / "newest", "--upgrade"),
    }
    for name, release in folders.items():
        if release == version("keras"):
            print(f"The {name} Keras, {release}, is the one that all tests run on.", flush=True)
            continue
        print(f"Tests on the {name} Keras, {release}:", flush=True)
        path = os.pathsep.join(
            filter(None, [str((options.cache / name).resolve()), os.environ.get("PYTHONPATH")])
        )
        environment = {"KERAS_BACKEND": "torch", **os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options.pytest],
            cwd=REPOSITORY,
            env={**environment, "PYTHONPATH": path, "KERAS_CMG_TESTED_KERAS": release},
        )
        if done.returncode:
            return done.returncode
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
