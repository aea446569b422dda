"""The nearest code is found far from the origin, in bounded memory, for any number of vectors."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg
from keras_cmg.backend import engine
from keras_cmg.export import convertible_search
from keras_cmg.ops import code_matching, k_means, quantization

OFFSETS = (0.0, 1e3, 1e4)


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def clouds(offset: float, codes: str) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of unit spread around an offset, and codes: draws, or the centers of k-means."""
    x = (offset + draw(600, 16)).astype("float32")
    if codes == "k-means":
        return x, k_means(x, 64, num_iterations=3)
    return x, (offset + draw(64, 16, seed=1)).astype("float32")


def squared_distances(x: np.ndarray, codebook: np.ndarray) -> np.ndarray:
    return np.square(x[:, None].astype("float64") - codebook[None].astype("float64")).sum(axis=-1)


def assert_nearest(found, x: np.ndarray, codebook: np.ndarray) -> None:
    """Every code is the nearest in float64, or as near but for rounding of the distances."""
    distances = squared_distances(x, codebook)
    least = distances.min(axis=1)
    taken = distances[np.arange(len(x)), ops.convert_to_numpy(found)]
    np.testing.assert_allclose(taken, least, rtol=1e-5)


@pytest.mark.every_engine
@pytest.mark.parametrize("codes", ["drawn", "k-means"])
@pytest.mark.parametrize("offset", OFFSETS)
def test_nearest_codes_do_not_depend_on_the_distance_from_the_origin(offset, codes):
    x, codebook = clouds(offset, codes)
    assert_nearest(quantization.nearest_codes(x, codebook), x, codebook)
    assert_nearest(convertible_search.nearest_codes(x, codebook), x, codebook)


@pytest.mark.every_engine
@pytest.mark.parametrize("offset", OFFSETS)
def test_code_probabilities_do_not_depend_on_the_distance_from_the_origin(offset):
    x, codebook = clouds(offset, "drawn")
    distances = np.sqrt(squared_distances(x, codebook))
    shifted = -distances + distances.min(axis=1, keepdims=True)
    expected = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    found = ops.convert_to_numpy(code_matching.code_log_probabilities(x, codebook))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.every_engine
def test_layers_find_the_nearest_codes_far_from_the_origin():
    x, codebook = clouds(1e3, "k-means")
    layer = keras_cmg.layers.Codebook(64, 16)
    layer.build()
    layer.codebook.assign(codebook)
    assert_nearest(layer(x)["indices"], x, codebook)
    prototypes = keras_cmg.layers.Prototypes(64, 16)
    prototypes.adapt(x)
    units = x / np.linalg.norm(x.astype("float64"), axis=1, keepdims=True)
    places = ops.convert_to_numpy(prototypes.codebook)
    # Unit vectors of float32 differ from those of float64 by 3e-8 of a spread of 2.5e-4.
    taken = squared_distances(units, places)[
        np.arange(len(x)), ops.convert_to_numpy(prototypes.encode(x))
    ]
    np.testing.assert_allclose(taken, squared_distances(units, places).min(axis=1), rtol=2e-3)


def test_k_means_finds_the_same_clusters_far_from_the_origin():
    centers = 5 * draw(8, 3, seed=2)
    points = (centers[np.arange(400) % 8] + 0.1 * draw(400, 3)).astype("float64")
    near, far = k_means(points, 8), k_means(points + 1e4, 8)
    order = np.argsort(near[:, 0])
    # Half the spacing of float32 at 10,000.
    np.testing.assert_allclose(far[order] - 1e4, near[order], atol=6e-4)


@pytest.mark.parametrize("wrong", [1e8, np.inf])
def test_a_few_codes_far_away_do_not_move_the_center(wrong):
    codebook = 1000 + draw(40, 4)
    codebook[::7] = wrong
    assert np.abs(ops.convert_to_numpy(quantization.codebook_center(codebook)) - 1000).max() < 3
    if wrong == 1e8:
        x = 1000 + draw(50, 4, seed=1)
        assert_nearest(quantization.nearest_codes(x, codebook), x, codebook)


def test_codes_around_the_origin_have_it_as_their_center():
    # As in the first steps of the authors' code, most codes are far away in any direction.
    codebook = draw(100, 8)
    codebook[10:] *= 250
    center = ops.convert_to_numpy(quantization.codebook_center(codebook))
    np.testing.assert_array_equal(center, np.zeros(8))


def with_unknown_rows(function, dim: int):
    """The function, compiled or exported by the engine for any number of vectors."""
    name = keras.backend.backend()
    if name == "tensorflow":
        import tensorflow as tf

        signature = [tf.TensorSpec((None, dim), tf.float32)]
        return tf.function(function, input_signature=signature, autograph=False)
    if name == "jax":
        import jax
        from jax import export

        (rows,) = export.symbolic_shape("rows")
        return export.export(jax.jit(function))(jax.ShapeDtypeStruct((rows, dim), "float32")).call
    import torch

    class Module(torch.nn.Module):
        def forward(self, x):
            return function(x)

    module = torch.export.export(
        Module(), (torch.zeros(5, dim),), dynamic_shapes=({0: torch.export.Dim("rows")},)
    ).module()
    return lambda x: module(torch.as_tensor(x))


@pytest.mark.every_engine
@pytest.mark.parametrize("code_block", [2**15, 3])
def test_any_number_of_vectors_after_compilation(code_block):
    codebook = ops.convert_to_tensor(draw(7, 3))
    compiled = with_unknown_rows(
        lambda x: quantization.nearest_codes(x, codebook, 21, code_block), 3
    )
    for rows in (2, 3, 4, 7, 10, 23):
        x = draw(rows, 3, seed=rows)
        assert_nearest(compiled(x), x, ops.convert_to_numpy(codebook))


@pytest.mark.every_engine
def test_many_blocks_are_a_loop_in_a_compiled_graph():
    name, x, codebook = keras.backend.backend(), draw(600, 3), ops.convert_to_tensor(draw(7, 3))

    def search(x):
        return quantization.nearest_codes(x, codebook, max_elements=21)

    if name == "jax":
        import jax

        compiled = jax.jit(search)
        size = len(str(jax.make_jaxpr(search)(x)).splitlines())
    elif name == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(search)
        size = len(compiled.get_concrete_function(tf.constant(x)).graph.get_operations())
    else:
        pytest.skip("PyTorch runs the blocks one by one")
    # There are 200 blocks of several operations.
    assert size < 200
    assert_nearest(compiled(ops.convert_to_tensor(x)), x, ops.convert_to_numpy(codebook))


@pytest.mark.every_engine
def test_memory_is_bounded_where_the_number_of_vectors_is_unknown(monkeypatch):
    name, codebook = keras.backend.backend(), ops.convert_to_tensor(draw(64, 4))
    rows = 2**16
    x = draw(rows, 4)

    def search(x):
        return quantization.nearest_codes(x, codebook, max_elements=64 * 1024)

    if name == "jax":
        import jax

        compiled = jax.jit(with_unknown_rows(search, 4)).lower(x).compile()
        assert compiled.memory_analysis().temp_size_in_bytes < 4 * 64 * rows / 4
    elif name == "tensorflow":
        import tensorflow as tf

        sizes, best_columns = [], engine.best_columns

        def recorded(x, y, z):
            tf.numpy_function(lambda x: sizes.append(len(x)), [x], [])
            return best_columns(x, y, z)

        monkeypatch.setattr(engine, "best_columns", recorded)
        with_unknown_rows(search, 4)(x)
        # Keras' `map` evaluates one more block, for the types of its result.
        assert max(sizes) <= 1024 and sum(sizes) < 1.03 * rows
    else:
        pytest.skip("PyTorch knows every size when it runs")


def test_search_is_a_node_of_a_functional_model(tmp_path):
    inputs = keras.Input((5, 3))
    codebook = draw(7, 3)
    model = keras.Model(inputs, quantization.nearest_codes(inputs, codebook))
    model.save(tmp_path / "search.keras")
    model, x = keras.saving.load_model(tmp_path / "search.keras"), draw(4, 5, 3)
    found = model.predict(x, verbose=0)
    assert found.shape == (4, 5)
    assert_nearest(found.reshape(-1), x.reshape(-1, 3), codebook)


def test_a_users_setting_of_products_neither_acts_nor_changes():
    torch = pytest.importorskip("torch")
    if keras.backend.backend() != "torch":
        pytest.skip("the setting is PyTorch's")
    x, codebook = clouds(0.0, "k-means")
    torch.set_float32_matmul_precision("medium")
    try:
        assert_nearest(quantization.nearest_codes(x, codebook), x, codebook)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.every_engine
def test_products_of_tensorflow_keep_their_digits_in_tf32(monkeypatch):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the splitting is TensorFlow's")
    import tensorflow as tf

    from keras_cmg.backend import tensorflow as backend

    def tf32(x):
        bits = tf.bitcast(x, tf.int32) + tf.constant(0x1000, tf.int32)
        return tf.bitcast(tf.bitwise.bitwise_and(bits, tf.constant(-0x2000, tf.int32)), tf.float32)

    plain = tf.matmul
    monkeypatch.setattr(tf, "matmul", lambda x, y: plain(tf32(x), tf32(y)))
    monkeypatch.setattr(backend, "_rounds_products", lambda: True)
    x, y = draw(20, 30), draw(30, 10, seed=1)
    exact = x.astype("float64") @ y.astype("float64")
    found = backend.matmul(tf.constant(x), tf.constant(y)).numpy()
    rounded = tf.matmul(tf.constant(x), tf.constant(y)).numpy()
    assert np.abs(rounded - exact).max() > 1e-3
    assert np.abs(found - exact).max() < 1e-5
