"""Named settings of FCID: what the paper writes, what its authors' code runs, what fits a laptop.

A preset is plain data. `backbone` goes to `FCIDBackbone.from_preset`, `objective` to `FCID`; every
entry can be overridden by keyword.
"""

from __future__ import annotations

import copy
from typing import Any

from keras_cmg.models.base.presets import merged

PAPER: dict[str, Any] = {
    "backbone": {
        "num_embeddings": 400,
        "embedding_dim": 256,
        "quantize_level": "clip",
        "general": {"feedforward_units": 1024, "dropout": 0.1},
        "map_general": {"pooling": "attention", "reduction": 8},
        "specific": {"units": 256},
        "map_specific": {"hidden_channels": 1024, "channels": 2048, "pre_activation_skip": False},
        "quantizer": {
            "decay": 0.99,
            "epsilon": 1e-5,
            "dead_code_patience": 300,
            "gradient": "straight_through",
        },
    },
    "objective": {
        "loss_weights": {"code_matching": 0.0, "segment_infonce": 0.0},
        "commitment_cost": 0.25,
        "cross_modal_commitment": False,
        "infonce_temperature": 1.0,
        "infonce_symmetric": False,
        "infonce_pairs": "coarse",
        "code_matching_kind": "symmetric",
        "club": {"hidden_units": 256, "negatives": "all"},
        "cpc": {"units": 256, "num_layers": 1, "num_prediction_steps": 1},
        "cpc_self_weight": 0.0,
        "cpc_candidates": "targets",
        "cpc_first_frame": 0,
        "decoder_channels": 1024,
        "pre_activation_skip": False,
        "detach_coarse_targets": False,
        "estimator_steps": 5,
        "fine_club_weight": 1.0,
        "codebook_init_step": None,
    },
}
"""The equations of the paper at its published widths."""

REFERENCE: dict[str, Any] = copy.deepcopy(PAPER)
# The codebook's first sub-update is video's.
REFERENCE["backbone"]["modalities"] = ("video", "audio", "text")
REFERENCE["backbone"]["map_general"]["pooling"] = "sum"
REFERENCE["backbone"]["map_specific"]["pre_activation_skip"] = True
REFERENCE["backbone"]["quantizer"] = {
    "decay": 0.99,
    "epsilon": 1e-5,
    "dead_code_patience": 300,
    "replacement": "code",
    "replacement_noise": 0.0,
    "replacement_offset": -1 / 1024,
    "reset_replaced_state": False,
    "replace_in_evaluation": True,
    "zero_initial_counts": True,
}
REFERENCE["objective"].update(
    loss_weights={"code_matching": 1.0, "segment_infonce": 0.0},
    cross_modal_commitment=True,
    infonce_temperature=0.1,
    code_matching_kind="reference",
    club={"hidden_units": 256, "negatives": "pooled_permutation"},
    cpc={"units": 256, "num_layers": 2, "num_prediction_steps": 1, "split_biases": True},
    cpc_self_weight=0.1,
    cpc_candidates="predictions",
    cpc_first_frame=1,
    pre_activation_skip=True,
)
REFERENCE["backbone"]["use_masks"] = False
"""As the authors' code runs, quirks included; see docs/porting_notes.md."""

SMALL: dict[str, Any] = copy.deepcopy(PAPER)
SMALL["backbone"].update(
    general={"feedforward_units": 256, "dropout": 0.1},
    map_general={"pooling": "flatten", "reduction": 8},
    map_specific={"hidden_channels": 32, "channels": 64, "pre_activation_skip": False},
    specific={"units": 64},
)
SMALL["backbone"]["quantizer"]["dead_code_patience"] = 50
SMALL["objective"].update(
    loss_weights={"code_matching": 1.0, "infonce": 1.0, "segment_infonce": 0.0},
    club={"hidden_units": 128, "negatives": "all"},
    coarse_club_weight=1 / 256,
    cpc={"units": 128, "num_layers": 1, "num_prediction_steps": 1},
    cpc_self_weight=0.1,
    decoder_channels=32,
    infonce_temperature=0.1,
    infonce_symmetric=True,
    cross_modal_commitment=True,
)
"""Trains on a CPU in minutes: narrow, places of a map kept, code matching on, and the coarse
CLUB terms counted per feature; docs/results.md shows what each of these is worth."""

PAPER_SMALL: dict[str, Any] = copy.deepcopy(SMALL)
PAPER_SMALL["objective"] = merged(
    PAPER["objective"],
    {"club": {"hidden_units": 128}, "cpc": {"units": 128}, "decoder_channels": 32},
)
"""The equations of the paper, all weights as published, at the widths and with the encoders of
`"small"`: what `"small"` and `"plus"` are compared with."""

PLUS: dict[str, Any] = copy.deepcopy(SMALL)
PLUS["backbone"]["quantize_level"] = "segment"
PLUS["backbone"]["quantizer"].update(decay=0.9, gradient="rotation")
PLUS["objective"].update(
    loss_weights={"code_matching": 1.0, "infonce": 5.0, "segment_infonce": 30.0},
    infonce_pairs="all",
    fine_club_weight=1 / 256,
    codebook_init_step=2,
)
"""The best settings we know, at the widths of `"small"`: alignment outweighs the rest, of clips of
every pair of modalities and of the segments of sound and pictures, and CLUB is counted per feature
in time as well; codes are of segments, placed by k-means once the encoders have begun to learn, and
quick to follow. `python -m recipes compare --ablate plus` tells what each is worth."""

PRESETS = {
    "paper": PAPER,
    "paper_small": PAPER_SMALL,
    "reference": REFERENCE,
    "small": SMALL,
    "plus": PLUS,
}
