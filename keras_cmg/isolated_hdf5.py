"""Reads HDF5 files in a separate process, since damaged files may crash the HDF5 library.

HDF5 is a library in C that some damaged files crash. One child process per process opens all files;
it is started with the first, and again after a crash. Its memory is limited, and so is the time of
each answer. Imports neither Keras nor an engine, so that it can be loaded without them.
"""

from __future__ import annotations

import atexit
import collections
import contextlib
import io
import json
import math
import os
import select
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

MAX_ROW_BYTES = MAX_CHUNK_BYTES = 2**26
"""Largest row, and largest chunk, that is read."""
PIECE_BYTES = 2**24
"""Bytes that are read at once where all of a file is read."""
MEMORY = 2**30
"""Bytes of memory of the child process."""
SECONDS = 60.0
"""Time limit of an answer."""
MAX_OPEN = 64
"""Files that the child process keeps open."""
MAX_OBJECTS = 100_000
"""Largest number of groups and arrays of a file of weights."""

_CHILD: Child | None = None
_LOCK = threading.Lock()
_CLOSING: collections.deque[str] = collections.deque()
"""Files to close before the next request: arrays were deleted during one."""


class Child:
    """The process that reads, and the pipes to it."""

    def __init__(self, memory: int = MEMORY) -> None:
        self.owner = os.getpid()
        self.process = subprocess.Popen(
            # Without -P the folder of this file would hide the standard library's `types`.
            [sys.executable, "-P", __file__, str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def ask(
        self, request: Mapping[str, Any], out: memoryview | None = None, seconds: float = SECONDS
    ) -> dict[str, Any]:
        """Sends a request and returns the answer; bytes that follow it go into `out`.

        Raises:
            ValueError: if the process crashes, or takes longer than `seconds`.
        """
        deadline = time.monotonic() + seconds
        try:
            words = memoryview(json.dumps(request).encode() + b"\n")
            while len(words):
                words = words[os.write(self.process.stdin.fileno(), words) :]  # type: ignore[union-attr]
            head = self._receive(memoryview(bytearray(4)), deadline)
            text = self._receive(memoryview(bytearray(int.from_bytes(head, "big"))), deadline)
            answer = json.loads(bytes(text))
            if out is not None and "error" not in answer:
                self._receive(out, deadline)
            return answer
        except TimeoutError:
            self.close(kill=True)
            raise ValueError(f"it takes longer than {seconds:g} s") from None
        except (BrokenPipeError, EOFError):
            code = self.process.wait()
            self.close(kill=True)
            raise ValueError(f"it crashes the HDF5 library (exit code {code})") from None
        except BaseException:
            # After an interrupt the rest of the answer would be taken for the next.
            self.close(kill=True)
            raise

    def _receive(self, view: memoryview, deadline: float) -> memoryview:
        """Fills a view with the next bytes of the process."""
        pipe = self.process.stdout.fileno()  # type: ignore[union-attr]
        rest = view
        while len(rest):
            if time.monotonic() > deadline:
                raise TimeoutError
            if os.name == "posix":  # pipes of Windows cannot be waited for
                poll = select.poll()
                poll.register(pipe, select.POLLIN | select.POLLHUP)
                if not poll.poll(max(0, 1000 * (deadline - time.monotonic()))):
                    raise TimeoutError
                count = os.readv(pipe, [rest])
            else:
                part = os.read(pipe, len(rest))
                rest[: len(part)] = part
                count = len(part)
            if not count:
                raise EOFError
            rest = rest[count:]
        return view

    @property
    def alive(self) -> bool:
        """Whether it belongs to this process and runs."""
        return self.owner == os.getpid() and self.process.poll() is None

    def close(self, kill: bool = False) -> None:
        """Ends the process."""
        if self.owner != os.getpid():
            return
        if kill:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        self.process.wait()


def _child() -> Child:
    global _CHILD
    if _CHILD is None or not _CHILD.alive:
        if _CHILD is not None:
            _CHILD.close(kill=True)
        _CHILD = Child()
    return _CHILD


@atexit.register
def close() -> None:
    """Ends the process that reads; the next file starts another."""
    global _CHILD
    child, _CHILD = _CHILD, None
    if child is not None:
        child.close(kill=True)


def _after_fork() -> None:
    # The child process of the parent, and perhaps a lock that another thread of it held.
    global _CHILD, _LOCK
    _CHILD, _LOCK = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _checked(path: Path, answer: dict[str, Any]) -> dict[str, Any]:
    if "errno" in answer:
        raise OSError(answer["errno"], answer["error"], str(path))
    if "error" in answer:
        raise ValueError(f"{path} must {answer['error']}")
    return answer


def _ask(path: Path, request: Mapping[str, Any], out: memoryview | None = None) -> dict[str, Any]:
    with _LOCK:
        try:
            while _CLOSING:
                _child().ask({"do": "close", "path": _CLOSING.popleft()})
            answer = _child().ask({**request, "path": os.path.abspath(path)}, out)
        except ValueError as error:
            raise ValueError(f"{path} must be a whole HDF5 file; {error}") from error
    return _checked(path, answer)


class IsolatedArray:
    """An array of numbers of an HDF5 file, read row by row by another process.

    Links to other files are not followed. Any number of threads may read.

    Args:
        path: the file.
        key: str, name of the array in it.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, lacks the array, keeps it in another file, or holds
            something else or rows or chunks of more than 64 MiB.

    Example:

    >>> import h5py
    >>> with h5py.File("labels.h5", "w") as file:
    ...     file["labels"] = np.arange(6.0).reshape(3, 2)
    >>> array = IsolatedArray("labels.h5", "labels")
    >>> array.shape, array.read([2, 0]).tolist()
    ((3, 2), [[4.0, 5.0], [0.0, 1.0]])
    """

    def __init__(self, path: str | os.PathLike[str], key: str) -> None:
        self.path, self.key = Path(path), key
        if not self.path.is_file():
            raise FileNotFoundError(f"There is no file {self.path}.")
        answer = _ask(self.path, {"do": "open", "key": key})
        self.shape: tuple[int, ...] = tuple(answer["shape"])
        self.dtype = np.dtype(answer["dtype"])
        self.ndim = len(self.shape)
        self.row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize
        self.nbytes = self.row_bytes * self.shape[0]

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, rows: Sequence[int] | np.ndarray) -> np.ndarray:
        """Reads rows.

        Args:
            rows: numbers of rows, in any order.

        Returns:
            Array (rows, ...) of the stored dtype.

        Raises:
            ValueError: if a row does not exist, or the file is damaged.
        """
        numbers = np.asarray(rows, np.int64).reshape(-1)
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise ValueError(
                f"`rows` must lie between 0 and {len(self) - 1}. "
                f"Received: {numbers.min()} to {numbers.max()}"
            )
        result = np.empty((len(numbers), *self.shape[1:]), self.dtype)
        if not result.nbytes:
            return result
        at_once = min(max(1, PIECE_BYTES // self.row_bytes), 2**16)
        request = {"do": "read", "key": self.key, "shape": self.shape, "dtype": self.dtype.str}
        for start in range(0, len(numbers), at_once):
            chosen = numbers[start : start + at_once].tolist()
            view = result[start : start + at_once].data.cast("B")
            _ask(self.path, {**request, "rows": chosen}, view)
        return result

    def close(self) -> None:
        """Closes the file; the next read opens it again."""
        # Also called while memory is collected, perhaps in the middle of a request.
        _CLOSING.append(os.path.abspath(self.path))
        if _LOCK.acquire(blocking=False):
            try:
                while _CLOSING and _CHILD is not None and _CHILD.alive:
                    _CHILD.ask({"do": "close", "path": _CLOSING.popleft()})
            except ValueError:
                pass  # the process has ended, and with it all files are closed
            finally:
                _LOCK.release()

    def __del__(self) -> None:
        if hasattr(self, "shape"):
            with contextlib.suppress(Exception):
                self.close()


def list_arrays(path: str | os.PathLike[str]) -> dict[str, tuple[tuple[int, ...], str]]:
    """Lists the arrays at the top of an HDF5 file.

    Args:
        path: the file.

    Returns:
        Name to shape and dtype; links to other files are left out.

    Raises:
        ValueError: if the file is damaged.

    Example:

    >>> import h5py
    >>> with h5py.File("labels.h5", "w") as file:
    ...     file["labels"] = np.zeros((3, 2))
    >>> list_arrays("labels.h5")
    {'labels': ((3, 2), 'float64')}
    """
    answer = _ask(Path(path), {"do": "list"})
    return {name: (tuple(shape), dtype) for name, (shape, dtype) in answer["arrays"].items()}


def count_weights(path: str | os.PathLike[str], member: str | None = None) -> int:
    """Reads all arrays of an HDF5 file of weights in another process, and counts their numbers.

    A file that passes does not crash the HDF5 library where Keras reads it.

    Args:
        path: the file.
        member: str, name of the file in the zip archive `path`, if it lies in one.

    Returns:
        How many numbers all arrays hold.

    Raises:
        ValueError: if the file is damaged, refers to other files, or its arrays take more memory
            than the file has bytes (times 100, beyond 64 MiB).

    Example:

    >>> import h5py
    >>> with h5py.File("a.weights.h5", "w") as file:
    ...     file["layer/vars/0"] = np.zeros((3, 2))
    >>> count_weights("a.weights.h5")
    6
    """
    path = Path(path)
    size = path.stat().st_size
    child = Child(MEMORY + 2 * size)
    try:
        request = {"do": "scan", "path": os.path.abspath(path), "member": member}
        answer = child.ask(request, seconds=SECONDS + size / 2**23)
    except ValueError as error:
        raise ValueError(f"{path} must hold whole weights; {error}") from error
    finally:
        child.close(kill=True)
    return int(_checked(path, answer)["numbers"])


class Refused(Exception):
    """Raised in the child process for a file that is not read; the message says what must be."""


def brief(error: Exception) -> str:
    """The text of an error in one short line."""
    known = isinstance(error, OSError | ValueError)
    return " ".join(f"{'' if known else type(error).__name__ + ': '}{error}".split())[:300]


class Server:
    """Answers requests in the child process."""

    def __init__(self) -> None:
        self.files: dict[str, Any] = {}
        self.arrays: dict[tuple[str, str], Any] = {}

    def answer(self, request: Mapping[str, Any], channel: BinaryIO) -> None:
        """Answers one request."""
        content = b""
        try:
            found, content = getattr(self, f"do_{request['do']}")(request)
        except Refused as error:
            found = {"error": str(error)}
        except Exception as error:
            found = {"error": f"be a whole HDF5 file; reading it gave: {brief(error)}"}
            if isinstance(error, OSError) and error.filename is not None:
                found = {"error": error.strerror, "errno": error.errno}
        text = json.dumps(found).encode()
        channel.write(len(text).to_bytes(4, "big") + text)
        if "error" not in found:
            channel.write(content)
        channel.flush()

    def file(self, path: str) -> Any:
        """An open file."""
        import h5py

        if path not in self.files:
            # The system's own error for one that cannot be opened.
            with open(path, "rb"):
                pass
            while len(self.files) >= MAX_OPEN:
                self.do_close({"path": next(iter(self.files))})
            try:
                self.files[path] = h5py.File(path, "r")
            except Exception as error:
                raise Refused(f"be an HDF5 file; opening it gave: {brief(error)}") from error
        return self.files[path]

    def array(self, request: Mapping[str, Any]) -> Any:
        """The array that a request names."""
        import h5py

        path, key = request["path"], request["key"]
        if (path, key) in self.arrays:
            return self.arrays[path, key]
        file = self.file(path)
        # A link is checked before it is followed.
        link = file.get(key, getlink=True)
        array = file[key] if isinstance(link, h5py.HardLink) else None
        if not isinstance(array, h5py.Dataset):
            raise Refused(f"hold an array named {key!r}. Received: {sorted(file)[:20]}"[:300])
        check_array(array, key)
        if array.dtype.kind not in "biuf" or array.ndim == 0:
            shown = f"{array.dtype} of shape {array.shape}"
            raise Refused(f"hold rows of numbers under {key!r}. Received {shown}"[:300])
        size = math.prod(array.shape[1:]) * array.dtype.itemsize
        if size > MAX_ROW_BYTES:
            raise Refused(f"have rows of at most {MAX_ROW_BYTES} bytes. Received: {size}")
        self.arrays[path, key] = array
        return array

    def do_open(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Shape and dtype of an array; the file is opened anew."""
        self.do_close(request)
        try:
            array = self.array(request)
        except BaseException:
            self.do_close(request)
            raise
        return {"shape": array.shape, "dtype": array.dtype.str}, b""

    def do_read(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Rows of an array."""
        array = self.array(request)
        if list(array.shape) != request["shape"] or array.dtype.str != request["dtype"]:
            raise Refused("stay as it is while it is read; it was changed")
        rows = request["rows"]
        if rows == list(range(rows[0], rows[0] + len(rows))):
            found = array[rows[0] : rows[0] + len(rows)]
        else:
            found = np.stack([array[row] for row in rows])
        return {}, np.ascontiguousarray(found).tobytes()

    def do_list(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Arrays at the top of a file."""
        import h5py

        self.do_close(request)
        file = self.file(request["path"])
        own = [key for key in file if isinstance(file.get(key, getlink=True), h5py.HardLink)]
        arrays = {key: file[key] for key in own[:1000] if isinstance(file[key], h5py.Dataset)}
        found = {key: (a.shape, str(a.dtype)[:80]) for key, a in arrays.items()}
        self.do_close(request)
        return {"arrays": found}, b""

    def do_close(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Closes a file."""
        path = request["path"]
        self.arrays = {key: array for key, array in self.arrays.items() if key[0] != path}
        if path in self.files:
            self.files.pop(path).close()
        return {}, b""

    def do_scan(self, request: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """Reads all arrays of a file, and counts their numbers."""
        import h5py

        path, size = request["path"], os.path.getsize(request["path"])
        source: Any = path
        if request["member"] is not None:
            with zipfile.ZipFile(path) as archive:
                source = io.BytesIO(archive.read(request["member"]))
        with h5py.File(source, "r") as file:
            return {"numbers": count(file, max(2**26, 100 * size))}, b""


def check_array(array: Any, key: str) -> None:
    """Raises `Refused` for an array that is kept in other files or has huge chunks."""
    if array.is_virtual or array.external:
        raise Refused(f"hold {key!r} itself. Received one kept in other files"[:300])
    chunk = math.prod(array.chunks or ()) * array.dtype.itemsize
    if chunk > MAX_CHUNK_BYTES:
        raise Refused(f"have chunks of at most {MAX_CHUNK_BYTES} bytes. Received: {chunk}")


def count(file: Any, max_bytes: int) -> int:
    """Reads all arrays below a group, without following links to other files."""
    import h5py

    numbers = size = objects = 0
    groups, seen = [file], {file.id.__hash__()}
    while groups:
        group = groups.pop()
        for key in group:
            objects += 1
            if objects > MAX_OBJECTS:
                raise Refused(f"hold at most {MAX_OBJECTS} objects. Received more")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise Refused(f"hold all arrays itself. Received a link: {key!r}"[:300])
            item = group[key]
            if isinstance(item, h5py.Group):
                identity = h5py.h5o.get_info(item.id).addr
                if identity not in seen:
                    seen.add(identity)
                    groups.append(item)
            elif isinstance(item, h5py.Dataset):
                check_array(item, key)
                numbers += item.size or 0
                size += (item.size or 0) * item.dtype.itemsize
                if size > max_bytes:
                    raise Refused(f"hold arrays of at most {max_bytes} bytes. Received more")
                _read_all(item)
    return numbers


def _read_all(array: Any) -> None:
    if array.ndim == 0 or not array.size:
        _ = array[()]
        return
    row = math.prod(array.shape[1:]) * array.dtype.itemsize
    at_once = max(1, PIECE_BYTES // max(row, 1))
    for start in range(0, array.shape[0], at_once):
        _ = array[start : start + at_once]


def serve(memory: int) -> None:
    """Answers requests from standard input until it ends.

    Args:
        memory: bytes of memory that the process may use.
    """
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import signal

    # An interrupt is for the parent, which ends this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    server = Server()
    for line in sys.stdin.buffer:
        server.answer(json.loads(line), channel)


if __name__ == "__main__":
    # HDF5 and NumPy would otherwise start a thread per core.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with contextlib.suppress(BrokenPipeError):
        serve(int(sys.argv[1]))
