"""Loads VGGish weights of Keras, of the PyTorch port and of the TensorFlow checkpoint."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.features.vggish import CONVOLUTIONS, DENSE
from data_tools.io.files import read_arrays, reading

TORCH_NAMES = dict(
    zip(
        [*CONVOLUTIONS, *DENSE],
        [f"features.{n}" for n in (0, 3, 6, 8, 11, 13)] + [f"embeddings.{n}" for n in (0, 2, 4)],
        strict=True,
    )
)
"""Layers here, by the modules of the PyTorch port."""
TENSORFLOW_NAMES = {
    name: f"vggish/{name.rpartition('_')[0]}/{name}" if "_" in name else f"vggish/{name}"
    for name in TORCH_NAMES
}
"""Layers here, by the scopes of the TensorFlow checkpoint."""


def load_weights(model: Any, path: str | os.PathLike[str]) -> None:
    """Loads the weights of a VGGish model from a file, without unpickling arbitrary objects.

    Args:
        model: what `build_vggish` made.
        path: `.weights.h5` or `.keras` of Keras, `.pt` or `.pth` with the state dict of the PyTorch
            port, or `.npz` with its arrays or with those of the TensorFlow checkpoint, by name.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, of another kind, or lacks an array of the right shape.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`path` must name a file of weights; {path} does not exist")
    if path.name.endswith((".weights.h5", ".keras")):
        # Imports an engine, as the model has.
        from keras_cmg import saved_models

        with reading(path, "hold the weights of VGGish"):
            saved_models.load_weights(model, path)
    elif path.suffix == ".npz":
        set_weights(model, read_arrays(path))
    elif path.suffix in (".pt", ".pth"):
        set_weights(model, _read_torch(path))
    else:
        raise ValueError(
            f"`path` must end in .weights.h5, .keras, .npz, .pt or .pth. Received: {path.name}"
        )


def set_weights(model: Any, arrays: Mapping[str, np.ndarray]) -> None:
    """Sets the weights of a VGGish model from arrays by their published names.

    Args:
        model: what `build_vggish` made.
        arrays: `features.0.weight` and so on, as in the PyTorch port (filters first), or
            `vggish/conv1/weights` and so on, as in the TensorFlow checkpoint.

    Raises:
        ValueError: if an array is missing or has another shape.

    Example:
        >>> set_weights(None, {"features.0.weight": np.zeros(3)})
        Traceback (most recent call last):
        ...
        ValueError: the weights of VGGish must hold 'features.0.bias'. Received 1 array(s)
    """
    torch = "features.0.weight" in arrays
    names = TORCH_NAMES if torch else TENSORFLOW_NAMES
    endings = (".weight", ".bias") if torch else ("/weights", "/biases")
    for name in (name + ending for name in names.values() for ending in endings):
        if name not in arrays:
            raise ValueError(
                f"the weights of VGGish must hold {name!r}. Received {len(arrays)} array(s)"
            )
    for layer_name, name in names.items():
        kernel, bias = (np.asarray(arrays[name + ending]) for ending in endings)
        if torch:
            # (out, in, height, width) and (out, in); the port flattens as TensorFlow does.
            kernel = np.moveaxis(kernel, (0, 1), (-1, -2)) if kernel.ndim == 4 else kernel.T
        layer = model.get_layer(layer_name)
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if [kernel.shape, bias.shape] != shapes:
            raise ValueError(
                f"{name!r} must have the shapes {shapes}. Received: {[kernel.shape, bias.shape]}"
            )
        layer.set_weights([kernel, bias])


def read_pca(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Loads the published PCA parameters.

    Args:
        path: `.npz` with `pca_eigen_vectors` (128, 128) and `pca_means` (128, 1).

    Returns:
        Eigenvectors (128, 128) and means (128,).

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged or holds something else.

    Example:
        >>> np.savez("pca.npz", pca_eigen_vectors=np.eye(128), pca_means=np.zeros((128, 1)))
        >>> [array.shape for array in read_pca("pca.npz")]
        [(128, 128), (128,)]
    """
    arrays = read_arrays(Path(path))
    shapes = {name: array.shape for name, array in arrays.items()}
    if shapes.get("pca_eigen_vectors") != (128, 128) or shapes.get("pca_means") not in (
        (128, 1),
        (128,),
    ):
        raise ValueError(
            f"{path} must hold pca_eigen_vectors (128, 128) and pca_means (128, 1). "
            f"Received: {shapes}"
        )
    return arrays["pca_eigen_vectors"], arrays["pca_means"].reshape(-1)


def _read_torch(path: Path) -> dict[str, np.ndarray]:
    # Imports an engine, as the format does.
    from keras_cmg.reference.files import read_torch, tensor_to_numpy

    state = read_torch(path)
    if not isinstance(state, Mapping):
        raise ValueError(f"{path} must hold a state dict. Received a {type(state).__name__}")
    return {
        str(name): tensor_to_numpy(tensor, path, str(name))
        for name, tensor in state.items()
        if hasattr(tensor, "detach")
    }
