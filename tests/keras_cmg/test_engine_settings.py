"""What commands set for engines, and that what a user has set stays."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from keras_cmg import engine_settings
from keras_cmg.engine_settings import set_engine_defaults

NAMES = (
    "KERAS_BACKEND",
    "KERAS_HOME",
    "TF_CPP_MIN_LOG_LEVEL",
    "JAX_COMPILATION_CACHE_DIR",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "KERAS_CMG_CACHE",
    "XDG_CACHE_HOME",
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A user who has set nothing."""
    for name in NAMES:
        # Also restores what the tests set.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(logging.getLogger("tensorflow"), "level", logging.NOTSET)


def installed(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(engine_settings, "is_installed", lambda name: name in names)


def test_an_installed_engine_is_chosen_where_that_of_keras_is_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    installed(monkeypatch, "jax", "torch")
    set_engine_defaults()
    assert os.environ["KERAS_BACKEND"] == "jax"
    monkeypatch.delenv("KERAS_BACKEND")
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(json.dumps({"backend": "torch"}))
    set_engine_defaults()
    assert "KERAS_BACKEND" not in os.environ
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    set_engine_defaults()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(ValueError, match="KERAS_BACKEND must be one of jax, tensorflow, torch"):
        set_engine_defaults()


def test_jax_keeps_compiled_programs_in_a_folder_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    set_engine_defaults()
    folder = tmp_path / ".cache" / "keras_cmg" / "jax"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder) and folder.is_dir()
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    set_engine_defaults()
    expected = tmp_path / "caches" / "keras_cmg" / "jax"
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(expected)


def test_what_the_user_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"TF_CPP_MIN_LOG_LEVEL": "0", "JAX_COMPILATION_CACHE_DIR": "elsewhere"}
    for name, value in {**given, "KERAS_BACKEND": "jax"}.items():
        monkeypatch.setenv(name, value)
    before = list(sys.meta_path)
    set_engine_defaults()
    assert {name: os.environ[name] for name in given} == given
    assert "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ
    assert sys.meta_path == before
    assert logging.getLogger("tensorflow").level == logging.NOTSET


def test_a_folder_that_cannot_be_made_is_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".cache").write_text("a file")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    set_engine_defaults()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_an_import_is_quiet_but_for_what_matters(tmp_path: Path) -> None:
    """The text is what TensorFlow 2.21 writes."""
    (tmp_path / "noisy.py").write_text(
        "import os\n"
        "os.write(2, b'WARNING: All log messages before absl::InitializeLog() is called are'\n"
        "            b' written to STDERR\\n'\n"
        "            b'I0000 00:00:1795762827.483385   13967 port.cc:153] oneDNN custom'\n"
        "            b' operations are on.\\n'\n"
        "            b'E0000 00:00:1795762827.483385   13967 driver.cc:1] no device\\n')\n"
        "value = 3\n"
    )
    code = (
        "import importlib.util, sys\n"
        "from data_tools.io.engine_free import load_module\n"
        "load_module('keras_cmg.extras')\n"
        "load_module('keras_cmg.engine_settings').filter_import('noisy')\n"
        "assert importlib.util.find_spec('noisy')\n"
        "import noisy\n"
        "sys.stderr.write(f'{noisy.value}\\n')\n"
    )
    path = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[2])])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    expected = "E0000 00:00:1795762827.483385   13967 driver.cc:1] no device\n3\n"
    assert (done.returncode, done.stderr) == (0, expected)


SCRIPT = """
import jax, keras_cmg
from keras_cmg.backend import engine
engine.current()
print(jax.config.jax_compilation_cache_dir)
print(jax.config.jax_persistent_cache_min_compile_time_secs)
"""


@pytest.mark.parametrize("chosen", ["", "elsewhere"])
def test_scripts_on_jax_keep_compiled_programs_too(tmp_path: Path, chosen: str) -> None:
    pytest.importorskip("jax")
    left_out = ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS")
    variables = {name: value for name, value in os.environ.items() if name not in left_out}
    variables |= {"KERAS_BACKEND": "jax", "KERAS_CMG_CACHE": str(tmp_path)}
    variables |= {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / chosen)} if chosen else {}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=variables, capture_output=True, text=True, check=True
    )
    folder, seconds = done.stdout.split()
    assert folder == str(tmp_path / (chosen or "jax"))
    assert float(seconds) == (1.0 if chosen else 0)
