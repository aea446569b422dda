"""Named settings of AHA."""

from __future__ import annotations

from typing import Any

from keras_cmg.models.base.presets import merged
from keras_cmg.models.base.shared_presets import presets
from keras_cmg.models.dcid import presets as dcid


def _settings(name: str, shared: dict[str, Any]) -> dict[str, Any]:
    """Settings of systems with FCID's encoders, with the specific parts of DCID."""
    body, objective = dcid.PRESETS[name]["backbone"], dcid.PRESETS[name]["objective"]
    return merged(
        shared,
        {
            "backbone": {
                "num_levels": 4,
                "num_shared_levels": 1,
                "specific": body["specific"],
                "map_specific": body["map_specific"],
                "specific_quantizer": shared["backbone"]["quantizer"],
            },
            "objective": {
                "window_radius": 1.0,
                "discriminator": {"hidden_units": objective["club"]["hidden_units"]},
                "decoder_channels": objective["decoder_channels"],
            },
        },
    )


PRESETS = {
    name: _settings(name, shared)
    for name, shared in presets(quantizer={"mix_modalities": False}).items()
}
"""FCID's encoders and codebook; four levels of codes, of which the first is shared. The anchor
alone moves the codes."""
