"""TOC on quantisers: what the scores of levels, groups and grids are those of."""

import itertools

import numpy as np
import pytest
from keras import ops

from keras_cmg import layers
from keras_cmg.ops import channel_scores, select_channels


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(value))


def chosen(quantizer, count=3, **kwargs):
    mask = layers.TOCChannelMask(count)
    mask.adapt(quantizer, **kwargs)
    return mask.channel_indices.tolist()


def best(codes, count=3, usage=None):
    return select_channels(channel_scores(np.stack(codes), usage).importance, count).tolist()


def with_codes(seed, size, dim, scale=1.0):
    layer = layers.Codebook(size, dim)
    layer.build()
    layer.codebook.assign(scale * draw(size, dim, seed=seed))
    return layer


def test_a_codebook_is_scored_as_the_array_that_it_is():
    quantizer = with_codes(0, 7, 6)
    usage = np.arange(7.0)
    codes = list(array(quantizer.codebook))
    assert chosen(quantizer) == best(codes)
    assert chosen(quantizer, usage=usage) == best(codes, usage=usage)


def test_levels_are_scored_as_the_set_of_sums():
    levels = [with_codes(seed, 4, 6, 0.5**seed) for seed in range(3)]
    quantizer = layers.ResidualQuantizer(levels)
    sums = [sum(codes) for codes in itertools.product(*(array(q.codebook) for q in levels))]
    assert len(sums) == 64
    assert chosen(quantizer) == best(sums)


def test_groups_are_scored_as_the_set_of_concatenations():
    groups = [with_codes(seed, size, 3) for seed, size in ((0, 4), (1, 5))]
    quantizer = layers.GroupedQuantizer(groups)
    whole = [
        np.concatenate(codes) for codes in itertools.product(*(array(q.codebook) for q in groups))
    ]
    assert chosen(quantizer) == best(whole)


def test_projected_grids_are_scored_in_the_space_of_the_features():
    quantizer = layers.ProjectedQuantizer(layers.FSQ((3, 4)), 6)
    quantizer.build()
    codes = array(quantizer.decode(np.arange(12)))
    assert chosen(quantizer) == best(list(codes))


@pytest.mark.parametrize(
    "quantizer",
    [
        lambda: layers.FSQ((5, 5, 5, 5)),
        lambda: layers.ResidualQuantizer(layers.Codebook(4, 4, initial_scale=1.0), 2),
        lambda: layers.GroupedQuantizer(layers.ResidualQuantizer(layers.BSQ(2), 2), 2),
    ],
)
def test_indices_of_data_weigh_the_codes_that_occur(quantizer):
    quantizer = quantizer()
    quantizer.build()
    indices = array(quantizer.encode(draw(40, 5, 4, seed=3) * [0.2, 1.0, 3.0, 0.5]))
    found = chosen(quantizer, 2, indices=indices)
    tuples, counts = np.unique(indices.reshape(200, -1), axis=0, return_counts=True)
    codes = array(quantizer.decode(tuples.reshape(-1, *quantizer.index_shape)))
    assert found == best(list(codes), 2, counts)


def test_a_sample_of_many_combinations_scores_as_all_of_them():
    """3 levels of 64 codes: 262,144 sums, of which 65,536 are scored."""
    levels = [with_codes(seed, 64, 5, 0.7**seed) for seed in range(3)]
    quantizer = layers.ResidualQuantizer(levels)
    tables = [array(q.codebook) for q in levels]
    sums = (tables[0][:, None, None] + tables[1][:, None] + tables[2]).reshape(-1, 5)
    whole = channel_scores(sums)
    indices = quantizer.sample_indices()
    assert indices.shape == (65536, 3)
    assert [np.bincount(column).tolist() for column in indices.T] == 3 * [[1024] * 64]
    sample = channel_scores(array(quantizer.decode(indices)))
    np.testing.assert_allclose(
        sample.importance, whole.importance, atol=3e-3 * sample.variance.max()
    )
    assert chosen(quantizer, 5) == best(list(sums), 5)


def test_sampled_indices_of_a_large_vocabulary_cover_it():
    indices = layers.LFQ(num_bits=20).sample_indices(max_count=1000)
    shares = np.histogram(indices, bins=100, range=(0, 2**20))[0] / 1000
    np.testing.assert_allclose(shares, 0.01, atol=0.0011)


@pytest.mark.parametrize(
    ("quantizer", "arguments", "message"),
    [
        (layers.FSQ((5, 5)), {}, "`indices` must be given for FSQ.* fixed grid"),
        (layers.GroupedQuantizer(layers.LFQ(1), 2), {}, "`indices` must be given for Grouped"),
        (
            layers.ResidualQuantizer(layers.Codebook(4, 2), 2),
            {"usage": np.ones(4)},
            "`usage` must be None for ResidualQuantizer",
        ),
        (
            layers.ResidualQuantizer(layers.Codebook(4, 2), 2),
            {"indices": np.zeros((3, 4), int)},
            r"`indices` must have shape \(\.\.\., 2\) .* Received shape \(3, 4\)",
        ),
        (layers.Codebook(4, 2), {"usage": np.ones(4), "indices": [0]}, "`usage` must be None with"),
        (np.eye(3), {"indices": [0]}, "`indices` must be None unless `codebook` is a quantiser"),
    ],
)
def test_what_has_no_meaning_is_named(quantizer, arguments, message):
    with pytest.raises(ValueError, match=message):
        layers.TOCChannelMask(1).adapt(quantizer, **arguments)
