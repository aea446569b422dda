"""Codebooks of quantisers with several codes per vector: their start, and what TOC measures."""

import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import FSQ, Codebook, GroupedQuantizer, ResidualQuantizer


def columns(codebooks):
    return [np.sort(ops.convert_to_numpy(c)[:, 0].round(5)).tolist() for c in codebooks]


def test_codes_of_groups_start_at_centers_of_their_channels():
    points = np.array([[a, b] for a in (0.0, 6.0) for b in (1.0, 9.0)])
    quantizer = GroupedQuantizer(Codebook(2, 1), num_groups=2)
    quantizer.adapt(points)
    assert columns(quantizer.codebooks) == [[0.0, 6.0], [1.0, 9.0]]
    shared = GroupedQuantizer(Codebook(4, 1), num_groups=2, shared=True)
    shared.adapt(points)
    assert columns(shared.codebooks) == [[0.0, 1.0, 6.0, 9.0]] * 2


def test_codes_of_levels_start_at_centers_of_what_is_left():
    points = np.array([[0.0], [1.0], [8.0], [9.0]])
    quantizer = ResidualQuantizer(Codebook(2, 1), num_levels=2)
    quantizer.adapt(points)
    assert columns(quantizer.codebooks) == [[-0.5, 0.5, 0.5, 8.5]]
    with pytest.raises(ValueError, match="a quantiser of its own for each level"):
        ResidualQuantizer(Codebook(2, 1), num_levels=2, shared=True).adapt(points)


def test_groups_of_levels_and_levels_of_groups_have_the_channels_of_their_groups():
    residual = ResidualQuantizer(FSQ((3, 3)), num_levels=2)
    shapes = [tuple(c.shape) for c in GroupedQuantizer(residual, num_groups=3).codebooks]
    assert shapes == [(18, 2)] * 3
    grouped = GroupedQuantizer(FSQ((3, 3)), num_groups=3)
    shapes = [tuple(c.shape) for c in ResidualQuantizer(grouped, num_levels=2).codebooks]
    assert shapes == [(18, 2)] * 3
