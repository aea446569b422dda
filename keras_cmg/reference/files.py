"""Readers of weights and recorded numbers, safe on damaged and malicious files."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

MODULES = {
    "encoder": "encoder",
    "decoder": "decoder",
    "cpc": "cpc",
    "text_lstm": "text_lstm",
    "audio_mi_net": "club_audio",
    "video_mi_net": "club_video",
    "text_mi_net": "club_text",
    "audiovisual_mi_net": "club_audiovisual",
    "jigsaw": "jigsaw",
    # As H-DCID's script calls them; its files hold the first and the encoder.
    "text_ar_lstm": "text_lstm",
    "cpc_2": "cpc2",
    "audio_mi_net_2": "club2_audio",
    "video_mi_net_2": "club2_video",
    "text_mi_net_2": "club2_text",
}
"""Modules here, by those of the authors' files: `Encoder_parameters`, and so on."""


def read_state(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the authors' weights from a file.

    A `.pt` file is read with weights-only loading, which executes nothing. It is a dict with
    `Encoder_parameters` and optionally further `<module>_parameters`, or the encoder's state dict
    itself. An `.npz` file has arrays `<module>/<name>`, optionally with the prefix `weights/`.

    Args:
        path: a `.pt`, `.pth` or `.npz` file.

    Returns:
        `<module>/<name>` to array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is truncated, has other contents than tensors, or is of another
            kind; or, for `.pt`, if PyTorch is not installed.

    Example:

    >>> np.savez("weights.npz", **{"weights/encoder/x.bias": np.zeros(3)})
    >>> list(read_state("weights.npz"))
    ['encoder/x.bias']
    """
    path = Path(path)
    if path.suffix == ".npz":
        arrays = read_arrays(path)
        state = {
            key.removeprefix("weights/"): value
            for key, value in arrays.items()
            if key.removeprefix("weights/").split("/")[0] in MODULES.values()
        }
    else:
        state = _by_module(_read_torch(path), path)
    if not state:
        raise ValueError(f"{path} must hold tensors of the authors' modules. Found none.")
    return state


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Reads all arrays of an `.npz` file, without unpickling.

    Args:
        path: the file.

    Returns:
        Name to array.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is no `.npz` file, is truncated, or has pickled objects.

    Example:

    >>> np.savez("numbers.npz", a=np.ones(2))
    >>> read_arrays("numbers.npz")["a"].shape
    (2,)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        # NumPy does not close a damaged file that it has opened itself.
        with open(path, "rb") as stream, np.load(stream, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}
    except (AttributeError, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} must be an .npz file of plain arrays. {error}") from error


def _read_torch(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        import torch
    except ImportError as error:
        raise ValueError(
            f"Reading {path} needs PyTorch (pip install torch); an .npz file does not."
        ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (EOFError, OSError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        # PyTorch's message continues with how to disable the protection.
        reason = (str(error) or type(error).__name__).splitlines()[0].partition(" This file")[0]
        raise ValueError(f"{path} must be a PyTorch file of tensors alone. {reason}") from error


def _by_module(content: Any, path: Path) -> dict[str, np.ndarray]:
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a dict of tensors. Received: {type(content).__name__}")
    parts = {
        MODULES[key.removesuffix("_parameters").lower()]: value
        for key, value in content.items()
        if str(key).removesuffix("_parameters").lower() in MODULES and isinstance(value, Mapping)
    }
    if not parts:
        parts = {"encoder": content}
    state = {}
    for module, tensors in parts.items():
        for name, tensor in tensors.items():
            if hasattr(tensor, "detach"):
                # Data-parallel training adds the prefix `module.`.
                plain = str(name).removeprefix("module.")
                state[f"{module}/{plain}"] = tensor.detach().float().numpy()
    return state
