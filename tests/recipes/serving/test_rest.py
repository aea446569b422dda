"""The REST service answers searches, and malformed requests by 4xx with a reason."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from recipes.serving.clip_search import ClipSearch
from tests.recipes.serving.conftest import picture, tone

pytest.importorskip("multipart")
testclient = pytest.importorskip("starlette.testclient")


@pytest.fixture
def client(search: ClipSearch) -> Iterator[Any]:
    from recipes.serving.rest import create_app

    with testclient.TestClient(create_app(search), raise_server_exceptions=False) as client:
        yield client


def upload(path: Path, name: str = "") -> Any:
    return ("file", (name or path.name, path.read_bytes()))


def test_a_sound_finds_the_clips_of_every_modality(client: Any, tmp_path: Path) -> None:
    answer = client.post(
        "/v1/search", files=[upload(tone(tmp_path / "bark.wav", 0))], data={"k": "4"}
    )
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["queries"]
    assert found["query"] == "bark.wav" and found["modality"] == "audio"
    assert {name: len(hits) for name, hits in found["found"].items()} == {
        "audio": 4,
        "video": 4,
        "text": 4,
    }
    scores = [hit["score"] for hit in found["found"]["audio"]]
    assert scores == sorted(scores, reverse=True)
    assert {hit["label"] for hit in found["found"]["audio"]} == {"dog"}
    assert found["labels"]["audio"] == {"label": "dog", "share": 1.0}
    assert 0 <= found["code"]["margin"] <= 1
    for hits in found["found"].values():
        for hit in hits:
            same = hit["codes"] == found["codes"]
            assert hit["shared_codes"] == (found["codes"] if same else [])
    media = client.get(found["found"]["video"][0]["media"])
    assert media.status_code == 200 and media.headers["content-type"] == "image/png"
    part = client.get(found["found"]["audio"][0]["media"], headers={"Range": "bytes=0-9"})
    assert part.status_code == 206 and len(part.content) == 10


def test_files_and_words_of_one_request(client: Any, tmp_path: Path) -> None:
    answer = client.post(
        "/v1/search",
        files=[upload(picture(tmp_path / "a.png", 1))],
        data={"text": "the sea", "find": ["audio", "text"], "k": "1"},
    )
    first, second = answer.json()["queries"]
    assert (first["modality"], second["modality"]) == ("video", "text")
    assert list(first["found"]) == ["audio", "text"]
    assert second["query"] == "the sea"


def test_codes_and_index_agree(client: Any) -> None:
    index = client.get("/v1/index").json()
    assert index["clips"] == {"audio": 18, "video": 18, "text": 18}
    codes = [client.get(f"/v1/codes/{code}").json() for code in range(index["num_codes"])]
    for modality in index["clips"]:
        assert sum(code["clips"][modality] for code in codes) == 18
    kinds = [code["kind"] for code in codes]
    assert {kind: kinds.count(kind) for kind in index["codes"]} == index["codes"]
    used = next(code for code in codes if code["clips"]["audio"])
    assert len(used["examples"]["audio"]) == min(12, used["clips"]["audio"])


MALFORMED: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({"data": {"k": "3"}}, 422, "must have a file or a text"),
    "no form": ({"json": {"text": "a dog"}}, 415, "must be a form"),
    "damaged form": (
        {
            "content": b"--x\r\nno header",
            "headers": {"Content-Type": "multipart/form-data; boundary=x"},
        },
        400,
        "",
    ),
    "no boundary": (
        {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}},
        400,
        "boundary",
    ),
    "unknown kind": ({"files": [("file", ("a.pdf", b"%PDF"))]}, 415, "a.pdf must end with"),
    "damaged file": ({"files": [("file", ("a.wav", b"RIFF"))]}, 422, "a.wav: cannot be decoded"),
    "path as name": (
        {"files": [("file", ("../../etc/a.wav", b"RIFF"))]},
        422,
        "a.wav: cannot be decoded",
    ),
    "file without name": ({"files": [("file", ("", b"RIFF"))]}, 422, "file with a name"),
    "a file as words": ({"files": [("text", ("a.txt", b"a dog"))]}, 422, "must be words"),
    "words as file": ({"data": {"file": "a dog"}}, 422, "file must be a file"),
    "empty words": ({"data": {"text": "  "}}, 422, "text must have words"),
    "long words": ({"data": {"text": "dog " * 100}}, 422, "at most 100 characters"),
    "k of zero": ({"data": {"text": "dog", "k": "0"}}, 422, "k must be from 1 to 10"),
    "k above the limit": ({"data": {"text": "dog", "k": "11"}}, 422, "k must be from 1 to 10"),
    "k in words": ({"data": {"text": "dog", "k": "ten"}}, 422, "k must be a whole number"),
    "k of many digits": ({"data": {"text": "dog", "k": "9" * 99}}, 422, "a whole number"),
    "k twice": ({"data": {"text": "dog", "k": ["1", "2"]}}, 422, "k must be given once"),
    "unknown modality": ({"data": {"text": "dog", "find": "smell"}}, 422, "find must be among"),
    "unknown field": ({"data": {"text": "dog", "num": "3"}}, 422, "fields must be among"),
    "a picture as sound": (
        {"files": [("file", ("a.png", b"x"))], "data": {"modality": "audio"}},
        422,
        "cannot be searched as 'audio'",
    ),
    "many files": ({"files": [("file", (f"{n}.wav", b"x")) for n in range(3)]}, 400, "Too many"),
    "many texts": ({"data": {"text": ["dog", "cat", "sea"]}}, 422, "at most 2 files and texts"),
    "large body": ({"files": [("file", ("a.wav", bytes(2**18)))]}, 413, "at most 262144 bytes"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_requests_get_a_reason_and_the_next_is_answered(client: Any, case: str) -> None:
    request, status, reason = MALFORMED[case]
    answer = client.post("/v1/search", **request)
    assert answer.status_code == status, answer.text
    assert reason in answer.json()["detail"]
    assert len(answer.text) < 600
    assert client.post("/v1/search", data={"text": "a dog"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/codes/8", 404),
        ("/v1/codes/-1", 404),
        ("/v1/codes/x", 422),
        ("/v1/media/audio/99", 404),
        ("/v1/media/smell/0", 404),
        ("/v1/media/text/0", 404),
        ("/v1/media/audio/..%2f..%2fetc%2fpasswd", 404),
        ("/v1/search", 405),
        ("/no-such-page", 404),
    ],
)
def test_wrong_addresses_get_a_reason(client: Any, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.json()["detail"]


def chunks() -> Iterator[bytes]:
    for _ in range(64):
        yield bytes(2**13)


def test_a_body_of_unknown_length_is_bounded(client: Any) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/v1/search", content=chunks(), headers=headers)
    assert answer.status_code == 413
    assert client.get("/health").status_code == 200


def test_more_requests_than_may_wait_get_429(search: ClipSearch, client: Any) -> None:
    entered, release = threading.Semaphore(0), threading.Event()

    def slow(modality: str, files: Any, texts: Any) -> list[Any]:
        entered.release()
        release.wait(60)
        return [np.ones((4, 16), "float32")]

    search.extract = slow
    answers: list[Any] = []

    def ask() -> None:
        answers.append(client.post("/v1/search", data={"text": "a dog"}))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=60)
    refused = client.post("/v1/search", data={"text": "a dog"})
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert client.get("/ready").status_code == 503
    assert client.get("/health").status_code == 200
    assert "keras_cmg_requests_waiting 4.0" in client.get("/metrics").text
    release.set()
    for thread in threads:
        thread.join(60)
    assert [answer.status_code for answer in answers] == [200] * 4


def test_a_fault_of_the_server_is_500_without_details(search: ClipSearch, client: Any) -> None:
    def broken(modality: str, files: Any, texts: Any) -> list[Any]:
        raise OSError(28, "No space left on device", "/secret/path")

    search.extract = broken
    answer = client.post("/v1/search", data={"text": "a dog"})
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_health_readiness_and_metrics(search: ClipSearch, client: Any) -> None:
    assert client.get("/health").json() == {"status": "ok"}
    search.warm_up()
    assert client.get("/ready").status_code == 200
    client.post("/v1/search", data={"text": "a dog"})
    client.post("/v1/search", data={"text": ""})
    client.get("/made-up")
    text = client.get("/metrics").text
    for line in (
        'keras_cmg_requests_total{route="/v1/search",status="200"} 1.0',
        'keras_cmg_requests_total{route="/v1/search",status="422"} 1.0',
        'keras_cmg_requests_total{route="other",status="404"} 1.0',
        'keras_cmg_indexed_clips{modality="audio"} 18.0',
        'keras_cmg_stage_seconds_count{stage="index"} 1.0',
    ):
        assert line in text
    assert "made-up" not in text
