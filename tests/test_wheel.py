"""The wheel: what it holds, under which names, and that its commands run outside the checkout."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path
from typing import Any

import pytest

import keras_cmg
from tests.helpers import media

pytest.importorskip("hatchling")
NAMES = {
    "keras_cmg": "keras_cmg",
    "data_tools": "keras_cmg_data_tools",
    "recipes": "keras_cmg_recipes",
}
MODULE = re.compile(r"(keras_cmg_)?(data_tools|recipes)\.[\w.]*(:\w+)?")
METADATA = f"keras_cmg-{keras_cmg.__version__}.dist-info/"
# The names of the checkout cannot be imported, and the checkout is not on the path.
RUN = """
import sys
from pathlib import Path

sys.modules.update(dict.fromkeys({names!r}))
sys.path[:] = [place for place in sys.path if not Path(place, "pyproject.toml").is_file()]
import keras_cmg_command

assert Path(keras_cmg_command.__file__).parent == Path({wheel!r})
for words in {commands!r}:
    code = keras_cmg_command.main(words)
    assert code == 0, (words, code)
"""


@pytest.fixture(scope="module")
def wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without an index."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
        cwd=repository,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def unpacked(wheel: Path) -> Path:
    """The folder that an installation would add to the path."""
    folder = wheel.with_name("unpacked")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(unpacked: Path, folder: Path, *commands: list[str]) -> subprocess.CompletedProcess[str]:
    """Runs commands of the wheel, one after another, in a folder outside the checkout."""
    names = [name for name in NAMES if name != NAMES[name]]
    code = RUN.format(names=names, wheel=str(unpacked), commands=commands)
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(unpacked), "KERAS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return done


def test_the_wheel_holds_the_three_packages_and_nothing_else(repository: Path, wheel: Path) -> None:
    assert wheel.name == f"keras_cmg-{keras_cmg.__version__}-py3-none-any.whl"
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"{name}/{path.relative_to(repository / folder).as_posix()}"
        for folder, name in NAMES.items()
        for path in (repository / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    found = {name for name in packed if not name.startswith(METADATA)}
    assert found == {*expected, "keras_cmg_command.py"}
    assert METADATA + "licenses/LICENSE" in packed


def test_no_module_of_the_wheel_names_a_package_of_the_checkout(unpacked: Path) -> None:
    """Imports and names of modules in strings; each module that is named exists."""
    strays, named = [], set()
    for path in sorted(unpacked.rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            modules = []
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            elif isinstance(node, ast.Constant) and MODULE.fullmatch(str(node.value)):
                modules = [node.value]
                named.add(node.value.partition(":")[0])
            strays += [
                f"{path.name}:{getattr(node, 'lineno', 0)}: {module}"
                for module in modules
                if module.partition(".")[0] in ("data_tools", "recipes", "benchmarks", "tests")
            ]
    assert strays == []
    assert "keras_cmg_data_tools.extraction.audio" in named
    for module in named:
        place = unpacked.joinpath(*module.split("."))
        assert place.with_suffix(".py").is_file() or place.is_dir(), module


def test_lines_stay_where_they_are(repository: Path, unpacked: Path) -> None:
    for folder, name in NAMES.items():
        for path in sorted((repository / folder).rglob("*.py")):
            packed = unpacked / name / path.relative_to(repository / folder)
            count = len(path.read_text("utf-8").splitlines())
            assert len(packed.read_text("utf-8").splitlines()) == count, path


def test_commands_without_an_engine_run_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    media.write_clips(tmp_path / "clips", 3)
    sizes = ["--train", "6", "--val", "2", "--test", "2", "--video-channels", "8"]
    extract = ["extract", "--input", "clips", "--out", "store", "--segments", "2"]
    done = run(
        unpacked,
        tmp_path,
        ["prepare", "synthetic", "--out", "features", *sizes],
        ["verify", "features"],
        ["pack", "features", "--out", "packed"],
        # Extractors are found by name, in a worker process.
        extract,
        ["recipe", "list"],
    )
    assert "features is whole" in done.stdout
    assert "3 clips are in store" in done.stdout
    assert done.stderr.count("error") == 0


@pytest.mark.slow
def test_an_experiment_runs_from_the_wheel(unpacked: Path, tmp_path: Path) -> None:
    done = run(
        unpacked,
        tmp_path,
        ["demo", "--smoke"],
        ["report", "runs/demo"],
        # Trials run in processes of their own.
        ["tune", "--smoke", "--workers", "2"],
    )
    assert "runs/demo/report.html" in done.stdout and "runs/tune/report.html" in done.stdout
    result = json.loads((tmp_path / "runs/demo/result.json").read_text("utf-8"))
    assert result["command"] == "KERAS_BACKEND=torch keras-cmg demo --smoke"


@pytest.fixture(scope="module")
def hook(repository: Path) -> Any:
    spec = importlib.util.spec_from_file_location("hatch_build", repository / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_renamed(hook: Any) -> None:
    source = '''\
        """See `data_tools.store`; recipes."""
        from data_tools.io.files import (
            read_json,
        )
        import data_tools, os; import recipes.runner as runner
        from . import recipes
        from keras_cmg.data_tools import recipes
        NAME = "data_tools.store.rows:Rows"; OTHER = "recipes", "data_tools.npz is", 'é'
        é = "é", "recipes.training.a"  # recipes.training.a
        data_tools.load("recipes/configs")
        '''
    expected = '''\
        """See `data_tools.store`; recipes."""
        from keras_cmg_data_tools.io.files import (
            read_json,
        )
        import keras_cmg_data_tools as data_tools, os; import keras_cmg_recipes.runner as runner
        from . import recipes
        from keras_cmg.data_tools import recipes
        NAME = "keras_cmg_data_tools.store.rows:Rows"; OTHER = "recipes", "data_tools.npz is", 'é'
        é = "é", "keras_cmg_recipes.training.a"  # recipes.training.a
        data_tools.load("recipes/configs")
        '''
    assert hook.renamed(textwrap.dedent(source)) == textwrap.dedent(expected)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import data_tools.store\n", "Import a part of data_tools by `from`"),
        ('f"recipes.experiments.{name}"\n', "must be a plain string: 'recipes.experiments.'"),
    ],
)
def test_what_cannot_be_renamed_stops_the_build(hook: Any, source: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        hook.renamed(source)


def test_an_editable_installation_runs_the_folders_of_the_checkout(
    hook: Any, repository: Path
) -> None:
    built: dict[str, Any] = {"force_include_editable": {}, "force_include": {}}
    made = hook.PackagesHook(str(repository), {}, None, None, "", "wheel")
    made.initialize("editable", built)
    ((path, name),) = built["force_include_editable"].items()
    assert name == "keras_cmg_command.py" and built["force_include"] == {}
    assert "from recipes.console.main import main" in Path(path).read_text("utf-8")
    made.finalize("editable", built, "")
    assert not Path(path).exists()
