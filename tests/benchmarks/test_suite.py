import json

import pytest

from benchmarks import __main__ as command_line
from benchmarks import suite


def test_rows_run_by_themselves_and_faults_do_not_stop_them(tmp_path, monkeypatch, capsys):
    small = {"codes": 100, "channels": 8}
    rows = {
        "broken": suite.Row("toc", {}, {"codes": "many"}),
        "toc": suite.Row("toc", {}, small),
        "absent": suite.Row("toc", {}, small, ("no_such_package",)),
        "long": suite.Row("toc", small),
    }
    monkeypatch.setattr(suite, "ROWS", rows)
    out = tmp_path / "all.json"
    assert command_line.main(["all", "--quick", "--repeats", "1", "--out", str(out)]) == 1
    found = json.loads(out.read_text())
    assert list(found["rows"]) == ["broken", "toc", "absent"]
    assert "many" in found["rows"]["broken"]["problem"]
    assert found["rows"]["absent"]["problem"] == "needs the packages ['no_such_package']"
    (run,) = found["rows"]["toc"]["runs"]
    assert run["streamed_over_read"] > 0 and found["rows"]["toc"]["problem"] is None
    assert found["machine"]["cores"] >= 1 and found["machine"]["engine"] == "torch"
    printed = capsys.readouterr().out
    assert "streamed_over_read" in printed and "absent: needs the packages" in printed


def test_a_run_that_takes_too_long_is_ended():
    with pytest.raises(RuntimeError, match=r"took longer than 0.01 s"):
        suite._output(["sleep", "5"], timeout=0.01)


def test_every_row_names_options_that_its_benchmark_has():
    for row in suite.ROWS.values():
        for arguments in (row.arguments, row.quick or {}):
            words = [str(w) for key, value in arguments.items() for w in (f"--{key}", value)]
            command_line.parser().parse_args([row.benchmark, *words])
    assert {row.benchmark for row in suite.ROWS.values()} == set(command_line.BENCHMARKS)


@pytest.mark.parametrize("arguments", [{"names": ["speed"]}, {"repeats": 0}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=r"`names` must be rows|`repeats` must be at least 1"):
        suite.run_all(**arguments)


@pytest.mark.slow
def test_every_quick_row_runs_on_this_machine():
    found = suite.run_all(quick=True, repeats=1)
    problems = {name: row["problem"] for name, row in found["rows"].items()}
    assert not {n: p for n, p in problems.items() if p and not p.startswith("needs the packages")}
