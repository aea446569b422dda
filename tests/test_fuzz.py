"""A few cases of the fuzzer for every reader that is quick; `make fuzz` runs many of all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.cases import run
from tests.fuzz.targets import SLOW, TARGETS

CASES = 25


@pytest.mark.parametrize("name", sorted(set(TARGETS) - set(SLOW)))
def test_damaged_files_give_documented_errors(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path, CASES, seconds=60) > 0


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(SLOW))
def test_damaged_files_of_slow_readers_give_documented_errors(name: str, tmp_path: Path) -> None:
    assert run(name, tmp_path, CASES, seconds=120) > 0
