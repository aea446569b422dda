"""What every reader promises: documented errors, short messages, bounded memory, bounded time."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable
from typing import Any

SECONDS = 60
"""Time limit of a case."""
MEGABYTES = 700
"""Largest growth of the memory of a process that reads many cases one after another."""
LONGEST = 1700
"""Characters of a message."""


class Violation(BaseException):
    """Raised for what breaks the contract; no reader catches it."""


def peak() -> int:
    """Largest memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def checked(read: Callable[[], Any], start: int) -> Any:
    """Runs a reader on one case.

    Args:
        read: function that reads it.
        start: `peak()` of the process before its first case.

    Returns:
        What was read, or None after a documented error.
    """

    def late(number: int, frame: Any) -> None:
        raise Violation(f"took longer than {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        found = read()
    except (ValueError, OSError) as error:
        if len(str(error)) > LONGEST:
            raise Violation(f"a message of {len(str(error))} characters") from error
        found = None
    except Exception as error:
        raise Violation(f"{type(error).__name__}: {str(error)[:300]}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    if peak() - start > MEGABYTES:
        raise Violation(f"took {peak() - start} MB of memory")
    return found
