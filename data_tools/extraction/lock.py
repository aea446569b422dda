"""A lock on the folder of an extraction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

LOCK = ".lock"


@contextlib.contextmanager
def locked(out: Path) -> Iterator[None]:
    """Makes a folder and keeps other processes out of it; a killed process releases the lock.

    The lock file is removed at the end, as a finished store holds nothing else.

    Args:
        out: the folder.

    Raises:
        OSError: if a write inside the block failed; it names a file, or the folder.
        ValueError: if another process holds the lock, or the path is not a folder.

    Example:
        >>> with locked(Path("out")):
        ...     pass
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"`out` must be a folder. Received: {out}")
    out.mkdir(parents=True, exist_ok=True)
    path = out / LOCK
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise ValueError(f"`out` must be free; another process extracts into {out}") from error
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(out)) from error
    finally:
        # POSIX systems allow to remove the file before the lock is released, Windows only after.
        for release in (path.unlink, lock.release, path.unlink, out.rmdir):
            # The folder is only removed if nothing was written into it.
            with contextlib.suppress(OSError):
                release()
