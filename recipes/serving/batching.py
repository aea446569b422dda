"""Joins the requests of a few milliseconds into batches, which one thread computes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from typing import Any


class Batcher:
    """Calls a function on batches of what several threads submit one by one.

    The function runs in one thread: engines need not be thread-safe, and requests do not compete
    for the processor's cores.

    Args:
        function: function of a key and a list of items, which returns a result for each item.
        max_batch: int, most items of a batch.
        max_wait: float, seconds for which the first item of a batch waits for others.
        on_batch: optional function of the size of each batch.

    Example:

    >>> with Batcher(lambda key, items: [item * key for item in items]) as batcher:
    ...     batcher(3, [1, 2])
    [3, 6]
    """

    def __init__(
        self,
        function: Callable[[Any, list[Any]], Sequence[Any]],
        max_batch: int = 32,
        max_wait: float = 0.005,
        on_batch: Callable[[int], None] | None = None,
    ) -> None:
        self.function = function
        self.max_batch = max_batch
        self.max_wait = max_wait
        self.on_batch = on_batch
        self._queue: queue.Queue[tuple[Hashable, Any, Future[Any]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
        self._thread.start()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __call__(self, key: Hashable, items: Sequence[Any], timeout: float | None = None) -> list:
        """Computes the results of items; any thread may call it.

        Args:
            key: items of equal keys can be in one batch.
            items: the items.
            timeout: seconds to wait for the results.

        Returns:
            A result for each item.

        Raises:
            TimeoutError: if it takes longer.
        """
        futures: list[Future[Any]] = [Future() for _ in items]
        for item, future in zip(items, futures, strict=True):
            self._queue.put((key, item, future))
        return [future.result(timeout) for future in futures]

    def close(self) -> None:
        """Ends the thread after the items submitted so far."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        running = True
        while running:
            first = self._queue.get()
            if first is None:
                break
            waiting = {first[0]: [first[1:]]}
            deadline = time.monotonic() + self.max_wait
            while max(map(len, waiting.values())) < self.max_batch:
                try:
                    entry = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
                except queue.Empty:
                    break
                if entry is None:
                    running = False
                    break
                waiting.setdefault(entry[0], []).append(entry[1:])
            for key, batch in waiting.items():
                self._compute(key, batch)

    def _compute(self, key: Hashable, batch: list[tuple[Any, Future[Any]]]) -> None:
        if self.on_batch is not None:
            self.on_batch(len(batch))
        try:
            results = self.function(key, [item for item, _ in batch])
            for (_, future), result in zip(batch, results, strict=True):
                future.set_result(result)
        # Raised again in the threads that wait.
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
