"""Requests are joined into batches, and each gets its own result or error."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from recipes.serving.batching import Batcher


def test_requests_of_one_key_are_one_batch() -> None:
    batches: list[tuple[Any, list[Any]]] = []
    sizes: list[int] = []
    entered, release = threading.Event(), threading.Event()

    def function(key: Any, items: list[Any]) -> list[Any]:
        batches.append((key, items))
        if key == "first":
            entered.set()
            assert release.wait(60)
        return [item + 1 for item in items]

    found: dict[int, list[Any]] = {}
    with Batcher(function, max_batch=4, max_wait=0.2, on_batch=sizes.append) as batcher:
        threads = [threading.Thread(target=batcher, args=("first", [0]))]
        threads[0].start()
        assert entered.wait(60)
        # All of these wait while the first batch is computed.
        for number in range(4):
            key = "a" if number < 3 else "b"

            def ask(number: int = number, key: str = key) -> None:
                found[number] = batcher(key, [10 * number])

            threads.append(threading.Thread(target=ask))
            threads[-1].start()
        release.set()
        for thread in threads:
            thread.join(60)
    assert found == {0: [1], 1: [11], 2: [21], 3: [31]}
    assert sum(sizes) == 5
    joined = {key: sorted(items) for key, items in batches[1:]}
    assert joined == {"a": [0, 10, 20], "b": [30]}


def test_no_batch_is_larger_than_the_limit() -> None:
    sizes: list[int] = []
    with Batcher(lambda key, items: items, max_batch=2, on_batch=sizes.append) as batcher:
        assert batcher("a", list(range(5))) == list(range(5))
    assert max(sizes) <= 2 and sum(sizes) == 5


def test_an_error_is_that_of_its_batch_alone() -> None:
    def function(key: Any, items: list[Any]) -> list[Any]:
        if key == "bad":
            raise ValueError("no such item")
        return items

    with Batcher(function) as batcher:
        with pytest.raises(ValueError, match="no such item"):
            batcher("bad", [1])
        assert batcher("good", [1]) == [1]


def test_a_result_that_takes_too_long_is_not_waited_for() -> None:
    release = threading.Event()
    with Batcher(lambda key, items: [release.wait(60)]) as batcher:
        with pytest.raises(TimeoutError):
            batcher("a", [1], timeout=0.05)
        release.set()
