"""The server of the guide, as a process of its own, answers over HTTP and survives bad requests."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from keras_cmg.export import ServedSystem
from tests.helpers.served_systems import answers, assert_same, requests
from tests.test_docs import blocks

pytest.importorskip("tensorflow")
pytest.importorskip("litserve")

START_SECONDS = 120


@pytest.fixture(scope="module")
def address(
    fcid_saved_model: Path, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Where the guide's `serve.py` answers for an exported model."""
    folder = tmp_path_factory.mktemp("server")
    (script,) = (
        block.text
        for block in blocks(repository / "docs" / "serving.md", "python")
        if "litserve" in block.text
    )
    (folder / "serve.py").write_text(script, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "log.txt").open("w+")
    server = subprocess.Popen(
        [sys.executable, "serve.py"],
        cwd=folder,
        env={
            **os.environ,
            "MODEL": str(fcid_saved_model),
            "PORT": str(port),
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "CUDA_VISIBLE_DEVICES": "-1",
        },
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        wait_for_health(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1/models/cmg:predict"
        assert server.poll() is None, "the server died"
    finally:
        os.killpg(server.pid, 15)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, 9)
        log.close()


def wait_for_health(server: subprocess.Popen, url: str, log: Any) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if urllib.request.urlopen(url, timeout=2).status == 200:
                return
        except OSError:
            time.sleep(0.2)
    log.seek(0)
    raise AssertionError(f"no healthy server:\n{log.read()}")


def ask(address: str, body: bytes) -> tuple[int, Any]:
    """Status and body of the answer."""
    request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except urllib.error.URLError as error:
        # The server answers and hangs up before a large body is sent.
        assert isinstance(error.reason, ConnectionError)
        return 413, str(error)


def predict(address: str, signature: str, inputs: dict[str, Any]) -> tuple[int, Any]:
    body = {
        "signature_name": signature,
        "inputs": {k: x.tolist() if isinstance(x, np.ndarray) else x for k, x in inputs.items()},
    }
    return ask(address, json.dumps(body).encode())


def test_answers_over_http_are_those_of_the_model(fcid: ServedSystem, address: str) -> None:
    asked = requests(fcid)
    expected = answers(fcid, asked)
    found = {}
    for key, inputs in asked.items():
        status, answer = predict(address, key.partition("/")[0], inputs)
        assert status == 200, answer
        found[key] = {
            name: np.asarray(value, expected[key][name].dtype)
            for name, value in answer["outputs"].items()
        }
    assert_same(found, expected)


def nested(depth: int) -> list:
    """One number in so many lists."""
    value: list = [1.0]
    for _ in range(depth - 1):
        value = [value]
    return value


MALFORMED = {
    "wrong width": ({"audio": np.ones((2, 5, 11))}, "must have 12 along axis 2; it has 11"),
    "wrong rank": ({"audio": np.ones(12)}, "must have 3 axes; it has 1"),
    "ragged": ({"audio": [[[1.0] * 12, [1.0]]]}, "must be rectangular"),
    "NaN": ({"audio": np.full((2, 5, 12), np.nan)}, "must be finite"),
    "a number beyond float32": ({"audio": np.full((1, 3, 12), 1e39)}, "must be finite"),
    "huge numbers": ({"audio": np.full((1, 3, 12), 1e38)}, "must hold smaller numbers"),
    "huge integer": ({"audio": [[[10**400] * 12]]}, "must be finite"),
    "no frame": ({"audio": np.ones((2, 0, 12))}, "1 or more along axis 1; it has 0"),
    "empty batch": ({"audio": []}, "1 or more along axis 0; it has 0"),
    "huge length": ({"audio": np.ones((1, 5000, 12))}, "at most 20 along axis 1"),
    "words": ({"audio": "hello"}, "must have 3 axes; it has 0"),
    "truth values": ({"audio": [[[True] * 12]]}, "must hold numbers alone"),
    "255 lists": ({"audio": nested(255)}, "axis"),
    "900 lists": ({"audio": nested(900)}, "axis"),
    "other input": ({"video": np.ones((2, 5, 12))}, "inputs must be"),
    "empty name": ({"": np.ones((2, 5, 12))}, "inputs must be"),
    "no input": ({}, "inputs must be"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_requests_get_an_error_and_the_server_lives_on(
    fcid: ServedSystem, address: str, case: str
) -> None:
    inputs, message = MALFORMED[case]
    status, answer = predict(address, "encode_audio", inputs)
    assert status == 400, answer
    assert re.search(message, answer), answer
    x = np.ones((1, 3, 12), "float32")
    status, answer = predict(address, "encode_audio", {"audio": x})
    assert status == 200
    expected = keras.ops.convert_to_numpy(fcid.encode("audio", x)["general"])
    np.testing.assert_allclose(answer["outputs"]["general"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"[1, 2]",
        b"null",
        b"\xff\xfe",
        b'{"signature_name": "encode_smell"}',
        b'{"signature_name": "encode_smell", "inputs": {}}',
        b'{"signature_name": ["encode_audio"], "inputs": {}}',
        b'{"signature_name": "encode_audio", "inputs": [1]}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"1" * 5000,
    ],
    ids=lambda body: body[:20].decode("latin-1"),
)
def test_bodies_that_are_no_request_get_an_error(address: str, body: bytes) -> None:
    status, answer = ask(address, body)
    assert 400 <= status < 500, answer
    assert len(str(answer)) < 600
    assert predict(address, "encode_audio", {"audio": np.ones((1, 3, 12))})[0] == 200


def test_a_body_beyond_the_limit_is_refused(address: str) -> None:
    status, _ = ask(address, b"[" + b"0," * 2**23 + b"0]")
    assert status == 413
    assert predict(address, "encode_audio", {"audio": np.ones((1, 3, 12))})[0] == 200
