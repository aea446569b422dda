"""A folder that one process at a time works in."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

LOCK = ".lock"


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Keeps a second process out of a job's folder, which is made; a killed one leaves it free.

    Args:
        out: the folder.

    Raises:
        ValueError: another process is at work there, or it is no folder.

    Example:
        >>> with locked(Path("out")):
        ...     pass
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"`out` must be a folder; received: {out}")
    out.mkdir(parents=True, exist_ok=True)
    path = out / LOCK
    with path.open("w") as stream:
        try:
            import fcntl

            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The one that held it before may have removed the file in between.
            if not path.exists() or not os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                raise BlockingIOError
        except ImportError:  # Windows has no such locks.
            pass
        except OSError as error:
            raise ValueError(f"`out` must be free; another process extracts into {out}") from error
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                path.unlink()
                out.rmdir()  # which only succeeds where nothing was written
