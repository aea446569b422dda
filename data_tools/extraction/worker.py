"""A worker process of an extraction: a crash of a decoder costs one clip instead of the job.

It reads tasks and writes answers, a line of JSON each; rows go straight into the files of the
shard. `python -m data_tools.extraction.worker` is started by `data_tools.extraction.pool`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any, TextIO

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
"""Environment with which results do not depend on the number of cores."""


def answer(features: Any, task: dict[str, Any]) -> dict[str, Any]:
    """Runs one task.

    Args:
        features: the `ClipFeatures` of the job.
        task: `clip`, and `part` and `slot` of a shard or the file `row` for a row, or `out` for the
            signals.

    Returns:
        `checksums` of a row, `failures` of a clip, or nothing.

    Raises:
        OSError: if the machine is at fault and not the clip.
    """
    import numpy as np

    from data_tools.extraction.clip_features import ClipError
    from data_tools.store.shard import write_slot

    try:
        if "out" in task:
            signals = features.signals(task["clip"])
            try:
                with open(task["out"], "wb") as stream:
                    np.savez(stream, **signals)
            except BaseException:
                Path(task["out"]).unlink(missing_ok=True)
                raise
            return {}
        row = features(task["clip"])
        if "row" in task:
            np.savez(task["row"], **row)
            return {}
    except ClipError as error:
        return {"failures": error.failures}
    return {"checksums": write_slot(Path(task["part"]), features.fields, task["slot"], row)}


def main(setup: str) -> int:
    """Runs tasks from standard input until it ends.

    Args:
        setup: JSON of the arguments of `ClipFeatures`, and of the file of its `state` or None;
            for files of a trained run also `sources`, checksums of the files of each extractor.

    Returns:
        Exit code.
    """
    os.environ.update(ONE_THREAD)
    # A keyboard interrupt reaches all processes; the job ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Libraries may print, so that answers need a channel of their own.
    channel: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")
        channel.flush()

    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    from data_tools.extraction.clip_features import ClipFeatures

    options = json.loads(setup)
    state, sources = options.pop("state"), options.pop("sources", {})
    try:
        features = ClipFeatures(**options)
        for modality, expected in sources.items():
            own = features.extractors[modality].sources()
            if own != expected:
                raise ValueError(
                    f"the {modality} extractor must have the files with which the run was trained, "
                    f"{expected}. Received: {own}"
                )
        if state is not None:
            features.load_state(state)
    except (ImportError, OSError, ValueError) as error:
        send({"error": str(error), "kind": type(error).__name__})
        return 1
    send({"ready": True})
    # If the job is killed, a broken pipe ends this process too.
    with threadpool_limits(1), contextlib.suppress(BrokenPipeError):
        for line in sys.stdin:
            try:
                found = answer(features, json.loads(line))
            except OSError as error:
                # The number, text and file of the error; all clips would meet it.
                words = (error.errno, error.strerror, error.filename)
                found = {"stop": [str(error)] if error.errno is None else [*words]}
            send(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
