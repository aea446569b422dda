"""Named settings of CodeBind."""

from __future__ import annotations

from typing import Any

from keras_cmg.models.base.presets import merged
from keras_cmg.models.base.shared_presets import presets

# Each modality updates the shared codebook alone.
_SHARED = presets(quantizer={"mix_modalities": False})


def _settings(name: str, backbone: dict[str, Any], **objective: Any) -> dict[str, Any]:
    shared = _SHARED[name]
    quantizer = shared["backbone"]["quantizer"]
    settings = {
        "backbone": {
            "chunk_dim": 8,
            "shared_only": ("text",),
            "specific_quantizer": quantizer,
            **backbone,
        },
        "objective": {"temperature": 0.05, **objective},
    }
    return merged(shared, settings)


PRESETS = {
    "paper": _settings("paper", {"num_embeddings": 1024, "specific_embeddings": 256}),
    "reference": _settings(
        "paper",
        {
            "num_embeddings": 1024,
            "specific_embeddings": 256,
            "embedding_dim": 1024,
            "specific_dim": 1024,
        },
        # The authors' code computes it from features and codes without a gradient.
        loss_weights={"code_matching": 0.0},
    ),
    "small": _settings("small", {"num_embeddings": 256, "specific_embeddings": 64}),
}
"""Codes, chunks and weights of the authors' configuration for sound, pictures and words:
`"reference"` also at their widths, `"paper"` at those of the other systems."""
