"""Limits of the service, and the error of a request that it refuses."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Limits:
    """Largest sizes of a request, and how many requests wait.

    Args:
        bytes: int, bytes of the body of a request.
        files: int, files of a request.
        characters: int, characters of a text.
        hits: int, clips of each modality in an answer.
        seconds: float, seconds that a file may take to be decoded.
        waiting: int, requests that are answered or wait at the same time; others get 429.

    Raises:
        ValueError: if a limit is not above 0.

    Example:

    >>> Limits(files=0)
    Traceback (most recent call last):
        ...
    ValueError: `files` must be above 0. Received: 0
    """

    bytes: int = 2**26
    files: int = 8
    characters: int = 1000
    hits: int = 100
    seconds: float = 30.0
    waiting: int = 32

    def __post_init__(self) -> None:
        for name, value in dataclasses.asdict(self).items():
            if not value > 0:
                raise ValueError(f"`{name}` must be above 0. Received: {value}")


class RefusedRequest(Exception):
    """Raised for a request that is answered by 4xx.

    Args:
        status: status code of HTTP.
        reason: what is wrong, for the client.

    Example:

    >>> RefusedRequest(413, "too large").status
    413
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
