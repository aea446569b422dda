"""Systems with other quantisers than their codebook."""

import keras
import numpy as np
import pytest

from keras_cmg import layers
from tests.helpers.small_systems import batch, compiled_system, small_system

CASES = {
    "fcid": lambda: layers.FSQ((3, 3)),
    "dcid": lambda: layers.SimVQ(6, 8),
    "cmcm": lambda: layers.BSQ(3),
    "turn": lambda: layers.ResidualQuantizer(layers.Codebook(6, 8), num_levels=2),
    "fac": lambda: layers.GroupedQuantizer(layers.FSQ((3, 3, 3, 3)), num_groups=2),
    "vanilla": lambda: layers.LearnedCodebook(6, 8),
}


@pytest.mark.parametrize("name", CASES)
def test_a_system_trains_and_is_saved_with_any_quantizer(name, tmp_path):
    model = compiled_system(name, backbone={"quantizer": CASES[name]()})
    data = {**batch(), "text_mask": np.tile([1, 1, 1, 0, 0, 0, 0, 0, 0, 0], (4, 1))}
    logs = model.train_on_batch(data, return_dict=True)
    assert np.isfinite(list(map(float, logs.values()))).all()
    quantizer = model.backbone.quantizer
    assert quantizer.embedding_dim == model.backbone.embedding_dim == 8
    assert model.backbone.num_embeddings == quantizer.num_embeddings
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for a, b in zip(
        keras.tree.flatten(model.predict(data, verbose=0)),
        keras.tree.flatten(loaded.predict(data, verbose=0)),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


def test_losses_of_a_quantizer_are_part_of_the_loss():
    totals = []
    for weight in (0.0, 100.0):
        quantizer = layers.SimVQ(6, 8, loss_weight=weight)
        model = compiled_system("vanilla", backbone={"quantizer": quantizer})
        totals.append(float(model.train_on_batch(batch(), return_dict=True)["loss"]))
    assert totals[1] > totals[0] + 1


def test_code_matching_needs_a_single_codebook():
    quantizer = layers.ResidualQuantizer(layers.Codebook(6, 8), num_levels=2)
    model = small_system("cmcm", backbone={"quantizer": quantizer})
    model.compile()
    with pytest.raises(ValueError, match="ResidualQuantizer has no single codebook"):
        model.train_on_batch(batch())
