import math

import numpy as np
import pytest

from keras_cmg.ops import masked_contrast
from tests.helpers import numpy_reference

RANDOM = np.random.default_rng(0)
X = {m: RANDOM.standard_normal((3, 5, 4)).astype("float32") for m in ("audio", "text")}
KEPT = {m: (RANDOM.random((3, 5)) > 0.3).astype("float32") for m in X}


def unit(v):
    length = np.linalg.norm(v, axis=-1, keepdims=True)
    return np.divide(v, length, out=np.zeros_like(v), where=length > 0)


def loss(x=None, kept=None, **options):
    return float(masked_contrast.masked_info_nce(x or X, kept or KEPT, 0.1, **options))


def test_frames_are_found_among_the_frames_of_their_clip():
    expected = 0.0
    for a in X:
        for b in X:
            expected += np.mean(
                [
                    numpy_reference.cross_entropy(
                        unit(X[a][i] * KEPT[a][i][:, None]) @ unit(X[b][i]).T / 0.1
                    )
                    for i in range(3)
                ]
            )
    assert loss() == pytest.approx(expected, rel=1e-5)


def test_clips_are_averages_with_their_masked_frames():
    masked = {m: (x * KEPT[m][..., None]).mean(axis=1) for m, x in X.items()}
    whole = {m: x.mean(axis=1) for m, x in X.items()}
    expected = sum(
        numpy_reference.cross_entropy(unit(masked[a]) @ unit(whole[b]).T / 0.1)
        for a in X
        for b in X
    )
    assert loss(level="clip") == pytest.approx(expected, rel=1e-5)


def test_a_masked_frame_contributes_the_log_of_the_number_of_frames():
    nothing = {m: np.zeros((3, 5)) for m in X}
    assert loss(kept=nothing) == pytest.approx(4 * math.log(5), rel=1e-6)


@pytest.mark.parametrize("level", masked_contrast.LEVELS)
def test_frames_without_weight_are_neither_queries_nor_keys(level):
    weights = {"text": np.repeat([[1, 1, 1, 0, 0]], 3, axis=0).astype("float32")}
    junk = {**X, "text": np.where(weights["text"][..., None] > 0, X["text"], 9.0)}
    assert loss(junk, level=level, weights=weights) == pytest.approx(
        loss(level=level, weights=weights), rel=1e-5
    )
    if level == "frame":
        # Of two lengths, the frames that both have.
        short = {**X, "text": X["text"][:, :3]}
        kept = {**KEPT, "text": KEPT["text"][:, :3]}
        pair = {"text": short["text"]}, {"text": kept["text"]}
        alone = {"text": X["text"]}, KEPT
        assert loss(*pair) == pytest.approx(loss(*alone, weights=weights), rel=1e-5)


def test_an_unknown_level_is_named():
    with pytest.raises(ValueError, match=r"`level` must be one of .*'word'"):
        loss(level="word")
