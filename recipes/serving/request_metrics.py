"""ASGI middleware that counts and times requests, and sets headers of their answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.datastructures import MutableHeaders

from recipes.serving.body_limit import Message, Receive, Send
from recipes.serving.metrics import Metrics

HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}


class RequestMetrics:
    """Counts requests by route and status, and times them.

    Args:
        app: ASGI application.
        metrics: where they are counted.
    """

    def __init__(self, app: Callable[..., Awaitable[None]], metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Passes a request on.

        Args:
            scope: description of the connection.
            receive: returns the next message of the client.
            send: sends a message to the client.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            # By route, so that made-up paths make no new series.
            route: Any = scope.get("route")
            path = getattr(route, "path", "") or "other"
            self.metrics.requests.labels(path, str(status)).inc()
            self.metrics.request_seconds.labels(path).observe(time.perf_counter() - start)
