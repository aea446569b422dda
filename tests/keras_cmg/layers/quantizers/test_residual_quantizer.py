"""Residual levels: they train as they infer, can be dropped, shared, and searched by a beam."""

import itertools

import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import (
    FSQ,
    LFQ,
    AlignedCodebook,
    Codebook,
    GroupedQuantizer,
    ProjectedQuantizer,
    ResidualQuantizer,
    SimVQ,
)
from keras_cmg.ops import residual_beam_search
from tests.helpers.layer_checks import gradient


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def residual(**arguments):
    layer = ResidualQuantizer(
        Codebook(8, 4, initial_scale=1.0, dead_code_patience=None),
        **{"num_levels": 3, **arguments},
    )
    layer.build()
    return layer


@pytest.mark.parametrize("gradient_name", ["straight_through", "rotation", "diveq"])
def test_levels_train_as_they_infer(gradient_name):
    """Residuals are those of codes, not of what a gradient trick makes of them."""
    layer, x = residual(gradient=gradient_name, noise_scale=0.1), draw(50, 4)
    infer, train = layer(x), layer(x, training=True)
    for key in ("indices", "codes"):
        np.testing.assert_array_equal(array(train[key]), array(infer[key]))
    if gradient_name != "diveq":
        np.testing.assert_allclose(array(train["quantized"]), array(infer["codes"]), atol=1e-6)


def test_a_gradient_is_not_multiplied_by_the_number_of_levels():
    layer, x = residual(num_levels=4), draw(5, 4)
    slope = gradient(lambda v: ops.sum(layer(v, training=True)["quantized"]), x)
    np.testing.assert_allclose(slope, 1.0, rtol=1e-6)


def test_more_levels_come_closer():
    layer = ResidualQuantizer(Codebook(16, 4), num_levels=4)
    layer.build()
    x = draw(500, 4)
    rest = x
    for part in layer.quantizers:
        part.adapt(rest)
        rest = rest - array(part.assign_codes(rest)["codes"])
    indices = array(layer.encode(x))
    errors = [
        np.square(x - array(layer.decode(indices[:, :levels]))).mean() for levels in (1, 2, 3, 4)
    ]
    assert errors == sorted(errors, reverse=True) and errors[3] < 0.3 * errors[0]
    np.testing.assert_allclose(array(layer(x)["codes"]), x - rest, atol=1e-5)


def test_dropped_levels_neither_move_nor_count():
    layer, x = residual(min_levels=1), draw(6, 5, 4)
    used = set()
    for _ in range(12):
        before = [array(part.codebook) for part in layer.quantizers]
        out = layer(x, training=True)
        indices = array(out["indices"])
        levels = int((indices[0, 0] >= 0).sum())
        used.add(levels)
        assert ((indices >= 0).sum(axis=-1) == levels).all() and levels >= 1
        np.testing.assert_allclose(
            array(out["codes"]),
            sum(before[i][indices[..., i]] for i in range(levels)),
            atol=1e-5,
        )
        for i, part in enumerate(layer.quantizers):
            assert np.array_equal(before[i], array(part.codebook)) == (i >= levels)
    assert used == {1, 2, 3}
    assert (array(layer(x)["indices"]) >= 0).all()


def test_a_shared_codebook_moves_once_by_the_residuals_of_all_levels():
    layer, x = residual(shared=True, num_levels=2), draw(6, 4)
    (part,) = layer.quantizers
    alone = Codebook(8, 4, initial_scale=1.0, dead_code_patience=None)
    alone.build()
    first = array(alone.assign_codes(x)["codes"])
    layer(x, training=True)
    alone(np.concatenate([x, x - first]), training=True)
    np.testing.assert_allclose(array(part.codebook), array(alone.codebook), rtol=1e-5, atol=1e-6)
    assert len(layer.variables) == len(alone.variables)


def test_a_wide_beam_finds_the_nearest_sum():
    codebooks = [0.5**i * draw(5, 3, seed=i + 1) for i in range(3)]
    x = draw(40, 3)
    sums = {
        path: sum(codebooks[i][j] for i, j in enumerate(path))
        for path in itertools.product(range(5), repeat=3)
    }
    best = np.min([np.square(x - total).sum(axis=1) for total in sums.values()], axis=0)
    errors = {}
    for beam in (1, 3, 25):
        paths = array(residual_beam_search(x, codebooks, beam))
        found = np.stack([sums[tuple(path)] for path in paths.tolist()])
        errors[beam] = np.square(x - found).sum(axis=1)
    np.testing.assert_allclose(errors[25], best, rtol=1e-4, atol=1e-6)
    assert errors[25].sum() < errors[3].sum() < errors[1].sum()
    greedy = residual(num_levels=2)
    books = [array(part.codebook) for part in greedy.quantizers]
    np.testing.assert_array_equal(
        array(residual_beam_search(draw(30, 4), books, 1)), array(greedy.encode(draw(30, 4)))
    )


def test_copies_differ_in_their_codes():
    parts = residual().quantizers
    assert len({array(part.codebook).tobytes() for part in parts}) == 3
    groups = GroupedQuantizer(residual(num_levels=2), num_groups=2)
    groups.build()
    codes = {array(p.codebook).tobytes() for group in groups.quantizers for p in group.quantizers}
    assert len(codes) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ResidualQuantizer(LFQ(2)), "`num_levels` must be given"),
        (lambda: ResidualQuantizer(LFQ(2), num_levels=0), "`num_levels` must be at least 1"),
        (lambda: ResidualQuantizer([LFQ(2)], num_levels=2), "`quantizers` must hold `num_levels`"),
        (lambda: ResidualQuantizer([LFQ(2), LFQ(3)]), "`quantizers` must have equal `embedding_d"),
        (lambda: ResidualQuantizer([LFQ(2)], shared=True), "`quantizers` must be one quantiser"),
        (lambda: ResidualQuantizer(LFQ(2), 2, min_levels=3), "`min_levels` must be from 1 to 2"),
        (lambda: ResidualQuantizer(LFQ(2), 2, beam_size=0), "`beam_size` must be at least 1"),
        (lambda: ResidualQuantizer(LFQ(2), 2, gradient="none"), "`gradient` must be one of"),
        (lambda: ResidualQuantizer([LFQ(2), 3]), "`quantizers` must be a `Quantizer`. Received: 3"),
        (lambda: GroupedQuantizer("LFQ", 2), "`quantizers` must be a `Quantizer`"),
        (lambda: GroupedQuantizer([FSQ((3, 3), name="a")] * 2), "`quantizers` must be different"),
        (lambda: ProjectedQuantizer(3), "`quantizer` must be a `Quantizer`. Received: 3"),
        (lambda: ProjectedQuantizer(AlignedCodebook()), "`quantizer` must have the same codes"),
        (lambda: GroupedQuantizer([AlignedCodebook()]), "same codes .* Received: AlignedCodebook"),
        (lambda: ResidualQuantizer(LFQ(2), 2, input_bound=0.0), "`input_bound` must be positive"),
        (lambda: ResidualQuantizer(LFQ(2), 2, input_bound=(1, 1, 1)), "one for each of 2 channels"),
        (
            lambda: ResidualQuantizer(GroupedQuantizer(FSQ(), 2), 2, beam_size=2),
            "`beam_size` must be 1",
        ),
        (lambda: GroupedQuantizer([FSQ(), GroupedQuantizer(FSQ(), 2)]), "equal `index_shape`"),
        (lambda: SimVQ(4, 4, latent_dim=0), "`latent_dim` must be at least 1"),
        (lambda: SimVQ(4, 4, gradient="none"), "`gradient` must be one of"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
