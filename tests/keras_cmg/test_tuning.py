"""The tuner's side of the library: what is searched, for every system, and what is kept."""

import json
import subprocess
import sys

import numpy as np
import pytest

import keras_cmg
from keras_cmg import tuning
from tests.helpers.small_fcid import small_batch

NAMES = ("audio", "text")


def hypermodel(folder, system="fcid", score=lambda backbone, mask, seed: 0.5, **options):
    return tuning.CMGHyperModel(
        system, lambda seed: small_batch(NAMES), score, folder, modalities=NAMES, **options
    )


@pytest.mark.parametrize("system", [s for s in keras_cmg.models.list_models() if s != "vqvae"])
def test_every_system_starts_at_its_preset(system, tmp_path):
    model = hypermodel(tmp_path, system)
    values = model.values(tuning.keras_tuner.HyperParameters())
    assert values == model.defaults()
    assert {"embedding_dim", "learning_rate"} <= set(values)
    built = model.build(tuning.keras_tuner.HyperParameters())
    preset = keras_cmg.models.create_model(system, modalities=NAMES)
    assert built.backbone.get_config().keys() == preset.backbone.get_config().keys()
    assert built.loss_weights == pytest.approx(preset.loss_weights)
    assert built.backbone.embedding_dim == preset.backbone.embedding_dim
    assert ("toc_share" in values) == (built.backbone.quantizer is not None)
    assert ("estimator_learning_rate" in values) == bool(built.estimators)


def test_values_reach_the_model(tmp_path):
    model = hypermodel(tmp_path, preset="small")
    values = {
        "num_embeddings": 100,
        "embedding_dim": 64,
        "dead_code_patience": 7,
        "weight_cpc": 1.0,
    }
    values = {**values, "weight_infonce": 3.0, "learning_rate": 2e-3}
    del values["weight_cpc"]
    built = model.compiled({**values, "estimator_learning_rate": 5e-3}, 0)
    codebook = built.backbone.quantizer
    assert (codebook.num_embeddings, codebook.embedding_dim, codebook.dead_code_patience) == (
        100,
        64,
        7,
    )
    assert built.loss_weights["infonce"] == 3.0
    assert float(built.optimizer.learning_rate) == pytest.approx(2e-3)
    assert float(built.optimizer.estimator.learning_rate) == pytest.approx(5e-3)


def test_a_share_of_dimensions_is_chosen_by_toc_with_its_lambda(tmp_path):
    model = hypermodel(tmp_path)
    backbone = model.known.backbone
    backbone.build({"audio": (None, 10, 12), "text": (None, 5, 8)})
    mask = model.mask({"toc_share": 0.5, "toc_lambda": 0.9}, backbone)
    expected = keras_cmg.layers.TOCChannelMask(128, variance_weight=0.9)
    expected.adapt(backbone.code_source())
    np.testing.assert_array_equal(mask.channel_indices, expected.channel_indices)
    assert model.mask({"toc_share": 1.0}, backbone) is None


def test_what_is_left_out_of_the_space_stays(tmp_path):
    space = tuning.Space(
        num_embeddings=(), embedding_dim=(), dead_code_patience=(), loss_weight=(), toc_share=()
    )
    model = hypermodel(tmp_path, space=space, preset="small")
    assert set(model.defaults()) == {"toc_lambda", "learning_rate", "estimator_learning_rate"}
    # The default preset has no estimators.
    model = hypermodel(tmp_path, space=space)
    assert set(model.defaults()) == {"toc_lambda", "learning_rate"}


@pytest.fixture
def tiny():
    return tuning.Space(
        num_embeddings=(4, 6), embedding_dim=(8,), loss_weight=(), estimator_learning_rate=()
    )


def test_seeds_are_averaged_and_no_training_is_done_twice(tmp_path, tiny):
    trained = []

    def score(backbone, mask, seed):
        trained.append(seed)
        return seed / 10

    model = hypermodel(tmp_path / "scores", score=score, seeds=(1, 3), epochs=1, space=tiny)
    found = model.fit(tuning.keras_tuner.HyperParameters(), None)
    assert found == {tuning.OBJECTIVE: pytest.approx(0.2)}
    assert trained == [1, 3]
    again = hypermodel(tmp_path / "scores", score=score, seeds=(1, 3, 5), epochs=1, space=tiny)
    assert again.fit(tuning.keras_tuner.HyperParameters(), None)[tuning.OBJECTIVE] == pytest.approx(
        0.3
    )
    assert trained == [1, 3, 5]
    kept = [json.loads(path.read_text()) for path in (tmp_path / "scores").glob("*.json")]
    assert sorted(entry["seed"] for entry in kept) == [1, 3, 5]
    assert not list((tmp_path / "scores").glob("*.part"))


def test_another_number_of_epochs_is_another_training(tmp_path, tiny):
    one, two = (hypermodel(tmp_path, epochs=n, space=tiny) for n in (1, 2))
    assert one._key({}, 0) != two._key({}, 0)
    assert tuning.tuner(one, tmp_path, 1).project_dir != tuning.tuner(two, tmp_path, 1).project_dir


def test_refuses_scores_that_are_no_numbers(tmp_path, tiny):
    model = hypermodel(
        tmp_path, score=lambda backbone, mask, seed: float("nan"), epochs=1, space=tiny
    )
    with pytest.raises(ValueError, match="finite"):
        model.measure({}, 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "message"),
    [({"seeds": ()}, "seeds"), ({"epochs": 0}, "epochs"), ({"preset": "large"}, "preset")],
)
def test_refuses_bad_arguments(options, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        hypermodel(tmp_path, **options)


def test_refuses_unknown_methods(tmp_path):
    with pytest.raises(ValueError, match="method"):
        tuning.tuner(hypermodel(tmp_path), tmp_path, 1, method="grid")
    with pytest.raises(ValueError, match="max_trials"):
        tuning.tuner(hypermodel(tmp_path), tmp_path, 0)


def test_says_what_to_install(repository):
    code = "import sys; sys.modules['keras_tuner'] = None; import keras_cmg.tuning"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=False
    )
    assert "pip install -e '.[tuner]'" in done.stderr.splitlines()[-1]


def with_quantizer(folder, quantizer, **options):
    backbone = {"embedding_dim": quantizer.embedding_dim, "quantizer": quantizer}
    return hypermodel(folder, preset="small", overrides={"backbone": backbone}, **options)


def test_a_given_quantizer_keeps_its_size_and_starts_anew_in_each_trial(tmp_path):
    quantizer = keras_cmg.layers.Codebook(6, 8)
    model = with_quantizer(tmp_path, quantizer)
    values = model.values(tuning.keras_tuner.HyperParameters())
    assert not {"num_embeddings", "embedding_dim", "dead_code_patience"} & set(values)
    assert "toc_share" in values
    first, second = (model.create(values, 0).backbone.quantizer for _ in range(2))
    assert first is not second and quantizer not in (first, second)
    assert second.num_embeddings == 6 and not second.built


def test_channels_of_a_grid_are_not_searched(tmp_path):
    model = with_quantizer(tmp_path, keras_cmg.layers.FSQ((3, 3, 3, 3)))
    values = model.values(tuning.keras_tuner.HyperParameters())
    assert not {"toc_share", "toc_lambda"} & set(values)
    assert model.mask(values, model.known.backbone) is None


def test_scores_of_other_quantizers_are_not_reused(tmp_path):
    keys = [
        with_quantizer(tmp_path, keras_cmg.layers.FSQ(levels))._key({}, 0)
        for levels in ((3, 3, 3, 3), (3, 3, 3, 3), (5, 3, 3, 3))
    ]
    assert keys[0] == keys[1] != keys[2]
