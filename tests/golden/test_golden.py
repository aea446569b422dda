"""Every recorded number of the authors' code, recomputed."""

import keras
import numpy as np
import pytest

from tests.golden.__main__ import main
from tests.golden.comparison import (
    Deviation,
    Tolerance,
    relative_deviation,
    report,
    tolerance_of,
)
from tests.golden.verify import deviations

LEAST = {"fcid": 300, "dcid": 280, "hdcid": 300, "mmema": 390, "toc": 50}


@pytest.mark.every_engine
@pytest.mark.parametrize("name", LEAST)
def test_recorded_numbers_are_met(golden_root, name):
    found = deviations(golden_root / f"{name}.npz")
    assert len(found) >= LEAST[name]
    beyond = [one for one in found if not one.within]
    assert not beyond, "\n".join(report(beyond))


@pytest.mark.every_engine
@pytest.mark.parametrize(("name", "least"), [("micu", 250), ("codaar", 810)])
def test_later_systems_are_met(golden_root, name, least):
    # An eager operation takes long on the other engines, and DCID has the same gradients.
    brief = keras.backend.backend() != "torch"
    found = deviations(golden_root / f"{name}.npz", brief=brief)
    assert len(found) >= (30 if brief else least)
    beyond = [one for one in found if not one.within]
    assert not beyond, "\n".join(report(beyond))


@pytest.mark.every_engine
def test_five_steps_of_training_are_met(golden_root):
    found = deviations(golden_root / "train5.npz")
    beyond = [one for one in found if not one.within]
    assert len(found) > 600
    assert not beyond, "\n".join(report(beyond))


@pytest.mark.every_engine
@pytest.mark.parametrize("name", ["fcid", "dcid", "hdcid", "mmema", "train5", "micu", "codaar"])
def test_double_precision_meets_them_to_nine_digits(golden_root, name):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("Keras operations round to float32 on this engine")
    keras.config.set_floatx("float64")
    try:
        found = deviations(golden_root / f"{name}.npz")
    finally:
        keras.config.set_floatx("float32")
    beyond = [one for one in found if not one.within]
    assert not beyond, "\n".join(report(beyond))


def test_verify_fails_on_one_wrong_number(golden_root, tmp_path, capsys):
    numbers = dict(np.load(golden_root / "toc.npz"))
    np.savez(tmp_path / "right.npz", **numbers)
    numbers["fcid/paper/U"] = numbers["fcid/paper/U"] * 1.001
    np.savez(tmp_path / "wrong.npz", **numbers)
    assert main([str(tmp_path / "right.npz")]) == 0
    capsys.readouterr()
    assert main([str(tmp_path / "wrong.npz")]) == 1
    assert "fcid/paper/U: 1.0e-03" in capsys.readouterr().out


def test_verify_refuses_files_of_another_kind(tmp_path, capsys):
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    assert main([str(tmp_path / "other.npz")]) == 1
    assert "other.npz must hold" in capsys.readouterr().err
    whole = (tmp_path / "other.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    assert main([str(tmp_path / "cut.npz")]) == 1
    assert "cut.npz must be an .npz file" in capsys.readouterr().err


def test_verify_refuses_results_it_does_not_recompute(tmp_path):
    np.savez(tmp_path / "toc.npz", **{"a/codebook": np.eye(2), "a/paper/Z": np.zeros(2)})
    with pytest.raises(ValueError, match="1 results are not of this format"):
        deviations(tmp_path / "toc.npz")


def test_deviation_is_relative_and_sees_what_is_not_a_number():
    assert relative_deviation(np.array([1.0, 2.0]), np.array([1.0, 4.0])) == 0.5
    assert relative_deviation(np.array([1e-3]), np.array([0.0]), scale=1.0) == 1e-3
    assert relative_deviation(np.ones(2), np.ones(3)) == np.inf
    assert not Deviation("a", relative_deviation(np.array([np.nan]), np.ones(1)), 1.0).within


def test_first_matching_tolerance_counts():
    table = [Tolerance("loss", 1.0, 0.5), Tolerance("", 0.1, 0.05)]
    assert tolerance_of("loss/a", np.ones(1), table, double=False) == (1.0, 0.0)
    assert tolerance_of("out/a", np.ones(1), table, double=True) == (0.05, 0.0)
    with pytest.raises(ValueError, match="No tolerance"):
        tolerance_of("out/a", np.ones(1), table[:1], double=True)
