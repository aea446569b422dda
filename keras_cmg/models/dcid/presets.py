"""Named settings of DCID: what its paper writes, what its authors' code runs, a small one."""

from __future__ import annotations

import copy
from typing import Any

from keras_cmg.models.fcid import presets

PAPER: dict[str, Any] = {
    "backbone": {
        **{
            key: copy.deepcopy(presets.PAPER["backbone"][key])
            for key in (
                "num_embeddings",
                "embedding_dim",
                "general",
                "map_general",
                "map_specific",
                "quantizer",
            )
        },
        "specific": {},
        "recurrent": {"text": {"units": 128, "num_layers": 2}},
    },
    "objective": {
        "loss_weights": {},
        "commitment_cost": 0.25,
        "cross_modal_commitment": True,
        "code_matching_kind": "symmetric",
        "club": {"hidden_units": 256, "negatives": "all"},
        "cpc": {"units": 256, "num_layers": 1, "num_prediction_steps": 1},
        "cpc_self_weight": 0.0,
        "cpc_candidates": "targets",
        "cpc_first_frame": 0,
        "decoder_channels": 1024,
        "pre_activation_skip": False,
        "num_event_classes": None,
        "estimator_steps": 5,
    },
}
PAPER["backbone"]["general"]["num_layers"] = 2
"""The equations of Xia et al. (2023) at their published widths."""

REFERENCE: dict[str, Any] = copy.deepcopy(PAPER)
REFERENCE["backbone"]["map_general"]["pooling"] = "sum"
REFERENCE["backbone"]["map_specific"]["pre_activation_skip"] = True
# Here the noise of revived codes is drawn from a genuine range.
REFERENCE["backbone"]["quantizer"] = {
    **presets.REFERENCE["backbone"]["quantizer"],
    "replacement_noise": 1 / 1024,
    "replacement_offset": 0.0,
}
REFERENCE["backbone"]["recurrent"]["text"]["split_biases"] = True
REFERENCE["backbone"]["use_masks"] = False
REFERENCE["objective"].update(
    code_matching_kind="reference",
    club={"hidden_units": 256, "negatives": "pooled_permutation"},
    cpc={"units": 256, "num_layers": 2, "num_prediction_steps": 1, "split_biases": True},
    cpc_self_weight=0.1,
    cpc_candidates="predictions",
    cpc_first_frame=1,
    pre_activation_skip=True,
    num_event_classes=141,
)
"""As the authors' code runs, quirks included; see docs/porting_notes.md."""

SMALL: dict[str, Any] = copy.deepcopy(PAPER)
SMALL["backbone"].update(
    general={"num_layers": 1, "feedforward_units": 256, "dropout": 0.1},
    # As FCID's, so that a comparison is not one of encoders.
    map_general={"pooling": "flatten", "reduction": 8},
    map_specific={"hidden_channels": 32, "channels": 64, "pre_activation_skip": False},
    specific={"audio": {"units": 64}, "text": {"units": 64}},
    recurrent={"text": {"units": 32, "num_layers": 1}},
)
SMALL["backbone"]["quantizer"]["dead_code_patience"] = 50
SMALL["objective"].update(
    club={"hidden_units": 128, "negatives": "all"},
    cpc={"units": 128, "num_layers": 1, "num_prediction_steps": 1},
    cpc_self_weight=0.1,
    decoder_channels=32,
)
"""Trains on a CPU in minutes."""

PRESETS = {"paper": PAPER, "reference": REFERENCE, "small": SMALL}
