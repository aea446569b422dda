"""Cross-modal generalisation in Keras 3: one discrete code space for sound, pictures and words.

`keras_cmg.load` loads a trained model, `keras_cmg.models` has the systems, `keras_cmg.layers` what
they are built from, `keras_cmg.ops` the equations.
"""

from keras_cmg import (
    callbacks,
    distribution,
    encoding,
    export,
    layers,
    metrics,
    models,
    ops,
    optimizers,
    search,
)
from keras_cmg.encoding import CrossModalEncoder, load
from keras_cmg.version import __version__

__all__ = [
    "CrossModalEncoder",
    "__version__",
    "callbacks",
    "distribution",
    "encoding",
    "export",
    "layers",
    "load",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "search",
]
