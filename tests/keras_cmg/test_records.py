"""Records of other types than they must have are refused, in a line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from keras_cmg.records import read_record, read_record_lines

FORM = {"epochs": int, "scores": [float], "of": {str: {"name": str}}, "best?": (int, None)}
GOOD: dict[str, Any] = {"epochs": 3, "scores": [1, 0.5], "of": {"a": {"name": "x", "more": [1]}}}


def test_a_record_has_the_keys_and_types_of_its_form(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for good in (GOOD, {**GOOD, "best": None, "further": {"a": [True, None, "b", 2.5]}}):
        path.write_text(json.dumps(good))
        assert read_record(path, FORM) == good


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"epochs": True}, "an integer of 64 bits at 'epochs'"),
        ({"epochs": 10**30}, "an integer of 64 bits at 'epochs'. Received: 10000"),
        ({"epochs": 2.0}, "an integer of 64 bits at 'epochs'"),
        ({"epochs": "x" * 9000}, r"Received: 'xxx.* \.\.\. xxx"),
        ({"scores": {"a": 1}}, "a list at 'scores'"),
        ({"scores": [1, "a"]}, r"a finite number at 'scores\[1\]'"),
        ({"scores": [float("nan")]}, r"a finite number at 'scores\[0\]'"),
        ({"scores": [float("inf")]}, r"a finite number at 'scores\[0\]'"),
        ({"of": {"a": {}}}, "the key 'name' at 'of.a'. Received keys"),
        ({"of": {"x" * 9000: {}}}, r"the key 'name' at 'of\.xxx.* \.\.\. xxx"),
        ({"of": {"a": 1}}, "a JSON object at 'of.a'. Received: 1"),
        ({"best": "a"}, "an integer of 64 bits or null at 'best'"),
        ({"further": {"a": [10**30]}}, r"a value of JSON at 'further\.a\[0\]'"),
    ],
)
def test_other_types_are_refused(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({**GOOD, **changed}))
    with pytest.raises(ValueError, match=message) as caught:
        read_record(path, FORM)
    assert "state.json" in str(caught.value) and len(str(caught.value)) < 900


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"7", b"\xff{}", b'{"a":' * 3000, b'{"a":' + b"[" * 80 + b"]" * 80 + b"}"],
)
def test_what_is_no_record_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"state\.json must") as caught:
        read_record(path, {})
    assert len(str(caught.value)) < 900


def test_a_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    path.write_text('{"id": "a"}\n{"id": 1}\n')
    with pytest.raises(ValueError, match=r"failures\.jsonl, line 2, must hold text at 'id'"):
        read_record_lines(path, {"id": str})
