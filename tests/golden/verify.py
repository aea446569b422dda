"""Checks an installation: recomputes a file of recorded numbers and compares."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np

from keras_cmg.reference.files import read_arrays
from tests.golden import codaar, codebook, hdcid, micu, systems, training_steps
from tests.golden.comparison import (
    Deviation,
    Tolerance,
    relative_deviation,
    tolerance_of,
)

GIVEN = re.compile(
    r"^(weights|config)/|(^|/)(rand|init)/|^(step\d+/|train/step\d+/)?in/|/in_[avt]$|/codebook$"
    r"|_params_in$|/rand_(donor|noise)$|\.num_batches_tracked$"
)
"""Keys that are inputs rather than results."""

PARTS = {"clip_norm": (0, 1, 6), "club_loglikeli": (-1,)}
"""Of these, the entries that a train step with estimators held still can have."""

MODEL_TOLERANCES = (
    # The map is a plain sum over 49 positions, so attention scores reach 15,000: in float32 their
    # own rounding moves the softmax by 1e-3, in any implementation.
    Tolerance(
        r"^grad.*(v_self_att|video_self_att|se_layer)|^grad(_l2)?/in/video|_l2(_early)?/encoder$",
        1e-3,
        1e-9,
    ),
    Tolerance(r"^out/(v_gen|fine_v_vq|club_video|dec_fine_v)", 1e-4, 1e-9),
    # A gap between squared distances of hundreds.
    Tolerance("index_margin", 1e-5, 1e-9, scale=100.0),
    # Zero but for rounding, which the scale measures.
    Tolerance(r"^grad.*_predictors\.\d+\.bias", 1e-5, 1e-9, scale=1.0),
    # Differences of nearly equal numbers, three orders below these.
    Tolerance(r"_mi_textbook|/mi2?_|^grad.*/p_(mu|logvar)\.6\.bias", 1e-4, 1e-9),
    # A gap between squared distances of hundreds.
    Tolerance("index_margin", 1e-5, 1e-9, scale=100.0),
    # Shares of a third, logged or recorded in single precision.
    Tolerance(r"^out/cpc\d?_accuracy", 1e-6, 1e-7),
    Tolerance("", 1e-5, 1e-9),
)
ROW_TOLERANCES = (
    # Shares are counted in float32.
    Tolerance("perplexity|cpc_accuracy", 1e-6, 1e-6),
    Tolerance("min_margin", 1e-5, 1e-9, scale=100.0),
    # Zero but for rounding: a batch normalisation takes off what the convolution adds.
    Tolerance(r"^grad.*spatial_conv_stack\.[03]\.bias", 1e-5, 1e-9, scale=1.0),
    Tolerance("^train/.*index_margin", 1e-3, 1e-7, scale=100.0),
    # As for the steps of FCID below; logs are running means in float32.
    Tolerance("/clip_norm", 1e-2, 1e-6),
    Tolerance("^train/.*/loss/total", 1e-4, 1e-7),
    Tolerance("^train/step[12]/", 1e-4, 1e-8),
    Tolerance(r"^final.*(_predictors\.\d+\.bias|self_attn\.in_proj_bias)", 1.0, 1e-7, scale=0.01),
    Tolerance("^final", 5e-2, 1e-7, scale=0.1),
    *MODEL_TOLERANCES,
)
CODEBOOK_TOLERANCES = (
    # A gap between squared distances of hundreds.
    Tolerance("min_margin", 1e-5, 1e-9, scale=100.0),
    Tolerance("", 1e-5, 1e-9),
)
CHOICE_TOLERANCES = (
    # The authors add up pairs in float32, whatever the codebook's type.
    Tolerance("/ref_.*/criterion$", 1e-5, 1e-5),
    Tolerance("", 1e-5, 1e-9),
)
STEP_TOLERANCES = (
    Tolerance(r"^step\d+/(indices|loss/acc)", 0.0, 0.0),
    Tolerance("index_margin", 1e-3, 1e-7, scale=100.0),
    # Adam divides rounding noise by its own size, so float32 runs part from the third step on:
    # PyTorch's own by 1e-4 in the total and 2e-3 in bounds of mutual information at the fifth.
    Tolerance(r"^step[01]/(loss/(?!mi_)|after/)", 1e-5, 5e-7),
    Tolerance("/mi_", 2e-3, 5e-7),
    # Logs are running means in float32.
    Tolerance("/loss/|club_loglikeli", 1e-4, 5e-7),
    Tolerance("/clip_norm", 1e-2, 1e-7),
    Tolerance("/after/", 3e-5, 1e-8),
    # A gradient that is zero in exact arithmetic becomes steps of Adam's full rate.
    Tolerance(r"^final.*(_predictors\.\d+\.bias|self_attn\.in_proj_bias)", 1.0, 1e-7, scale=0.01),
    Tolerance("^final", 5e-2, 1e-7, scale=0.1),
)


def deviations(
    path: str | Path, start: str | Path | None = None, brief: bool = False
) -> list[Deviation]:
    """Recomputes every quantity of a file, and compares.

    Computes in `keras.config.floatx()`. On TensorFlow this can be float64; the other engines'
    Keras operations round to float32 on the way.

    Args:
        path: an `.npz` file of FCID, DCID, H-DCID, MICU, CoDAAR, MM-EMA updates, TOC, or steps of
            training.
        start: for steps of training, the FCID file they start from; default `fcid.npz` beside.
        brief: whether to recompute, of MICU and CoDAAR, one forward pass with its losses alone.

    Returns:
        One deviation per recorded result, in the file's order.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is truncated or of no known kind, or results are not covered.

    Example:

    >>> np.savez("toc.npz", **{"a/codebook": np.eye(2), "a/paper/S": np.zeros(2)})
    >>> [one.within for one in deviations("toc.npz")]
    [True]
    """
    file = read_arrays(path)
    ours, tolerances = _recompute(file, Path(path), start, brief)
    expected = {key: value for key, value in file.items() if not GIVEN.search(key)}
    if brief:
        expected = {key: value for key, value in expected.items() if key in ours}
    uncovered = sorted(set(expected) - set(ours))
    if uncovered:
        raise ValueError(
            f"{path}: {len(uncovered)} results are not of this format, such as {uncovered[:3]}."
        )
    double = keras.config.floatx() == "float64"
    found = []
    for key, recorded in expected.items():
        entries = PARTS.get(re.sub(r"^step\d+/", "", key))
        limit, scale = tolerance_of(key, recorded, tolerances, double)
        recorded = recorded if entries is None else recorded[list(entries)]
        found.append(Deviation(key, relative_deviation(ours[key], recorded, scale), limit))
    return found


def _recompute(file: Mapping[str, np.ndarray], path: Path, start: str | Path | None, brief: bool):
    if any(key.endswith("Cross_quantizer.ema_count_v") for key in file):
        return codaar.recompute(file, brief), ROW_TOLERANCES
    if any(key.startswith("weights/jigsaw/") for key in file):
        return micu.recompute(file, brief), MODEL_TOLERANCES
    if any(key.startswith("weights/cpc2/") for key in file):
        return hdcid.recompute(file), MODEL_TOLERANCES
    if any(key.startswith("weights/") for key in file):
        return systems.recompute(file), MODEL_TOLERANCES
    if any(key.startswith("step0/") for key in file):
        first = read_arrays(start or path.with_name("fcid.npz"))
        return training_steps.recompute(file, first), STEP_TOLERANCES
    if any(key.endswith("/init/embedding") for key in file):
        return codebook.recompute_updates(file), CODEBOOK_TOLERANCES
    if any(key.endswith("/codebook") for key in file):
        return codebook.recompute_choices(file), CHOICE_TOLERANCES
    raise ValueError(
        f"{path} must hold weights, steps, codebook updates or codebooks. "
        f"Received {len(file)} arrays, such as {sorted(file)[:3]}."
    )
