"""Categories of codes by the modalities that use them."""

from __future__ import annotations

import numpy as np
import pytest

from keras_cmg import metrics


def test_activation_of_codes_by_hand() -> None:
    # Uses of six codes by audio, video and text.
    counts = {
        "audio": (96, 95, 5, 50, 0, 1),
        "video": (4, 5, 90, 46, 0, 1),
        "text": (0, 0, 5, 4, 0, 1),
    }
    indices = {name: np.repeat(np.arange(6), times) for name, times in counts.items()}
    metric = metrics.CodeActivation(6, ("audio", "video", "text"))
    metric.update_state(indices)
    found = {name: int(count) for name, count in metric.result().items()}
    # 96 % is specific, 95 % not; 5 % of each is shared; 4 % is not.
    assert found == {"specific": 1, "partial": 2, "shared": 2, "unused": 1}
    with pytest.raises(ValueError, match=r"modalities .* Received: \['depth'\]"):
        metric.update_state({"depth": np.zeros(1)})
