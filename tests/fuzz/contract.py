"""What every reader promises: documented errors, short messages, bounded memory, bounded time."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS = 60
"""Time limit of a case."""
MEGABYTES = 700
"""Largest growth of the memory of a process that reads many cases one after another."""
LONGEST = 1000
"""Characters of a message."""


class Violation(BaseException):
    """Raised for what breaks the contract; no reader catches it."""


def peak() -> int:
    """Largest memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@contextlib.contextmanager
def documented(*files: Path) -> Iterator[None]:
    """Ends the block at a documented error, and checks its message.

    Args:
        files: one of which the message must name; none if a target does not know them.

    Raises:
        Violation: if the message is too long, or names none of the files.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        text = str(error)
        if len(text) > LONGEST:
            raise Violation(f"a message of {len(text)} characters: {text[:300]}") from error
        if files and not any(file.name in text for file in files):
            raise Violation(
                f"a message that names no file: {type(error).__name__}: {text[:300]}"
            ) from error


def checked(read: Callable[[], Any], start: int, *files: Path) -> Any:
    """Runs a reader on one case.

    Args:
        read: function that reads it.
        start: `peak()` of the process before its first case.
        files: one of which the message of an error must name.

    Returns:
        What was read, or None after a documented error.
    """

    def late(number: int, frame: Any) -> None:
        raise Violation(f"took longer than {SECONDS} s")

    found = None
    previous = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        with documented(*files):
            found = read()
    except Exception as error:
        raise Violation(f"{type(error).__name__}: {str(error)[:300]}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    if peak() - start > MEGABYTES:
        raise Violation(f"took {peak() - start} MB of memory")
    return found
