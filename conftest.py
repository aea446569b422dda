"""What every test and docstring example shares: engine, quiet logs, seed, a folder to write in."""

from __future__ import annotations

import importlib.util
import os
import random

import pytest

# These must stand before Keras, TensorFlow or matplotlib is imported.
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True)
def fixed_seed() -> None:
    """Start each test from the same draws, so that a failure can be seen twice.

    Keras takes default seeds from `random`; its own `set_random_seed` would import TensorFlow.
    """
    random.seed(0)


@pytest.fixture(scope="session", autouse=True)
def every_warning() -> None:
    """Let PyTorch repeat its warnings: given once, they fail whichever test comes first."""
    # Tests of Beam run where no engine is installed.
    if os.environ["KERAS_BACKEND"] == "torch" and importlib.util.find_spec("torch"):
        import torch

        torch.set_warn_always(True)


@pytest.fixture(autouse=True)
def example_setting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give docstring examples the usual names, and an empty folder, since some save files."""
    if isinstance(request.node, pytest.DoctestItem):
        import keras
        import numpy as np

        import keras_cmg
        from keras_cmg.models.base import registry

        usual = {"keras": keras, "keras_cmg": keras_cmg, "np": np, "ops": keras.ops}
        for name, value in usual.items():
            request.node.dtest.globs.setdefault(name, value)
        # What an example registers, no other test meets.
        monkeypatch.setattr(registry, "_MODELS", dict(registry._MODELS))
        monkeypatch.chdir(request.getfixturevalue("tmp_path"))
