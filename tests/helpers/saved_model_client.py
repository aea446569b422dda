"""Asks a SavedModel with TensorFlow alone: `python saved_model_client.py MODEL IN.npz OUT.npz`.

Arrays of a request are named `<endpoint>/<number>/<input>`; those of an answer alike.
"""

import sys

# An import of either would fail.
sys.modules["keras_cmg"] = None
sys.modules["data_tools"] = None

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402


def main(model: str, source: str, target: str) -> None:
    signatures = tf.saved_model.load(model).signatures
    requests: dict = {}
    with np.load(source) as arrays:
        for key in arrays.files:
            request, name = key.rsplit("/", 1)
            requests.setdefault(request, {})[name] = tf.constant(arrays[key])
    answers = {
        f"{request}/{name}": value.numpy()
        for request, inputs in requests.items()
        for name, value in signatures[request.partition("/")[0]](**inputs).items()
    }
    np.savez(target, **answers)


if __name__ == "__main__":
    main(*sys.argv[1:])
