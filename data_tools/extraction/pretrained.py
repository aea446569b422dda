"""What extractors around a pretrained network share: the model, its settings, the reduction."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.extraction.extractor import Extractor
from data_tools.features.pretrained import PCAReduction, Runtime, open_runtime
from data_tools.io.files import cache_folder, read_record, reading, sha256_file, shorten

EXTERNAL_SUFFIXES = (".data", "_data")
"""Of the files in which ONNX keeps large weights, beside the model."""


class PretrainedExtractor(Extractor):
    """Base of the extractors that run a network from a file, with an optional reduction.

    A subclass names its `runtime`, and may give `defaults` of the settings. Settings that are not
    given are read from `MODEL.json` beside the model file if there is one, then from `defaults`.

    Attributes:
        runtime: "onnx", "litert" or "keras".
        file: name of the model file of a preset, which is looked for in the folder `models` of the
            download cache; None where a file must be named.
        defaults: settings by name.
        settings: all settings in use, by name.

    Args:
        model: model file, see `data_tools.features.pretrained.open_runtime`.
        given: settings as the user gives them, None for those that are left out.
        reduce: number of principal components to keep of the features, learned from training clips;
            None for the features as they are.
        whiten: whether each component gets variance 1.
        dtype: "float16" or "float32", precision of the stored features.

    Raises:
        FileNotFoundError: if the model does not exist.
        ImportError: if the runtime is not installed.
        ValueError: if a setting or the model is wrong.
    """

    runtime: str
    file: str | None = None
    defaults: Mapping[str, Any] = {}

    def __init__(
        self,
        model: str | None,
        given: Mapping[str, Any],
        reduce: int | None = None,
        whiten: bool = False,
        dtype: str = "float16",
    ) -> None:
        if model is None and self.file is not None:
            model = str(cache_folder() / "models" / self.file)
            if not os.path.isfile(model):
                raise FileNotFoundError(
                    f"`model` must name {self.file}; it is neither given nor in {model}"
                )
        if whiten and reduce is None:
            raise ValueError("`whiten` must come with `reduce`, the number of components")
        self.model = model
        self.settings = settings_of(model, self.defaults, given)
        self.network: Runtime = open_runtime(self.runtime, model, self.settings.get("output"))
        self.reduction = None if reduce is None else PCAReduction(reduce, whiten)
        self.needs_fit = reduce is not None
        self.dtype = dtype

    def reduced(self, features: np.ndarray) -> np.ndarray:
        """Features `(..., dim)`, reduced where a reduction was asked for."""
        return features if self.reduction is None else self.reduction(features)

    def reduced_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of features of a given shape once they are reduced."""
        return shape if self.reduction is None else (*shape[:-1], self.reduction.size)

    def fit_reduction(self, features: Iterable[np.ndarray]) -> None:
        """Learns the reduction, where one was asked for, from unreduced features."""
        if self.reduction is not None:
            self.reduction.fit(features)

    def state(self) -> dict[str, np.ndarray]:
        return {} if self.reduction is None else self.reduction.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        if self.reduction is not None:
            self.reduction.load_state(state)

    def sources(self) -> dict[str, str]:
        return {} if self.model is None else model_sources(self.model)


def model_sources(model: str) -> dict[str, str]:
    """Checksums of a model file, of the settings beside it and of weights kept in other files.

    Args:
        model: path of the model.

    Returns:
        Checksums by what they are of; none where the model is no file.

    Example:
        >>> _ = Path("m.onnx").write_bytes(b"")
        >>> list(model_sources("m.onnx"))
        ['model']
    """
    if not os.path.isfile(model):
        return {}
    files = {"model": model, "settings": settings_file(model)}
    files |= {f"model{suffix}": model + suffix for suffix in EXTERNAL_SUFFIXES}
    return {name: sha256_file(path) for name, path in files.items() if os.path.isfile(path)}


def settings_file(model: str) -> str:
    """The JSON file beside a model that describes its input and output.

    Args:
        model: path of the model.

    Returns:
        The path, whether or not there is such a file.

    Example:
        >>> settings_file("models/clap.onnx")
        'models/clap.json'
    """
    return str(Path(model).with_suffix(".json"))


def settings_of(
    model: str | None, defaults: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings of a model: those given, else those of the JSON file beside it, else the defaults.

    Args:
        model: path of the model.
        defaults: by name.
        given: by name; None where a setting is left out. The names are all that there are.

    Returns:
        All settings that have a value.

    Raises:
        ValueError: if the file has a setting that is not known.

    Example:
        >>> _ = Path("m.json").write_text('{"sample_rate": 48000}')
        >>> settings_of("m.onnx", {"hop": 1.0}, {"sample_rate": None, "hop": None, "window": 2.0})
        {'hop': 1.0, 'sample_rate': 48000, 'window': 2.0}
    """
    beside: dict[str, Any] = {}
    if model is not None and os.path.isfile(path := settings_file(model)):
        with reading(path, "hold settings of a model"):
            beside = read_record(path, {})
            if unknown := sorted(set(beside) - set(given)):
                raise ValueError(
                    f"{path} must hold settings of {sorted(given)}. Received: {shorten(unknown)}"
                )
    return {
        **defaults,
        **{name: value for name, value in beside.items() if value is not None},
        **{name: value for name, value in given.items() if value is not None},
    }


def parse_settings(words: Iterable[str]) -> dict[str, Any]:
    """Options of an extractor from the command line.

    Args:
        words: each `NAME=VALUE`; a value that is JSON is read as such, any other is text.

    Returns:
        The values by name.

    Raises:
        ValueError: if a word has no equals sign.

    Example:
        >>> parse_settings(["hop=0.5", "mean=[0, 1]", "output=head", "whiten=true"])
        {'hop': 0.5, 'mean': [0, 1], 'output': 'head', 'whiten': True}
    """
    settings = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name.isidentifier() and equals):
            raise ValueError(f"an option of an extractor must be NAME=VALUE. Received: {word!r}")
        try:
            settings[name] = json.loads(value)
        except json.JSONDecodeError:
            settings[name] = value
    return settings
