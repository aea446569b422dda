"""A pool of worker processes with a time limit per clip, which replaces workers that die."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator, Iterable
from typing import Any

Task = dict[str, Any]
ATTEMPTS = 2
"""Attempts at a clip whose worker died: another cause than the clip may have killed it."""
ERRORS: dict[str, type[Exception]] = {
    "ImportError": ImportError,
    "ModuleNotFoundError": ImportError,
    "FileNotFoundError": FileNotFoundError,
}


class Worker:
    """A worker process, started on first use.

    Args:
        setup: arguments of `ClipFeatures` and `state`, as plain values.
        timeout: seconds that a clip may take.

    Example:
        >>> setup = {"root": ".", "extractors": {}, "categories": [], "segments": 1, "state": None}
        >>> worker = Worker(setup, timeout=60)
        >>> worker.run({"clip": {"id": "a", "fault": "is no clip"}, "out": "a.npz"})
        {'failures': [{'modality': '', 'file': '', 'reason': 'is no clip'}]}
        >>> worker.close()
    """

    def __init__(self, setup: dict[str, Any], timeout: float) -> None:
        self.setup, self.timeout = setup, timeout
        self._stopped = False
        self._process: subprocess.Popen[str] | None = None

    def run(self, task: Task) -> dict[str, Any]:
        """Runs one task.

        Args:
            task: see `data_tools.extraction.worker.answer`.

        Returns:
            The answer; `failures` where the worker died or took too long.

        Raises:
            ImportError: if an extractor lacks a package.
            FileNotFoundError: if an extractor lacks a file.
            OSError: if the machine is at fault and not the clip: a full disk, lost permissions.
            ValueError: if an extractor refuses its options.
            RuntimeError: if no worker starts.
        """
        reason = ""
        for _ in range(ATTEMPTS):
            if self._stopped:
                reason = "was stopped"
                break
            process = self._start()
            late = threading.Event()

            def stop(process: Any = process, late: Any = late) -> None:
                late.set()
                process.kill()

            timer = threading.Timer(self.timeout, stop)
            timer.start()
            try:
                process.stdin.write(json.dumps(task) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except (BrokenPipeError, ValueError):
                line = ""
            finally:
                timer.cancel()
            if line.endswith("\n"):
                answer = json.loads(line)
                if "stop" in answer:
                    raise OSError(*answer["stop"])
                return answer
            code = process.wait()
            self.close()
            if late.is_set():
                reason = f"took longer than {self.timeout:g} s"
                break
            reason = f"ended its process: {_describe(code)}"
        return {"failures": [{"modality": "", "file": "", "reason": reason}]}

    def _start(self) -> Any:
        if self._process is not None:
            return self._process
        # The worker has the import path of this process.
        path = os.pathsep.join([*(entry or os.getcwd() for entry in sys.path)])
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.worker", json.dumps(self.setup)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": path},
        )
        self._process = process
        if self._stopped:  # between the check of `run` and here
            process.kill()
        line = process.stdout.readline()  # type: ignore[union-attr]
        if not line.endswith("\n"):
            process.wait()
            self._errors.seek(0)
            tail = self._errors.read()[-2000:]
            code = process.returncode
            self.close()
            raise RuntimeError(f"a worker did not start ({_describe(code)}): {tail}")
        message = json.loads(line)
        if "error" in message:
            self.close()
            raise ERRORS.get(message["kind"], ValueError)(message["error"])
        return process

    def kill(self) -> None:
        """Kills the process, even in the middle of a task; any thread may call it."""
        self._stopped = True
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """Ends the process after its task."""
        process, self._process = self._process, None
        if process is not None:
            for stream in (process.stdin, process.stdout):
                with contextlib.suppress(BrokenPipeError):
                    stream.close()  # type: ignore[union-attr]
            process.wait()
            self._errors.close()


def _describe(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"


def run_tasks(
    setup: dict[str, Any], tasks: Iterable[Task], workers: int, timeout: float
) -> Generator[tuple[Task, dict[str, Any]], None, None]:
    """Runs tasks in worker processes; yields answers in the order in which they finish.

    Args:
        setup: see `Worker`.
        tasks: see `data_tools.extraction.worker.answer`; taken one by one, as workers are free.
        workers: number of processes.
        timeout: seconds that a clip may take.

    Yields:
        Task and answer.

    Raises:
        ImportError: if an extractor lacks a package.
        FileNotFoundError: if an extractor lacks a file.
        OSError: if the machine is at fault and not the clip.
        ValueError: if an extractor refuses its options.
        RuntimeError: if no worker starts.
    """
    source, lock = iter(tasks), threading.Lock()
    answers: queue.Queue[Any] = queue.Queue()
    stopped = threading.Event()
    pool = [Worker(setup, timeout) for _ in range(workers)]

    def serve(worker: Worker) -> None:
        try:
            while not stopped.is_set():
                with lock:
                    task = next(source, None)
                if task is None:
                    break
                answers.put((task, worker.run(task)))
            answers.put(None)
        # Raised again by the generator.
        except BaseException as error:
            answers.put(error)
        finally:
            worker.close()

    threads = [threading.Thread(target=serve, args=(worker,), daemon=True) for worker in pool]
    for thread in threads:
        thread.start()
    try:
        running = len(threads)
        while running:
            answer = answers.get()
            if answer is None:
                running -= 1
            elif isinstance(answer, BaseException):
                raise answer
            else:
                yield answer
    finally:
        stopped.set()
        if running:
            for worker in pool:
                worker.kill()
        for thread in threads:
            thread.join()
