"""Trained models on the Hugging Face hub, in the layout of `keras.saving.load_model("hf://...")`."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import keras

from keras_cmg.encoding.raw_features import EXTRACTORS
from keras_cmg.extras import missing
from keras_cmg.faults import reading, shorten
from keras_cmg.records import read_record
from keras_cmg.saved_models import load_model
from keras_cmg.search.clip_index import ClipIndex

PREFIX = "hf://"
_NAME = re.compile(r"[\w.-]+/[\w.-]+")
TEXTS = ("labels.txt", "README.md", "card.json", "refused.json")
"""Files of a run that are pushed as they are, but for paths of this machine."""
_PATH = re.compile(r"(?<![\w.:/~-])(?:/|[A-Za-z]:\\)[^\s'\"]*[/\\]")


def is_address(address: object) -> bool:
    """Returns whether an address is one of the hub.

    Args:
        address: path or address.

    Example:

    >>> is_address("hf://user/sounds"), is_address("runs/sounds")
    (True, False)
    """
    return str(address).startswith(PREFIX)


def repository(address: str) -> str:
    """Returns the repository of an address.

    Args:
        address: `hf://USER/NAME`.

    Returns:
        `USER/NAME`.

    Raises:
        ValueError: if the address has another form.

    Example:

    >>> repository("hf://user/sounds")
    'user/sounds'
    """
    name = str(address).removeprefix(PREFIX)
    if not is_address(address) or not _NAME.fullmatch(name):
        raise ValueError(f"`address` must be hf://USER/NAME. Received: {address!r}")
    return name


def download(address: str) -> Path:
    """Downloads a model, as Keras does, or finds it in the cache of the hub.

    Args:
        address: `hf://USER/NAME`.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: if the hub cannot be reached, or has no such model.
        ImportError: if `huggingface_hub` is not installed.
        ValueError: if the address has another form.
    """
    name = repository(address)
    hub = _hub()
    try:
        folder = hub.snapshot_download(
            repo_id=name, library_name="keras", library_version=keras.__version__
        )
    except Exception as error:  # of many kinds: no network, no such repository, no permission
        raise FileNotFoundError(f"{address} could not be downloaded: {_reason(error)}") from error
    return Path(folder)


def push(
    run: str, address: str, index: bool = False, private: bool = False, licence: str | None = None
) -> str:
    """Uploads a trained model with its extractors, labels and card to the Hugging Face hub.

    Paths of this machine, the optimisers and files of clips are not uploaded. The model can be
    loaded by `keras_cmg.load` and, without extractors, by `keras.saving.load_model`. The token is
    that of `huggingface_hub`: `hf auth login`, or the variable `HF_TOKEN`.

    Args:
        run: folder of the run.
        address: `hf://USER/NAME`; the repository is made if there is none.
        index: whether the index is uploaded: names, labels and words of the clips, not their files.
        private: whether a new repository is private.
        licence: name of the licence; that of the card if None.

    Returns:
        The address of the page.

    Raises:
        FileNotFoundError: if the run has no model.
        ConnectionError: if the hub cannot be reached, or allows no upload.
        ImportError: if `huggingface_hub` is not installed.
        ValueError: if the address has another form, or a file is damaged.

    Example:

    >>> push("run", "sounds")
    Traceback (most recent call last):
        ...
    ValueError: `address` must be hf://USER/NAME. Received: 'sounds'
    """
    name, folder = repository(address), Path(run)
    model = load_model(folder / "model.keras")
    hub = _hub()
    api = hub.HfApi(library_name="keras", library_version=keras.__version__)
    with tempfile.TemporaryDirectory() as scratch:
        built = Path(scratch)
        keras.saving.save_model(model, built, zipped=False)
        _copy_texts(folder, built, address, licence)
        _copy_extractors(folder, built)
        if index:
            _copy_index(folder / "index", built / "index")
        try:
            url = api.create_repo(name, exist_ok=True, private=private)
            api.upload_folder(
                repo_id=name, folder_path=str(built), commit_message="Upload a model of keras_cmg"
            )
        except Exception as error:  # of many kinds: no network, no token, no permission
            raise ConnectionError(f"{address} could not be uploaded: {_reason(error)}") from error
    return str(url)


def _reason(error: Exception) -> str:
    return shorten(error, 200)


def _hub() -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise missing("huggingface_hub", "Addresses hf://USER/NAME need", error) from error
    return huggingface_hub


def _copy_texts(run: Path, built: Path, address: str, licence: str | None) -> None:
    for name in TEXTS:
        if not (run / name).is_file():
            continue
        with reading(run / name, "be text in UTF-8"):
            text = _PATH.sub("", (run / name).read_text(encoding="utf-8"))
        if name == "README.md":
            text = text.replace("ADDRESS", address).replace("this folder, or hf://USER/NAME", "")
            if licence is not None and text.startswith("---\n"):
                text = re.sub(r"^license: .*\n", "", text, flags=re.MULTILINE)
                text = text.replace("---\n", f"---\nlicense: {licence}\n", 1)
                text = text.replace("## Licence\n\nNot stated.", f"## Licence\n\n{licence}.")
        if name == "card.json":
            with reading(run / name, "hold valid JSON"):
                read_record(run / name, {})
                if licence is not None:
                    text = json.dumps({**json.loads(text), "licence": licence}, indent=2) + "\n"
        (built / name).write_text(text, encoding="utf-8")


def _copy_extractors(run: Path, built: Path) -> None:
    if not (run / EXTRACTORS).is_file():
        return
    described = read_record(run / EXTRACTORS, {"extractors": {str: {"state": (str, None)}}})
    for one in described["extractors"].values():
        one.pop("paths", None)
        if one["state"]:
            # A plain name: a file of the run.
            state = Path(one["state"]).name
            with reading(run / EXTRACTORS, "name files of the run"):
                shutil.copyfile(run / state, built / state)
    text = json.dumps(described, indent=1) + "\n"
    (built / EXTRACTORS).write_text(text, encoding="utf-8")


def _copy_index(source: Path, built: Path) -> None:
    """Copies an index without the paths of its clips."""
    ClipIndex.load(source).without_files().save(built)


def is_keras_folder(folder: Path) -> bool:
    """Returns whether a folder has the layout in which Keras uploads models.

    Args:
        folder: the folder.

    Example:

    >>> is_keras_folder(Path("."))
    False
    """
    return (folder / "config.json").is_file() and (folder / "model.weights.h5").is_file()
