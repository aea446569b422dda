"""Readers of weights and recorded numbers, safe on damaged and malicious files."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_cmg.extras import missing
from keras_cmg.faults import damaged, reading
from keras_cmg.files import check_archive, read_arrays

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
        state = _by_module(read_torch(path), path)
    if not state:
        raise ValueError(f"{path} must hold tensors of the authors' modules. Found none.")
    return state


def read_torch(path: str | Path) -> Any:
    """Reads a PyTorch file with weights-only loading, which executes nothing.

    Args:
        path: the file.

    Returns:
        Its content: tensors in dicts and lists.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged, holds other contents than tensors, or unpacks to many times
            its size; or if PyTorch is not installed.

    Example:

    >>> read_torch("nowhere.pt")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no file nowhere.pt.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    try:
        import torch
    except ImportError as error:
        what = f"An .npz file needs no package; {path} needs"
        raise missing("torch", what, error) from error
    with reading(path, "be a PyTorch file of tensors alone"):
        if zipfile.is_zipfile(path):
            check_archive(path)
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            # PyTorch's message continues with how to disable the protection.
            reason = (str(error) or type(error).__name__).splitlines()[0].partition(" This file")[0]
            raise damaged(path, "be a PyTorch file of tensors alone", reason) from error


def tensor_to_numpy(tensor: Any, path: object, name: str) -> np.ndarray:
    """Converts a tensor of a file to an array.

    Args:
        tensor: a `torch.Tensor`.
        path: the file, for errors.
        name: str, name of the tensor, for errors.

    Returns:
        Array of the tensor's dtype; float32 for half precision.

    Raises:
        ValueError: if the tensor is larger than what the file stores of it, or is not dense.

    Example:

    >>> import torch
    >>> tensor_to_numpy(torch.zeros(1).expand(10**12), "a.pt", "x")
    Traceback (most recent call last):
        ...
    ValueError: a.pt must store all numbers of 'x'. Received 1 of 1000000000000
    """
    with reading(path, f"hold plain tensors such as {name!r}"):
        tensor = tensor.detach()
        stored = tensor.untyped_storage().nbytes() // tensor.element_size()
        if tensor.numel() > stored:
            raise ValueError(
                f"{path} must store all numbers of {name!r}. Received {stored} of {tensor.numel()}"
            )
        return tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()


def _by_module(content: Any, path: Path) -> dict[str, np.ndarray]:
    if not isinstance(content, Mapping):
        raise ValueError(f"{path} must hold a dict of tensors. Received: {type(content).__name__}")
    parts = {
        MODULES[str(key).removesuffix("_parameters").lower()]: value
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
                state[f"{module}/{plain}"] = tensor_to_numpy(tensor, path, plain)
    return state
