"""Cross-modal generalisation in Keras 3: one discrete code space for sound, pictures and words.

`keras_cmg.models` has the systems, `keras_cmg.layers` what they are built from, `keras_cmg.ops` the
equations.
"""

from keras_cmg import (
    callbacks,
    distribution,
    export,
    layers,
    metrics,
    models,
    ops,
    optimizers,
    search,
)
from keras_cmg.version import __version__

__all__ = [
    "__version__",
    "callbacks",
    "distribution",
    "export",
    "layers",
    "metrics",
    "models",
    "ops",
    "optimizers",
    "search",
]
