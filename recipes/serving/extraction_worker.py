"""A worker process that computes features of uploaded files: a crash costs one request.

`python -m recipes.serving.extraction_worker` is started by `recipes.serving.extraction_workers`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.extraction.worker import serve


def upload_answers(options: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Opens the extractors of a run.

    Args:
        options: `run`, its folder, and `models`, modality to the path of a model file.

    Returns:
        Function of a task with `modality`, `files`, `texts` and `out`, which writes the features
        into the file `out` and returns nothing, or `failures`.
    """
    from keras_cmg.encoding.raw_features import open_raw_features

    features = open_raw_features(Path(options["run"]), options["models"])

    def answer(task: dict[str, Any]) -> dict[str, Any]:
        (found,) = features(task["modality"], task["files"], task["texts"])
        if isinstance(found, str):
            return {"failures": [{"reason": found}]}
        np.save(task["out"], found)
        return {}

    return answer


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1], upload_answers))
