"""Where tests find real data sets; they skip when there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The folder that holds pyproject.toml."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of data sets (`digits/`, ...): `KERAS_CMG_DATA`, else `../shared/data`."""
    default = REPOSITORY.parent / "shared" / "data"
    root = Path(os.environ.get("KERAS_CMG_DATA", default))
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set KERAS_CMG_DATA to a folder that holds digits/")
    return root


@pytest.fixture(scope="session")
def digits_root(data_root: Path) -> Path:
    """The folder with the FSDD archive and the four MNIST files."""
    root = data_root / "digits"
    if not (root / "fsdd.zip").is_file():
        pytest.skip(f"no fsdd.zip in {root}")
    return root


@pytest.fixture(scope="session")
def golden_root(repository: Path) -> Path:
    """The folder of recorded numbers: `KERAS_CMG_GOLDEN`, else `../shared/golden`."""
    root = Path(os.environ.get("KERAS_CMG_GOLDEN", repository.parent / "shared" / "golden"))
    if not (root / "fcid.npz").is_file():
        pytest.skip(f"no fcid.npz in {root}; set KERAS_CMG_GOLDEN to a folder of recorded numbers")
    return root
