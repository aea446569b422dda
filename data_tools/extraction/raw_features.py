"""Applies the extractors that a run keeps to raw files, in processes of their own."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.extraction.clips import ABSENT, Clip
from data_tools.extraction.description import DESCRIPTION, FORMAT
from data_tools.extraction.extractor import EXTRACTORS
from data_tools.extraction.pool import Worker, run_tasks
from data_tools.io.files import (
    cache_folder,
    read_arrays,
    read_record,
    reading,
    sha256_file,
    shorten,
)
from keras_cmg.encoding.raw_features import register_raw_features

MAX_NAME = 255
"""Longest name of a modality, an extractor, or a file of one."""
TIMEOUT = 120.0
"""Default time limit per file in seconds."""
MANY = 32
"""Number of files from which several processes share the work."""
FILE_OPTIONS = ("model", "weights", "pca", "tokenizer")
"""Options of extractors that name files."""
RUNTIMES = ("onnx", "litert", "keras")
"""Extractors whose file must be given; others know its name or need none."""
_NETWORK = re.compile(r"keras\.applications\.\w+(:\w+)?|keras_hub:\w+|random|imagenet")
"""Values of such options that are no paths."""


class RawFeatures:
    """Extractors of a run, applied to raw files and words.

    Each modality has a worker process, started at its first file: a file that crashes a decoder
    costs that file alone.

    Args:
        run: folder of the run, with `extractors.json`.
        models: modality to the path of the model file of its extractor.
        timeout: seconds that a file may take.

    Raises:
        FileNotFoundError: if there is no description.
        ValueError: if the description is damaged, or `models` names a modality without extractor.
    """

    def __init__(self, run: Path, models: Mapping[str, str], timeout: float = TIMEOUT) -> None:
        self.run = Path(run)
        self.timeout = timeout
        path = self.run / DESCRIPTION
        with reading(path, "describe extractors"):
            content = read_record(path, {})
            if content.get("format") != FORMAT:
                raise ValueError(
                    f"{path} must be of the format {FORMAT!r}. Received: {content.get('format')!r}"
                )
            self._described = {
                str(modality): _checked(path, modality, one)
                for modality, one in content["extractors"].items()
            }
        if unknown := sorted(set(models) - set(self._described)):
            raise ValueError(
                f"`models` must be of {sorted(self._described)}, which have extractors. "
                f"Received: {unknown}"
            )
        self.models = dict(models)
        self.modalities = tuple(self._described)
        self._workers: dict[str, Worker] = {}
        weakref.finalize(self, _close, self._workers)

    def start(self) -> None:
        """Starts the process of each modality, so that the first file need not wait for it.

        Raises:
            FileNotFoundError: if a model file is not found.
            ImportError: if an extractor lacks a package.
            ValueError: if a model file is not the one of the run.
        """
        for modality in self.modalities:
            self._worker(modality).run({"clip": {"id": "", "fault": "is no clip"}, "row": ""})

    def __call__(
        self, modality: str, files: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> Iterator[np.ndarray | str]:
        """Computes the features of each file or text, or the reason why it has none.

        Args:
            modality: one of `modalities`.
            files: paths.
            texts: sentences.

        Yields:
            Float32 `(frames, ...)`, or text.

        Raises:
            FileNotFoundError: if a model file is not found.
            ImportError: if an extractor lacks a package.
            OSError: if the machine is at fault: a full disk, lost permissions.
            ValueError: if a model file is not the one of the run.
        """
        clips = [_clip(modality, Path(file)) for file in files]
        clips += [{"id": text, "caption": text} for text in texts]
        with tempfile.TemporaryDirectory(prefix="features-") as folder:
            out = [str(Path(folder, f"{number}.npz")) for number in range(len(clips))]
            tasks = [{"clip": clip, "row": path} for clip, path in zip(clips, out, strict=True)]
            if len(tasks) < MANY:
                answers = {task["row"]: self._worker(modality).run(task) for task in tasks}
            else:
                workers = min(os.cpu_count() or 1, len(tasks) // 16)
                done = run_tasks(self._setup(modality), tasks, workers, self.timeout)
                answers = {task["row"]: answer for task, answer in done}
            for path in out:
                failures = answers[path].get("failures")
                if failures:
                    yield "; ".join(one["reason"] for one in failures)
                else:
                    yield read_arrays(path)[modality].astype(np.float32)

    def _worker(self, modality: str) -> Worker:
        if modality not in self._workers:
            self._workers[modality] = Worker(self._setup(modality), self.timeout)
        return self._workers[modality]

    def _setup(self, modality: str) -> dict[str, Any]:
        one = self._described[modality]
        state = None if one["state"] is None else str((self.run / one["state"]).absolute())
        options = {**one["options"], **self._files(modality, one)}
        return {
            "root": os.path.abspath(os.curdir),
            "extractors": {modality: {"name": one["name"], "options": options}},
            "categories": [],
            "segments": one["segments"],
            "state": state,
            "rendering": one["rendering"],
            "sources": {modality: one["sources"]},
        }

    def _files(self, modality: str, one: Mapping[str, Any]) -> dict[str, str]:
        """Option to path of the files that the extractor reads; it finds others by itself."""
        options = [option for option in FILE_OPTIONS if option in one["sources"]]
        given = self.models.get(modality)
        if given is not None and not options:
            raise ValueError(
                f"`models` must leave out {modality!r}, whose extractor {one['name']!r} reads no "
                f"model file. Received: {given!r}"
            )
        found = {}
        for option in options:
            wanted, name = one["sources"][option], one["files"].get(option)
            if given is not None and option == options[0]:
                found[option] = _checked_file(given, wanted, modality)
                continue
            if name is None and one["name"] not in RUNTIMES:
                continue
            folders = (self.run, cache_folder() / "models")
            places = [one["paths"].get(option), *(place / (name or "") for place in folders)]
            for place in places:
                if place and os.path.isfile(place) and sha256_file(place) == wanted:
                    found[option] = os.path.abspath(place)
                    break
            else:
                raise FileNotFoundError(
                    f"The {modality} extractor {one['name']!r} needs the file {name or ''} of "
                    f"SHA-256 {wanted}. Put it into {folders[0]} or {folders[1]}, or pass its path "
                    f"as `models={{{modality!r}: PATH}}`."
                )
        return found


def _checked_file(path: str, wanted: str, modality: str) -> str:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"`models` must name files. There is no file {path}.")
    digest = sha256_file(path)
    if digest != wanted:
        raise ValueError(
            f"`models` must name the file of {modality!r} with which the run was trained, of "
            f"SHA-256 {wanted}. Received: {path}, of {digest}"
        )
    return os.path.abspath(path)


@register_raw_features
def open_raw_features(run: Path, models: Mapping[str, str]) -> RawFeatures:
    """Opens the extractors of a run, see `RawFeatures`.

    Args:
        run: folder of the run.
        models: modality to the path of a model file.

    Returns:
        The extractors.
    """
    return RawFeatures(run, models)


def _clip(modality: str, path: Path) -> Clip:
    file = str(path.absolute())
    clip: Clip = {"id": str(path), modality: file}
    if not path.exists():
        clip[ABSENT] = [modality]
    if modality == "audio":
        # A sound may be the track of a video.
        clip["video"] = file
    return clip


def _checked(path: Path, modality: str, one: Mapping[str, Any]) -> dict[str, Any]:
    """An entry of a description, which may come from strangers."""
    name, options, sources = one["name"], dict(one["options"]), dict(one["sources"])
    module = str(name).partition(":")[0]
    if name not in EXTRACTORS.get(modality, {}) and module not in sys.modules:
        raise ValueError(
            f"{path} must name an extractor of {sorted(EXTRACTORS)}, or one of a module that is "
            f"imported already. Received: {name!r}"
        )
    for option in FILE_OPTIONS:
        value = options.get(option)
        if value is not None and not _NETWORK.fullmatch(str(value)):
            raise ValueError(
                f"{path} must name files of extractors under 'files'. Received: {option} = "
                f"{value!r}"
            )
    files = {option: Path(str(file)).name for option, file in dict(one["files"]).items()}
    if any(len(text) > MAX_NAME for text in (modality, str(name), *files.values())):
        raise ValueError(f"{path} must have names of at most {MAX_NAME} characters")
    if not set(files) <= set(sources):
        raise ValueError(f"{path} must have a checksum of each of its files")
    rendering = one["rendering"]
    if rendering is not None:
        rendering = {key: int(rendering[key]) for key in ("bandwidth", "side")}
        if not (500 <= rendering["bandwidth"] <= 8000 and 8 <= rendering["side"] <= 4096):
            raise ValueError(f"{path} must have a rendering in range. Received: {rendering}")
    segments = int(one["segments"])
    if not 1 <= segments <= 3600:
        raise ValueError(f"{path} must have 1 to 3600 segments. Received: {segments}")
    return {
        "name": name,
        "options": options,
        "sources": {shorten(key, 100): shorten(value, 100) for key, value in sources.items()},
        "files": files,
        "paths": {str(key): str(value) for key, value in dict(one.get("paths", {})).items()},
        "state": None if one["state"] is None else Path(str(one["state"])).name,
        "segments": segments,
        "rendering": rendering,
    }


def _close(workers: dict[str, Worker]) -> None:
    for worker in workers.values():
        worker.close()
