"""Metrics of the service in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Upper ends of the buckets of times."""


class Metrics:
    """Counters and histograms of one service.

    Example:

    >>> metrics = Metrics()
    >>> metrics.requests.labels("/v1/search", "200").inc()
    >>> 'requests_total{route="/v1/search",status="200"} 1.0' in metrics.text().decode()
    True
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "keras_cmg_requests",
            "Requests answered.",
            ["route", "status"],
            registry=self.registry,
        )
        self.request_seconds = self._seconds("request", "Time to answer a request.", ["route"])
        self.stage_seconds = self._seconds(
            "stage", "Time of a stage of a search: extract, encode, index.", ["stage"]
        )
        self.batch_size = Histogram(
            "keras_cmg_batch_size",
            "Clips that were encoded at once.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=self.registry,
        )
        self.waiting = Gauge(
            "keras_cmg_requests_waiting",
            "Searches that are computed or wait.",
            registry=self.registry,
        )
        self.clips = Gauge(
            "keras_cmg_indexed_clips", "Clips in the index.", ["modality"], registry=self.registry
        )

    def _seconds(self, name: str, text: str, labels: list[str]) -> Histogram:
        return Histogram(
            f"keras_cmg_{name}_seconds", text, labels, buckets=SECONDS, registry=self.registry
        )

    def text(self) -> bytes:
        """Returns all metrics in the text format."""
        return generate_latest(self.registry)
