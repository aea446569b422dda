"""Asks a SavedModel with TensorFlow alone: `python saved_model_client.py MODEL IN.npz OUT.npz`.

Arrays of a request are named `<endpoint>/<number>/<input>`; those of an answer alike.
"""

import sys

import numpy as np
import tensorflow as tf


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
    # An import of either, from here on, fails.
    sys.modules.update({"keras_cmg": None, "data_tools": None})
    main(*sys.argv[1:])
