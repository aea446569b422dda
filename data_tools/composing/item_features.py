"""Features of the items of a composed data set: one extraction per modality, kept and reused."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.extraction import extract
from data_tools.extraction.extractor import create_extractor
from data_tools.io.files import atomic_file, read_record, reading
from data_tools.raw.composed.composed_dataset import PROMPT, ComposedDataset
from data_tools.raw.composed.rendering import MAX_SECONDS, SAMPLE_RATE
from data_tools.store import Store
from data_tools.store.schema import FAILURES, SCHEMA, read_failures

RENDERING = ("bandwidth", "side", "captions")
"""Options of the data set on which its rendered items depend."""
SUFFIXES = {"audio": "flac", "video": "png"}


class ItemFeatures:
    """Features of all items of one modality.

    Rendered files and stores of features are kept below `cache` under a digest of the files and the
    options that they depend on; what is there is used again, what was interrupted goes on.

    Args:
        dataset: the data set.
        modality: "audio", "video" or "text".
        spec: `{"name": ..., "options": {...}}` of the extractor.
        cache: folder to keep files in.
        sources: of the data set, see `RawDataset.sources`.
        workers: processes.
        progress: show a progress bar.

    Raises:
        FileNotFoundError: if a model file does not exist.
        ImportError: if the extractor lacks a package.
        ValueError: if the extractor refuses its options, or no item can be extracted.
    """

    def __init__(
        self,
        dataset: ComposedDataset,
        modality: str,
        spec: Mapping[str, Any],
        cache: Path,
        sources: Mapping[str, str],
        workers: int = 1,
        progress: bool = False,
    ) -> None:
        self.modality = modality
        options = dict(spec["options"])
        if modality in SUFFIXES:
            options["segments"] = MAX_SECONDS if modality == "audio" else 1
        items = {
            name: dataset.split_of_item(modality, name)
            for kind, name in dataset.material
            if kind == modality
        }
        if modality == "text":
            items |= {f"prompt/{name}": "train" for name in dataset.categories}
        names = sorted(items)
        rendered = {
            "options": {
                name: value for name, value in dataset.options().items() if name in RENDERING
            },
            "items": names,
            "splits": [items[name] for name in names],
            "source": sources[modality],
        }
        folder = cache / f"{modality}-{_digest(rendered)}"
        self._render(dataset, names, items, folder)
        checked = create_extractor(modality, spec["name"], options)
        kept = {name: value for name, value in options.items() if name not in checked.sources()}
        identity = {"name": spec["name"], "options": kept, "sources": checked.sources()}
        store = folder / f"{spec['name'].replace(':', '.')}-{_digest(identity)}"
        extract(
            folder / "items.csv",
            store,
            {modality: {"name": spec["name"], "options": options}},
            segments=MAX_SECONDS if modality == "audio" else 1,
            workers=workers,
            progress=progress,
        )
        self.folder = store
        numbers = {f"{number:06d}": name for number, name in enumerate(names)}
        self._store = Store(store)
        with reading(store, "have the items of the data set"):
            self.rows = {numbers[clip["id"]]: row for row, clip in enumerate(self._store.clips())}
            """Name of an item to its row."""
        with reading(store / FAILURES, "name items of the data set"):
            self.failures = [
                {"modality": modality, "file": numbers[line["id"]], "reason": line["reason"]}
                for line in read_failures(store)
            ]
        if not self.rows:
            raise ValueError(f"no {modality} could be extracted; see {store / FAILURES}")
        self.features = self._store.read(modality, np.arange(len(self.rows)))
        self._store.close()

    def _render(
        self,
        dataset: ComposedDataset,
        names: list[str],
        splits: Mapping[str, str],
        folder: Path,
    ) -> None:
        """Writes the items as files, and a manifest of them last."""
        manifest = folder / "items.csv"
        if manifest.is_file():
            return
        folder.mkdir(parents=True, exist_ok=True)
        column = "caption" if self.modality == "text" else self.modality
        lines = [["id", column, "split"]]
        for number, name in enumerate(names):
            if self.modality == "text":
                value = (
                    PROMPT.format(name.removeprefix("prompt/"))
                    if name.startswith("prompt/")
                    else dataset.material["text", name]
                )
            else:
                value = f"files/{number:06d}.{SUFFIXES[self.modality]}"
                (folder / "files").mkdir(exist_ok=True)
                _write(folder / value, dataset.material[self.modality, name])
            lines.append([f"{number:06d}", value, splits[name]])
        with (
            atomic_file(manifest) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as stream,
        ):
            csv.writer(stream).writerows(lines)

    @property
    def identity(self) -> dict[str, Any]:
        """How the features were extracted, see `schema.json` of a store."""
        form = {"origin": {"extraction": {"extractors": {self.modality: dict}}}}
        return read_record(self.folder / SCHEMA, form)["origin"]["extraction"]

    def __contains__(self, name: str) -> bool:
        return name in self.rows

    def __getitem__(self, name: str) -> np.ndarray:
        return self.features[self.rows[name]]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _write(path: Path, signal: np.ndarray) -> None:
    if path.suffix == ".flac":
        import soundfile

        soundfile.write(path, signal, SAMPLE_RATE, subtype="PCM_16")
    else:
        from PIL import Image

        # Read once: its size does not matter.
        Image.fromarray(signal).save(path, compress_level=1)
