"""Small disks that can be full or read-only."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


class Disk:
    """A file system in memory, mounted at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._filler = root / "filler"

    def fill(self, left: int) -> None:
        """Takes all space but a number of bytes."""
        found = os.statvfs(self.root)
        free = found.f_bavail * found.f_frsize
        with self._filler.open("wb") as stream:
            stream.write(bytes(max(0, free - left)))

    def empty(self) -> None:
        """Gives the space back."""
        self._filler.unlink(missing_ok=True)

    @contextlib.contextmanager
    def read_only(self) -> Iterator[None]:
        """Lets nobody write, not even the super-user."""
        _mount("-o", "remount,ro", str(self.root))
        try:
            yield
        finally:
            _mount("-o", "remount,rw", str(self.root))


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True, timeout=60)


@contextlib.contextmanager
def small_disk(root: Path, megabytes: int = 16) -> Iterator[Disk]:
    """Mounts a small disk; skips the test where this process may not mount any."""
    root.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(root))
    except (OSError, subprocess.SubprocessError):
        pytest.skip("a small disk can be mounted by the super-user of Linux alone")
    try:
        yield Disk(root)
    finally:
        subprocess.run(["umount", "-l", str(root)], check=False, capture_output=True)
