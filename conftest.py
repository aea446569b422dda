"""What every test and docstring example shares: engine, quiet logs, seed, a folder to write in."""

from __future__ import annotations

import os

import pytest

# These must stand before Keras, TensorFlow or matplotlib is imported.
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Start each test from the same draws, so that a failure can be seen twice."""
    import keras

    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def examples_write_elsewhere(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run docstring examples in an empty folder: some of them save files."""
    if isinstance(request.node, pytest.DoctestItem):
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
