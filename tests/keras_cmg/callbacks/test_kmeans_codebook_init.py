"""Codes placed by k-means once per model, before a training step."""

import itertools

import keras
import numpy as np
import pytest

import keras_cmg
from tests.helpers.small_fcid import compiled_fcid, small_batch, small_fcid
from tests.helpers.small_systems import batch as system_batch
from tests.helpers.small_systems import compiled_system

PAIR = ("audio", "text")
ENGINE = keras.backend.backend()


class Spy(keras.callbacks.Callback):
    """Counts how often the codes are placed, and keeps them as each step begins."""

    def on_train_begin(self, logs=None):
        self.codes = []

    def on_train_batch_begin(self, batch, logs=None):
        self.codes.append(np.array(self.model.backbone.codebook))


def count_placements(model):
    """A list that grows by the number of vectors whenever the codes are placed."""
    placed, adapt = [], model.backbone.quantizer.adapt

    def counted(features):
        placed.append(len(features))
        adapt(features)

    model.backbone.quantizer.adapt = counted
    return placed


def spread(codes):
    return float(np.linalg.norm(codes - codes.mean(axis=0)))


def built_model(modalities=PAIR, **options):
    model = compiled_fcid(modalities, **options)
    model.build({name: value.shape for name, value in small_batch(modalities).items()})
    return model


def batches(count, sizes=(4, 2), modalities=PAIR):
    """Batches of different sizes, as tuples."""
    return [(small_batch(modalities, clips=sizes[i % len(sizes)], seed=i),) for i in range(count)]


def test_codes_move_to_the_features_before_the_step():
    batch, spy = small_batch(PAIR, 8), Spy()
    model = built_model(codebook_init_step=1)
    placed = count_placements(model)
    # The model's own callback comes after the caller's: the spy sees the codes one step later.
    model.fit(batch, epochs=3, batch_size=4, verbose=0, callbacks=[spy])
    assert placed == [16]
    first, before, after = spy.codes[:3]
    features = model.backbone.codebook_features(batch)
    assert spread(after) > 2 * spread(first)
    assert spread(before) < 1.5 * spread(first)
    assert np.abs(after).max() < 10 * np.abs(features).max()


def test_the_codes_are_those_of_adapting_by_hand():
    batch = small_batch(PAIR, 8)
    model, other = built_model(), built_model()
    other.set_weights(model.get_weights())
    init, spy = keras_cmg.callbacks.KMeansCodebookInit(), Spy()
    model.fit(batch, verbose=0, callbacks=[init, spy])
    other.backbone.adapt_codebook(batch)
    np.testing.assert_allclose(spy.codes[0], other.backbone.codebook, atol=1e-6)


def test_once_over_several_fits():
    """Five times `fit(epochs=1)` is one run: the codes are placed in the third, and only there."""
    model = built_model(codebook_init_step=4)
    placed = count_placements(model)
    counts = []
    for _ in range(5):
        model.fit(small_batch(PAIR, 4), batch_size=2, verbose=0)
        counts.append(len(placed))
    assert counts == [0, 0, 1, 1, 1]


def test_a_trained_or_loaded_model_keeps_its_codes(tmp_path):
    batch = small_batch(PAIR, 4)
    model = built_model(codebook_init_step=0)
    model.fit(batch, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    weights = small_fcid(PAIR, codebook_init_step=0)
    weights.build({name: value.shape for name, value in batch.items()})
    weights.load_weights(tmp_path / "model.weights.h5")
    weights.compile()
    for other in (model, loaded, weights):
        placed = count_placements(other)
        other.fit(batch, verbose=0)
        assert placed == []


def test_a_frozen_codebook_does_not_move():
    model = built_model(codebook_init_step=0)
    model.backbone.quantizer.trainable = False
    before = model.backbone.codebook.copy()
    model.fit(small_batch(PAIR), verbose=0)
    np.testing.assert_array_equal(model.backbone.codebook, before)


@pytest.mark.parametrize("frozen", [(0,), (1,), (0, 1)])
def test_parts_that_are_not_frozen_are_placed(frozen):
    """Those of the projected part are frozen within it."""
    layers = keras_cmg.layers
    quantizer = layers.GroupedQuantizer(
        [layers.ProjectedQuantizer(layers.Codebook(4, 2), 3), layers.Codebook(4, 5)]
    )
    model = compiled_system("cmcm", backbone={"quantizer": quantizer})
    model.build({m: x.shape for m, x in system_batch().items()})
    parts = quantizer.adaptable_parts()
    for i in frozen:
        parts[i].trainable = False
    spy, before = Spy(), [np.array(keras.ops.convert_to_numpy(part.codebook)) for part in parts]
    init = keras_cmg.callbacks.KMeansCodebookInit()
    placed = []
    spy.on_train_batch_begin = lambda batch, logs=None: placed.extend(
        np.array(keras.ops.convert_to_numpy(part.codebook)) for part in parts
    )
    model.fit(system_batch(), verbose=0, callbacks=[init, spy])
    same = [np.array_equal(old, new) for old, new in zip(before, placed, strict=True)]
    assert same == [i in frozen for i in range(2)]


# What Keras says at the end of a data set of unknown length.
ENDED = "ignore:Your input ran out of data:UserWarning"


@pytest.mark.filterwarnings(ENDED)
@pytest.mark.parametrize("kind", ["generator", "infinite", "dataset", "pydataset", "loader"])
def test_every_kind_of_data(kind):
    """Each kind starts the codes on its own batches, and trains on all of them."""
    model = built_model(codebook_init_step=2)
    placed = count_placements(model)
    taken = []

    def generator(items):
        for item in items:
            taken.append(item)
            yield item

    options = {}
    if kind == "generator":
        data = generator(batches(5))
    elif kind == "infinite":
        data = (batch for batch in itertools.cycle(batches(5)))
        options = {"steps_per_epoch": 2, "epochs": 2}
    elif kind == "dataset":
        tf = pytest.importorskip("tensorflow")
        clips = {n: np.concatenate([b[n] for (b,) in batches(5)]) for n in PAIR}
        data = tf.data.Dataset.from_tensor_slices((clips,)).batch(4).filter(lambda batch: True)
    elif kind == "pydataset":

        class Endless(keras.utils.PyDataset):
            num_batches = None

            def __getitem__(self, index):
                return batches(5)[index % 5]

        data, options = Endless(), {"steps_per_epoch": 4}
        model.training_callbacks = lambda: [keras_cmg.callbacks.KMeansCodebookInit(2, max_clips=7)]
    else:
        import torch

        clips = [{n: x[i] for n, x in b.items()} for (b,) in batches(5) for i in range(2)]
        data = torch.utils.data.DataLoader(
            clips, batch_size=4, collate_fn=lambda rows: ({
                n: torch.tensor(np.stack([row[n] for row in rows])) for n in PAIR
            },)
        )  # fmt: skip
    model.fit(data, shuffle=False, verbose=0, **options)
    assert len(placed) == 1
    if kind == "generator":
        assert len(taken) == 5
    if kind == "pydataset":
        # The first seven clips, each with a vector of either modality.
        assert placed == [14]
    assert int(keras.ops.convert_to_numpy(model.backbone.quantizer.step)) >= 3


@pytest.mark.filterwarnings(ENDED)
def test_batches_of_a_generator_are_kept_up_to_a_number_of_clips():
    init = keras_cmg.callbacks.KMeansCodebookInit(step=5, max_clips=5)
    for batch in batches(6):
        init.watch(batch)
    assert [len(batch["audio"]) for batch in init.kept] == [4, 2]
    model = built_model()
    placed = count_placements(model)
    model.fit((batch for batch in batches(8)), shuffle=False, verbose=0, callbacks=[init])
    assert placed == [2 * 5]
    assert init.kept == []


def test_masked_clips_have_no_part():
    batch = small_batch(PAIR, 4)
    batch["text_mask"] = np.ones((4, 5))
    batch["text_mask"][0] = 0
    batch["text"][0] = np.nan
    model = built_model(codebook_init_step=0)
    placed = count_placements(model)
    model.fit(batch, verbose=0)
    assert placed == [7]


def test_segments_are_looked_at_where_training_quantises_them():
    batch = small_batch(PAIR, 8)
    model = built_model(backbone={"quantize_level": "segment"})
    assert model.backbone.trained_level("audio") == "segment"
    assert model.backbone.trained_level("text") == "clip"
    assert model.backbone.codebook_features([batch, batch]).shape == (2 * (8 * 10 + 8), 8)


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match="`step` must be at least 0"):
        keras_cmg.callbacks.KMeansCodebookInit(-1)
    with pytest.raises(ValueError, match="`max_clips` must be at least 1"):
        keras_cmg.callbacks.KMeansCodebookInit(max_clips=0)
    with pytest.raises(ValueError, match="at least one batch"):
        built_model().backbone.adapt_codebook([])
    with pytest.raises(ValueError, match="`codebook_init_step` must be a step from 0 on"):
        compiled_fcid(("audio",), codebook_init_step=-1)


def test_the_step_is_part_of_the_configuration():
    model = compiled_fcid(PAIR, codebook_init_step=3)
    assert keras_cmg.models.FCID.from_config(model.get_config()).codebook_init_step == 3


@pytest.mark.every_engine
def test_unknown_lengths_and_several_steps_per_execution():
    """A data set of unknown length with a smaller last batch, then a generator: one placement."""
    steps = 1 if ENGINE == "torch" else 2
    data = batches(3, sizes=(4, 4, 2), modalities=("text",))
    model = compiled_fcid(("text",), codebook_init_step=1, steps_per_execution=steps)
    model.build({"text": data[0][0]["text"].shape})
    placed = count_placements(model)
    before = model.backbone.codebook.copy()
    options = {"shuffle": False, "verbose": 0, "steps_per_epoch": 2}
    history = model.fit((batch for batch in data), validation_data=data[0], **options).history
    assert np.isfinite([*history["loss"], *history["val_loss"]]).all()
    assert len(placed) == 1 and spread(model.backbone.codebook) > 2 * spread(before)
    model.fit((batch for batch in data), **options)
    assert len(placed) == 1
