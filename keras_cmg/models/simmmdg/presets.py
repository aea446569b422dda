"""Named settings of SimMMDG."""

from __future__ import annotations

from keras_cmg.models.base.shared_presets import presets

PRESETS = presets(
    # The defaults of the authors' code.
    {"loss_weights": {"contrastive": 3.0, "distance": 0.7, "translation": 0.1}},
    {"normalized_distance": True},
    without=("num_embeddings", "quantizer"),
)
"""The weights of the authors' code; in `"small"` the distance has a lower bound."""
