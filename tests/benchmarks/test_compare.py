import copy
import json

import pytest

from benchmarks import __main__ as command_line
from benchmarks import compare


def results(seconds, **changes):
    machine = {**dict.fromkeys(compare.SAME, 1), "commit": "a", **changes.pop("machine", {})}
    row = {
        "benchmark": "toc",
        "arguments": {"codes": 5},
        "runs": [{"codes": 5, "seconds": value} for value in seconds],
        "problem": None,
    }
    return {"format": 1, "quick": False, "machine": machine, "rows": {"toc": row}, **changes}


def test_ratios_are_of_medians_and_only_ranges_apart_are_outside_of_noise():
    old = results([1.0, 1.2, 1.1, 9.0])
    (slower,) = compare.compare(old, results([20.0, 22.0, 21.0, 24.0]))
    assert slower["measure"] == "seconds"
    assert slower["ratio"] == pytest.approx(21.5 / 1.15)
    assert slower["noise"] == pytest.approx(8.0 / 1.15)
    assert slower["outside"] is True
    (alike,) = compare.compare(old, results([8.0, 10.0, 12.0, 14.0]))
    assert alike["outside"] is False


def test_too_few_runs_show_nothing():
    (found,) = compare.compare(results([1.0, 1.0, 1.0]), results([5.0, 5.0, 5.0]))
    assert found["outside"] is None
    assert found["chance"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"machine": {"processor": "another"}}, "processor is 1 and another"),
        ({"machine": {"engine": "jax"}}, "engine is 1 and jax"),
        ({"quick": True}, "quick is False and True"),
    ],
)
def test_other_machines_and_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=f"one machine, engine and settings; {message}"):
        compare.compare(results([1.0]), results([1.0], **change))


def test_other_arguments_of_a_row_are_refused():
    other = copy.deepcopy(results([1.0]))
    other["rows"]["toc"]["arguments"] = {"codes": 6}
    with pytest.raises(ValueError, match=r"`arguments` of 'toc' is {'codes': 5} and {'codes': 6}"):
        compare.compare(results([1.0]), other)


def test_the_command_prints_the_table_and_refuses_other_files(tmp_path, capsys):
    a, b, other = (tmp_path / name for name in ("a.json", "b.json", "other.json"))
    a.write_text(json.dumps(results([1.0, 1.1, 1.2, 1.3])))
    b.write_text(json.dumps(results([2.0, 2.1, 2.2, 2.3], machine={"commit": "b"})))
    assert command_line.main(["compare", str(a), str(b)]) == 0
    printed = capsys.readouterr().out
    assert "toc  seconds   1.15    2.15  1.870   26 %  *" in printed
    assert "commit: a, then b" in printed
    other.write_text(json.dumps({"benchmark": "toc", "results": {}}))
    assert command_line.main(["compare", str(a), str(other)]) != 0
    assert "must be a file of `python -m benchmarks all`" in capsys.readouterr().err
