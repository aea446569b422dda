"""Equal numbers with vector-quantize-pytorch 1.32, from the same weights and inputs.

That library runs on PyTorch whatever engine is under test; arrays pass between the two. What is
meant to differ is named where a test removes the difference, and tested by itself at the end:

- Vectors of weight 0: theirs return zeros and index -1, ours quantise them as all others.
- Entropies of signs: theirs cut logarithms off at 1e-5, ours do not; with a mask, theirs do not
  average the distributions of vectors, and the two entropies cancel.
- Residual levels: theirs add a gradient up over levels, ours pass it once; theirs update a shared
  codebook level by level, ours once a step; theirs leave no codes of a level alone in a step that
  drops it, as ours, but draw levels from Python's random numbers.
- Beam search: theirs keeps sums by the errors of all levels added up, ours by the error that is
  left.
- Dead codes: theirs fall below a moving count, ours are unused for a number of steps.
- EMA: theirs smooth counts for the codes alone, ours keep the smoothed counts.
- `SimVQ`: codes of theirs start at about unit length; ours are scaled in the first training step,
  but with `initial_scale=1`.
- `VectorQuantize` with learnable codes has one loss with gradient to both sides, ours two of the
  same value.
"""

import numpy as np
import pytest
import torch
from keras import ops

from keras_cmg import layers
from keras_cmg.ops import diveq, rotation_trick
from tests.helpers.layer_checks import gradient

vqp = pytest.importorskip("vector_quantize_pytorch")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def on_every_engine(*values):
    """A case of a test for every engine; the other cases run on PyTorch alone."""
    return pytest.param(*values, marks=pytest.mark.every_engine)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    if isinstance(value, torch.Tensor):
        # A copy: JAX would read memory that their layers change in place.
        return value.detach().cpu().numpy().copy()
    if isinstance(value, (float, list, np.ndarray, np.generic)):
        return np.asarray(value)
    return np.array(ops.convert_to_numpy(ops.stop_gradient(value)))


def theirs_and_slope(module, x, weight):
    """Outputs of a module of theirs, and the gradient of a weighted sum of quantised vectors."""
    leaf = torch.tensor(x, requires_grad=True)
    outputs = module(leaf)
    (slope,) = torch.autograd.grad((outputs[0] * torch.tensor(weight)).sum(), leaf)
    return [array(value) for value in outputs], array(slope)


def slope_of(layer, x, weight, **options):
    weight = ops.convert_to_tensor(weight)
    return gradient(lambda v: ops.sum(layer(v, **options)["quantized"] * weight), x)


def loss_of(layer):
    (loss,) = layer.losses
    return float(array(loss))


def close(a, b, atol=1e-5):
    np.testing.assert_allclose(array(a), array(b), rtol=1e-5, atol=atol)


LEVELS = (8, 5, 4, 3)


@pytest.mark.parametrize(
    ("symmetric", "bound"),
    [on_every_engine(False, "tanh"), (True, "tanh"), (False, "clip"), (True, "clip")],
)
def test_fsq(symmetric, bound):
    module = vqp.FSQ(list(LEVELS), preserve_symmetry=symmetric, bound_hard_clamp=bound == "clip")
    layer = layers.FSQ(LEVELS, symmetric=symmetric, bound=bound)
    x, weight = 2 * draw(20, 10, 4), draw(20, 10, 4, seed=1)
    (quantized, indices), slope = theirs_and_slope(module, x, weight)
    out = layer(x)
    np.testing.assert_array_equal(array(out["indices"]), indices)
    close(out["quantized"], quantized)
    close(slope_of(layer, x, weight), slope)
    close(layer.codebook, module.implicit_codebook)


@pytest.mark.every_engine
def test_projected_fsq():
    module = vqp.FSQ(list(LEVELS), dim=6)
    layer = layers.ProjectedQuantizer(layers.FSQ(LEVELS), embedding_dim=6)
    layer.build()
    for ours, linear in (
        (layer.project_in, module.project_in),
        (layer.project_out, module.project_out),
    ):
        ours.kernel.assign(array(linear.weight).T)
        ours.bias.assign(array(linear.bias))
    x, weight = 2 * draw(20, 10, 6), draw(20, 10, 6, seed=1)
    (quantized, indices), slope = theirs_and_slope(module, x, weight)
    out = layer(x)
    np.testing.assert_array_equal(array(out["indices"]), indices)
    close(out["quantized"], quantized)
    close(slope_of(layer, x, weight), slope)


@pytest.fixture
def exact_entropy(monkeypatch):
    """Their logarithm, cut off at 1e-5, as ours."""
    from vector_quantize_pytorch import lookup_free_quantization

    monkeypatch.setattr(
        lookup_free_quantization, "log", lambda t, eps=1e-12: t.clamp(min=eps).log()
    )


SIGNS = {
    "LFQ": (layers.LFQ, {}, {"entropy_weight": 0.1}),
    "LFQ commitment": (
        layers.LFQ,
        {"commitment_loss_weight": 0.25, "diversity_gamma": 0.5, "entropy_loss_weight": 0.3},
        {"commitment_cost": 0.25, "diversity_weight": 0.5, "entropy_weight": 0.3},
    ),
    "BSQ": (
        layers.BSQ,
        {"spherical": True, "commitment_loss_weight": 1.0},
        {"commitment_cost": 1.0},
    ),
}


@pytest.mark.parametrize("name", ["LFQ", "LFQ commitment", on_every_engine("BSQ")])
def test_signs(name, exact_entropy):
    layer_class, theirs, ours = SIGNS[name]
    module = vqp.LFQ(codebook_size=2**7, dim=7, codebook_scale=0.5, **theirs)
    layer = layer_class(num_bits=7, scale=0.5, **ours)
    x, weight = 0.1 * draw(8, 10, 7), draw(8, 10, 7, seed=1)
    leaf = torch.tensor(x, requires_grad=True)
    quantized, indices, loss = module(leaf, inv_temperature=10.0)
    layer.inverse_temperature = 10.0
    out = layer(x, training=True)
    np.testing.assert_array_equal(array(out["indices"]), array(indices))
    close(out["quantized"], quantized)
    close(loss_of(layer), loss)
    (slope,) = torch.autograd.grad((quantized * torch.tensor(weight)).sum() + 10 * loss, leaf)

    def objective(v):
        quantized = layer(v, training=True)["quantized"]
        return ops.sum(quantized * ops.convert_to_tensor(weight)) + 10 * layer.losses[0]

    close(gradient(objective, x), slope)
    close(layer.decode(np.arange(2**7)), module.indices_to_codes(torch.arange(2**7)[None])[0])


def test_masked_signs(exact_entropy):
    """With a mask, theirs do not average distributions, and the entropies cancel."""
    module = vqp.LFQ(codebook_size=2**5, dim=5, commitment_loss_weight=0.5)
    layer = layers.LFQ(num_bits=5, commitment_cost=0.5)
    x, mask = 0.1 * draw(4, 6, 5), np.random.default_rng(1).random((4, 6)) > 0.5
    layer(x, weights=mask.astype("float32"), training=True)
    *_, selected = module(torch.tensor(x[mask][None]))
    close(loss_of(layer), selected)
    _, parts = module(torch.tensor(x), mask=torch.tensor(mask), return_loss_breakdown=True)
    close(parts.per_sample_entropy, parts.batch_entropy)


def their_codebook(**options):
    torch.manual_seed(0)
    return vqp.VectorQuantize(dim=4, codebook_size=16, **options)


@pytest.mark.parametrize("gradient_name", ["straight_through", "rotation"])
@pytest.mark.parametrize("similarity", ["euclidean", "cosine"])
def test_codebook_looks_up_alike(gradient_name, similarity):
    module = their_codebook(
        rotation_trick=gradient_name == "rotation",
        use_cosine_sim=similarity == "cosine",
        freeze_codebook=True,
    )
    layer = layers.Codebook(16, 4, gradient=gradient_name, similarity=similarity)
    layer.build()
    layer.codebook.assign(array(module.codebook))
    x, weight = draw(8, 10, 4), draw(8, 10, 4, seed=1)
    (quantized, indices, loss), slope = theirs_and_slope(module, x, weight)
    out = layer(x)
    np.testing.assert_array_equal(array(out["indices"]), indices)
    close(out["quantized"], quantized)
    close(slope_of(layer, x, weight), slope)
    x = x / np.linalg.norm(x, axis=-1, keepdims=True) if similarity == "cosine" else x
    close(((x - array(out["codes"])) ** 2).mean(), loss)


@pytest.mark.parametrize(
    ("similarity", "masked"),
    [on_every_engine("euclidean", True), ("euclidean", False), ("cosine", True)],
)
def test_codebook_moves_alike(similarity, masked):
    """One step from even counts; ours keep smoothed counts from there on."""
    module = their_codebook(decay=0.9, use_cosine_sim=similarity == "cosine")
    layer = layers.Codebook(16, 4, decay=0.9, similarity=similarity, dead_code_patience=None)
    layer.build()
    for variable in (layer.codebook, layer.ema_sums):
        variable.assign(array(module.codebook))
    x, mask = draw(8, 10, 4), np.random.default_rng(1).random((8, 10)) > 0.5
    module(torch.tensor(x), mask=torch.tensor(mask) if masked else None)
    layer(x, weights=mask.astype("float32") if masked else None, training=True)
    close(layer.codebook, module.codebook)
    close(layer.ema_sums, module._codebook.embed_avg[0])


@pytest.mark.every_engine
def test_learned_codebook():
    """Their commitment loss has the gradient of both our terms, and the value of one."""
    module = their_codebook(
        learnable_codebook=True, ema_update=False, rotation_trick=False, orthogonal_reg_weight=0.5
    )
    layer = layers.LearnedCodebook(
        16, 4, codebook_cost=1.0, commitment_cost=1.0, orthogonality_weight=0.5
    )
    layer.build()
    layer.places.assign(array(module.codebook))
    x = draw(8, 10, 4)
    leaf = torch.tensor(x, requires_grad=True)
    quantized, indices, loss, parts = module(leaf, return_loss_breakdown=True)
    out = layer(x, training=True)
    np.testing.assert_array_equal(array(out["indices"]), array(indices))
    close(out["quantized"], quantized)
    commitment, orthogonality = array(parts.commitment), array(parts.orthogonal_reg)
    close(loss_of(layer), 2 * commitment + 0.5 * orthogonality)
    slope, code_slope = torch.autograd.grad(loss, [leaf, module._codebook.embed])

    def of_codes(offsets):
        layer.offsets.assign(np.zeros((16, 4)))
        with_offsets = layer._codes
        layer._codes = lambda: ops.add(layer.places, offsets)
        layer(x, training=True)
        layer._codes = with_offsets
        return layer.losses[0]

    def of_vectors(v):
        layer(v, training=True)
        return layer.losses[0]

    close(gradient(of_vectors, x), slope)
    close(gradient(of_codes, np.zeros((16, 4), "float32")), code_slope[0])


@pytest.mark.parametrize("gradient_name", ["straight_through", on_every_engine("rotation")])
def test_sim_vq(gradient_name):
    module = vqp.SimVQ(
        dim=4, codebook_size=16, frozen_codebook_dim=6, rotation_trick=gradient_name == "rotation"
    )
    layer = layers.SimVQ(16, 4, latent_dim=6, gradient=gradient_name, initial_scale=1.0)
    layer.build()
    layer.latent_codes.assign(array(module.frozen_codebook))
    layer.initial_projection.assign(array(module.code_transform.weight).T)
    x, weight = draw(8, 10, 4), draw(8, 10, 4, seed=1)
    (quantized, indices, loss), slope = theirs_and_slope(module, x, weight)
    out = layer(x, training=True)
    np.testing.assert_array_equal(array(out["indices"]), indices)
    close(out["quantized"], quantized)
    close(loss_of(layer), loss)
    close(slope_of(layer, x, weight), slope)
    close(layer.codebook, module.codebook)


@pytest.mark.parametrize("shared", [on_every_engine(False), True])
def test_residual_codebooks(shared):
    torch.manual_seed(0)
    module = vqp.ResidualVQ(
        dim=4, num_quantizers=3, codebook_size=16, shared_codebook=shared, rotation_trick=False
    )
    layer = layers.ResidualQuantizer(layers.Codebook(16, 4), num_levels=3, shared=shared)
    layer.build()
    for i, part in enumerate(layer.quantizers):
        part.codebook.assign(array(module.codebooks[i]))
    x = 0.3 * draw(8, 10, 4)
    module.eval()
    quantized, indices, _ = module(torch.tensor(x))
    out = layer(x)
    np.testing.assert_array_equal(array(out["indices"]), array(indices))
    close(out["quantized"], quantized)
    close(layer.decode(array(indices)[..., :2]), layer.decode(np.where([1, 1, 0], indices, -1)))
    close(layer.decode(array(indices)), module.get_output_from_indices(indices))


@pytest.mark.every_engine
def test_residual_fsq():
    module = vqp.ResidualFSQ(levels=list(LEVELS), num_quantizers=3)
    inner = layers.FSQ(LEVELS, symmetric=True, bound="clip")
    layer = layers.ResidualQuantizer(
        inner, num_levels=3, input_bound=[1 + 1 / (size - 1) for size in LEVELS]
    )
    x = draw(20, 10, 4)
    quantized, indices = module(torch.tensor(x))
    out = layer(x)
    np.testing.assert_array_equal(array(out["indices"]), array(indices))
    close(out["quantized"], quantized)
    close(layer.decode(array(indices)), module.get_output_from_indices(indices))


@pytest.mark.every_engine
def test_residual_signs(exact_entropy):
    module = vqp.ResidualLFQ(dim=4, codebook_size=16, num_quantizers=3, entropy_loss_weight=0.1)
    layer = layers.ResidualQuantizer(layers.LFQ(4), num_levels=3)
    x = draw(8, 10, 4)
    quantized, indices, loss = module(torch.tensor(x))
    out = layer(x, training=True)
    np.testing.assert_array_equal(array(out["indices"]), array(indices))
    close(out["quantized"], quantized)
    close([float(array(value)) for value in layer.losses], loss)


@pytest.mark.every_engine
def test_groups_are_their_heads():
    torch.manual_seed(0)
    module = vqp.VectorQuantize(
        dim=8,
        codebook_dim=4,
        codebook_size=16,
        heads=2,
        separate_codebook_per_head=True,
        rotation_trick=False,
    )
    module.eval()
    layer = layers.GroupedQuantizer(layers.Codebook(16, 4), num_groups=2)
    layer.build()
    for i, part in enumerate(layer.quantizers):
        part.codebook.assign(array(module.codebook[i]))
    x = draw(8, 10, 8)
    quantized, indices, _ = module(torch.tensor(x))
    out = layer(x)
    np.testing.assert_array_equal(array(out["indices"]), array(indices))
    close(out["quantized"], quantized)


@pytest.mark.parametrize("name", ["rotation", on_every_engine("diveq")])
def test_gradients_through_the_choice_of_a_code(name):
    from vector_quantize_pytorch.vector_quantize_pytorch import directional_reparam, rotate_to

    ours = {"rotation": rotation_trick, "diveq": diveq}[name]
    x, codes, weight = draw(20, 4), draw(20, 4, seed=1), draw(20, 4, seed=2)
    leaves = [torch.tensor(v, requires_grad=True) for v in (x, codes)]
    theirs = rotate_to(*leaves) if name == "rotation" else directional_reparam(*leaves, 0.0)
    slopes = torch.autograd.grad((theirs * torch.tensor(weight)).sum(), leaves, allow_unused=True)
    close(ours(x, codes), theirs)
    x_, codes_, weight_ = (ops.convert_to_tensor(v) for v in (x, codes, weight))
    close(gradient(lambda v: ops.sum(ours(v, codes_) * weight_), x), slopes[0])
    if name == "diveq":
        close(gradient(lambda v: ops.sum(ours(x_, v) * weight_), codes), slopes[1])
