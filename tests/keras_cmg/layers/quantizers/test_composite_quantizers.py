"""Where the codes of quantisers with several codes per vector start."""

import numpy as np
from keras import ops

from keras_cmg.layers import Codebook, GroupedQuantizer, ResidualQuantizer


def columns(quantizer):
    tables = map(ops.convert_to_numpy, quantizer.code_tables())
    return [np.sort(codes[:, 0].round(5)).tolist() for codes in tables]


def test_codes_of_groups_start_at_centers_of_their_channels():
    points = np.array([[a, b] for a in (0.0, 6.0) for b in (1.0, 9.0)])
    quantizer = GroupedQuantizer(Codebook(2, 1), num_groups=2)
    quantizer.adapt(points)
    assert columns(quantizer) == [[0.0, 6.0], [1.0, 9.0]]
    shared = GroupedQuantizer(Codebook(4, 1), num_groups=2, shared=True)
    shared.adapt(points)
    assert columns(shared) == [[0.0, 1.0, 6.0, 9.0]] * 2


def test_codes_of_levels_start_at_centers_of_what_is_left():
    quantizer = ResidualQuantizer(Codebook(2, 1), num_levels=2)
    quantizer.adapt(np.array([[0.0], [1.0], [8.0], [9.0]]))
    assert columns(quantizer) == [[0.5, 8.5], [-0.5, 0.5]]


def test_a_frozen_level_keeps_its_codes():
    quantizer = ResidualQuantizer(Codebook(2, 1), num_levels=2)
    quantizer.build()
    quantizer.part(0).trainable = False
    before = columns(quantizer)[0]
    quantizer.adapt(np.array([[4.0], [5.0], [8.0], [9.0]]))
    assert columns(quantizer)[0] == before
    assert columns(quantizer)[1] != before
