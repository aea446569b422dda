"""Named settings of FCID: the paper's, those of its authors' code, and small ones.

`"backbone"` holds arguments of `FCIDBackbone`, `"objective"` of `FCID`; every entry can be
overridden by keyword.
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
"""The settings of the authors' code, deviations from the paper included; see
docs/porting_notes.md."""

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
"""Trains on a CPU in minutes: narrow, with the places of a map kept, with code matching, and with
coarse CLUB terms that are means over features; docs/results.md has the effect of each."""

PAPER_SMALL: dict[str, Any] = copy.deepcopy(SMALL)
PAPER_SMALL["objective"] = merged(
    PAPER["objective"],
    {"club": {"hidden_units": 128}, "cpc": {"units": 128}, "decoder_channels": 32},
)
"""The equations of the paper, all weights as published, at the widths and with the encoders of
`"small"`, for comparison with `"small"` and `"plus"`."""

DISENTANGLED: dict[str, Any] = copy.deepcopy(SMALL)
DISENTANGLED["backbone"]["quantize_level"] = "segment"
DISENTANGLED["backbone"]["quantizer"].update(decay=0.9, gradient="rotation")
DISENTANGLED["objective"].update(
    loss_weights={"code_matching": 1.0, "infonce": 5.0, "segment_infonce": 30.0},
    infonce_pairs="all",
    fine_club_weight=1 / 256,
    # Two epochs of the comparison it was chosen on: 400 clips in batches of 32.
    codebook_init_step=26,
)
"""The paper's parts with the best weights known, at the widths of `"small"`: alignment of the clips
of every pair of modalities and of the segments of audio and video outweighs the other terms, and
fine CLUB terms are means over features as well; segments are quantised, codes are placed by k-means
after some training and follow with a shorter average. `python -m recipes compare --ablate
disentangled` measures each."""

PLUS: dict[str, Any] = {
    "backbone": {
        "num_embeddings": 64,
        "embedding_dim": 256,
        "disentangle": False,
        "general": {"feedforward_units": 256, "dropout": 0.1},
        "map_general": {"pooling": "flatten", "reduction": 8},
        "quantizer": {"class_name": "Prototypes", "num_groups": 4, "initial_norm": 0.05},
    },
    "objective": {
        "loss_weights": {
            "commitment": 0.0,
            "cpc": 0.0,
            "infonce": 1.0,
            "segment_infonce": 0.3,
            "code_prediction": 1.0,
        },
        "infonce_temperature": 0.1,
        "infonce_symmetric": True,
        "infonce_pairs": "all",
    },
}
"""The best settings known: one code space for all modalities. General features at unit length are
aligned by InfoNCE of clips and of the segments of audio and video, and each modality predicts the
balanced assignment of the others to few codes, in each of four groups of channels. Codes are
learned by gradient and start short, so that they turn quickly: a step of Adam turns a vector of a
quarter of the channels half as far, so that these start half as long as whole ones would. The other
parts of the paper are left out: with pretrained features they cost accuracy and time, see
docs/results.md."""

PRESETS = {
    "paper": PAPER,
    "paper_small": PAPER_SMALL,
    "reference": REFERENCE,
    "small": SMALL,
    "disentangled": DISENTANGLED,
    "plus": PLUS,
}
