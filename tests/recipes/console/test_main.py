"""The console command: what it prints, its exit codes, and its one JSON object."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

import keras_cmg
from data_tools.io.files import extras
from recipes.console import main as console
from recipes.console import serve
from recipes.console.main import COMMANDS, main
from tests.conftest import REPOSITORY


def fake(run: Any, **more: Any) -> types.SimpleNamespace:
    """A subcommand with the option `--count`."""

    def add_arguments(parser: Any) -> None:
        parser.add_argument("--count", type=int, default=1, help="how many")

    return types.SimpleNamespace(__doc__="Does it.", add_arguments=add_arguments, run=run, **more)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replaces every subcommand by one that runs a given function."""

    def replace(run: Any, **more: Any) -> None:
        monkeypatch.setattr(console, "load", lambda name: fake(run, **more))

    return replace


def raising(error: BaseException) -> Any:
    def run(arguments: Any) -> int:
        raise error

    return run


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_in_one_style(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([name, "--help"])
    assert stopped.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: keras-cmg {name} ")
    assert {"--debug", "--json", "--help"} <= set(shown.replace(",", " ").split())
    assert "exit codes: 0 success; 1 failure; 2 wrong arguments or input; 130 interrupted" in shown
    assert "python -m" not in shown
    # A sentence says what the command does.
    description = shown.split("\n\n")[1]
    assert description[0].isupper() and description.rstrip().endswith((".", ":"))


def test_help_lists_every_command_and_imports_no_engine() -> None:
    code = (
        "import sys\n"
        "from recipes.console.main import main\n"
        "try:\n"
        "    main(['--help'])\n"
        "except SystemExit as stopped:\n"
        "    loaded = {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "    sys.exit(f'imported: {loaded}' if loaded else stopped.code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_without_optional_packages_commands_name_what_they_lack() -> None:
    """As after `pip install .`, with Keras and NumPy alone."""
    lacking = {
        "demo": "an engine must be installed, one of jax, tensorflow, torch; ",
        "verify features": "[data]'` installs it",
        "extract --input . --out store": "[data]'` installs it",
        "report runs/demo": "an engine must be installed",
        "recipe list": "",
    }
    code = (
        "import sys\n"
        "from data_tools.io.files import extras\n"
        "blocked = set(extras.EXTRAS) - {'h5py'}\n"
        "assert not blocked & set(sys.modules), blocked & set(sys.modules)\n"
        "sys.modules.update(dict.fromkeys(blocked))\n"
        "from recipes.console.main import main\n"
        f"for words in {list(lacking)!r}:\n"
        "    sys.stderr.write(f'{words}: {main(words.split())}\\n')\n"
    )
    names = ("KERAS_BACKEND", "KERAS_HOME")
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if name not in names},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told = iter(done.stderr.splitlines())
    for words, text in lacking.items():
        if text:
            assert text in next(told)
        assert next(told) == f"{words}: {int(bool(text))}"


def test_the_page_names_all_that_it_lacks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serve, "is_installed", lambda package: package != "gradio")
    monkeypatch.setattr(extras, "is_installed", lambda package: package != "gradio")
    assert main(["serve", "--ui", "--run", "nowhere"]) == 1
    assert "The page needs the package 'gradio'" in (error := capsys.readouterr().err)
    assert "[ui]" in error


@pytest.mark.parametrize("command", ["search --query dog", "index --clips . --out index", "serve"])
def test_a_run_that_does_not_exist_is_named_with_the_command_that_makes_one(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--run", "nowhere"]) == 2
    error = capsys.readouterr().err
    assert "There is no nowhere; `keras-cmg train --clips FOLDER --out nowhere` makes one" in error


def test_a_port_out_of_range_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--port", "99999"]) == 2
    assert "--port must be from 0 to 65535. Received: 99999" in capsys.readouterr().err


def test_an_input_of_extraction_that_does_not_exist_is_named_by_its_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["extract", "--input", "no-such-folder", "--out", str(tmp_path / "store")]
    assert main(words) == 2
    assert "--input must be a folder of clips" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "nearest"),
    [
        (["dmeo"], "demo"),
        (["serch"], "search"),
        (["verify", "features", "--quik"], "--quick"),
        (["demo", "--epoch", "3"], "--epochs"),
        (["demo", "--data", "digit"], "digits"),
        (["recipe", "tabel1"], "table1"),
        (["recipe", "tune", "--trails", "3"], "--trials"),
    ],
    ids=str,
)
def test_a_misspelt_word_is_answered_by_the_nearest(
    words: list[str], nearest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert f"did you mean {nearest}?" in capsys.readouterr().err
    assert main([*words, "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["exit_code"] == 2 and f"did you mean {nearest}?" in answer["error"]


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ValueError("--count must be 1"), 2, "error: --count must be 1"),
        (FileNotFoundError("no such clip"), 2, "error: no such clip"),
        (OSError(28, "No space left on device"), 1, "error: [Errno 28] No space left on device"),
        (KeyError("a"), 1, "error: KeyError: 'a' (--debug shows where)"),
        (KeyboardInterrupt(), 130, "half of it is kept"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_errors_are_a_line_and_a_code(
    error: BaseException,
    code: int,
    line: str,
    command: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command(raising(error), INTERRUPTED="half of it is kept")
    assert main(["demo"]) == code
    assert capsys.readouterr() == ("", f"{line}\n")
    for words in (["demo", "--debug"], ["--debug", "demo"]):
        assert main(words) == code
        shown = capsys.readouterr().err
        assert shown.endswith(f"{line}\n")
        assert ("Traceback" in shown) == (code != 130)


def test_json_is_one_object_and_all_else_goes_to_stderr(
    command: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: Any) -> int:
        sys.stdout.write("working\n")
        subprocess.run([sys.executable, "-c", "print('a worker')"], check=True)
        arguments.result.update(count=arguments.count, out="runs/x")
        return 1

    command(run)
    for words in (["demo", "--json", "--count", "3"], ["--json", "demo", "--count", "3"]):
        assert main(words) == 1
        shown, told = capfd.readouterr()
        assert shown.count("\n") == 1
        assert json.loads(shown) == {
            "exit_code": 1,
            "command": "demo",
            "count": 3,
            "out": "runs/x",
        }
        assert "working" in told and "a worker" in told
    assert main(["demo"]) == 1
    assert sorted(capfd.readouterr().out.split("\n")) == ["", "a worker", "working"]


def test_the_error_is_part_of_the_json(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    command(raising(ValueError("--count must be 1")))
    assert main(["demo", "--json"]) == 2
    shown = capsys.readouterr()
    expected = {"exit_code": 2, "command": "demo", "error": "--count must be 1"}
    assert json.loads(shown.out) == expected
    assert shown.err == "error: --count must be 1\n"


def test_words_that_no_option_takes_are_refused_or_passed_on(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: Any) -> int:
        arguments.result["rest"] = arguments.rest
        return 0

    command(run)
    with pytest.raises(SystemExit):
        main(["extract", "--region", "x"])
    assert "unrecognized arguments: --region x" in capsys.readouterr().err
    command(run, KEEPS_UNKNOWN=True)
    assert main(["extract", "--region", "x", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rest"] == ["--region", "x"]


def test_a_wrong_engine_is_named_before_keras_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "pytorch")
    assert main(["verify", "features"]) == 2
    error = capsys.readouterr().err
    assert "KERAS_BACKEND must be one of jax, tensorflow, torch" in error
    assert "did you mean torch?" in error


def test_damage_is_a_failure_and_a_missing_folder_wrong_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "features")
    sizes = ["--train", "6", "--val", "2", "--test", "2", "--video-channels", "8"]
    assert main(["prepare", "synthetic", "--out", out, *sizes, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["out"] == out
    assert main(["verify", out, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["whole"] is True
    Path(out, "captions.txt").write_text("changed")
    assert main(["verify", out, "--json"]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["whole"] is False and "captions.txt" in answer["error"]
    assert main(["verify", str(tmp_path / "nowhere")]) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["prepare", "synthetic", "--out"],
        ["extract", "--input", ".", "--out"],
        ["pack", ".", "--out"],
        ["demo", "--smoke", "--out"],
        ["export", "runs/none", "--to"],
    ],
    ids=lambda words: words[0],
)
def test_what_cannot_be_written_is_told_first(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    out = tmp_path / "file" / "new"
    assert main([*words, str(out)]) == 2
    assert f"error: cannot write {words[-1]} {out}: Not a directory" in capsys.readouterr().err


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "\ncommands:\n  demo " in capsys.readouterr().err
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"keras-cmg {keras_cmg.__version__}\n"


def test_json_has_null_for_what_is_no_number(
    command: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: Any) -> int:
        arguments.result.update(loss=[float("nan"), float("inf"), 1.5], out=Path("runs"))
        return 0

    command(run)
    assert main(["demo", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert answer["loss"] == [None, None, 1.5] and answer["out"] == "runs"


def test_lists_of_recipes_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recipe", "list", "--json"]) == 0
    assert "table1" in json.loads(capsys.readouterr().out)["recipes"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--media", "nowhere"], 2, "--media must be a folder. There is no nowhere"),
        (["--seconds", "nan"], 2, "--seconds must be above 0. Received: nan"),
        (["--max-bytes", "0"], 2, "--max-bytes must be above 0. Received: 0"),
        (["--host", "192.0.2.1", "--port", "0"], 2, "--host must be an address of this machine"),
    ],
    ids=str,
)
def test_wrong_options_of_the_service_are_named(
    words: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("prometheus_client")
    pytest.importorskip("uvicorn")
    assert main(["serve", "--run", "nowhere", *words]) == code
    assert f"error: {message}" in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("fastapi")
    pytest.importorskip("prometheus_client")
    pytest.importorskip("uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--run", "nowhere", "--port", port]) == 1
    error = capsys.readouterr().err
    assert "in use" in error and f"--port {port}" in error


def test_help_gives_the_defaults_of_each_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["demo", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "(default: 3000 500 1000; synthetic: 1500 300 500)" in shown
    assert "(default: 10; synthetic: 8)" in shown


def test_what_is_missing_is_named_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for words, name in (["--debug"], "COMMAND"), (["recipe"], "RECIPE"):
        with pytest.raises(SystemExit):
            main(words)
        assert capsys.readouterr().err.endswith(f"are required: {name}\n")
