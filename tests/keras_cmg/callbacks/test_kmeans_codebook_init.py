"""Codes placed by k-means while training runs."""

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg.callbacks.kmeans_codebook_init import KMeansCodebookInit
from tests.helpers.small_fcid import compiled_fcid, small_batch


class Spy(keras.callbacks.Callback):
    """Keeps the codebook as it is when each epoch begins, after the callbacks before it."""

    def on_train_begin(self, logs=None):
        self.codes = []

    def on_epoch_begin(self, epoch, logs=None):
        self.codes.append(np.array(self.model.backbone.codebook))


def spread(codes):
    return float(np.linalg.norm(codes - codes.mean(axis=0)))


def compiled_after_build(batch):
    model = compiled_fcid(("audio", "text"))
    model.build({name: value.shape for name, value in batch.items()})
    return model


@pytest.mark.every_engine
def test_codes_move_to_the_features_before_the_epoch_asked_for():
    batch, spy = small_batch(("audio", "text"), 8), Spy()
    model = compiled_after_build(batch)
    start = KMeansCodebookInit(batch, epoch=1)
    model.fit(batch, epochs=3, batch_size=4, verbose=0, callbacks=[start, spy])
    first, placed, last = spy.codes
    features = [model.backbone.encode(name, batch[name], "clip")["general"] for name in batch]
    size = max(np.abs(keras.ops.convert_to_numpy(x)).max() for x in features)
    assert spread(placed) > 2 * spread(first)
    assert np.abs(placed).max() < 10 * size
    # Training went on from there.
    assert 0 < np.abs(last - placed).max() < np.abs(placed).max()


def test_the_codes_are_those_of_adapting_by_hand():
    batch, spy = small_batch(("audio", "text"), 8), Spy()
    model, other = compiled_after_build(batch), compiled_after_build(batch)
    other.set_weights(model.get_weights())
    model.fit(batch, verbose=0, callbacks=[KMeansCodebookInit(batch), spy])
    other.backbone.adapt_codebook(batch)
    np.testing.assert_allclose(spy.codes[0], other.backbone.codebook, atol=1e-6)


def test_segments_are_looked_at_where_training_quantises_them():
    batch = small_batch(("audio", "text"), 8)
    model = compiled_fcid(("audio", "text"), backbone={"quantize_level": "segment"})
    model.build({name: value.shape for name, value in batch.items()})
    assert model.backbone.trained_level("audio") == "segment"
    assert model.backbone.trained_level("text") == "clip"
    seen = []
    model.backbone.quantizer.adapt = lambda features: seen.append(features.shape)
    model.backbone.adapt_codebook([batch, batch])
    assert seen == [(2 * (8 * 10 + 8), 8)]


def test_batches_of_a_loader_and_a_limit():
    class Loader(keras.utils.PyDataset):
        def __len__(self):
            return 3

        def __getitem__(self, index):
            return (small_batch(("audio",), 4, seed=index),)

    start = KMeansCodebookInit(Loader(), max_clips=6)
    assert [len(batch["audio"]) for batch in start._batches()] == [4, 2]
    assert [len(b["audio"]) for b in KMeansCodebookInit(list(Loader()), 0)._batches()] == [4, 4, 4]


def test_what_cannot_be_read_twice_is_refused():
    with pytest.raises(ValueError, match=r"readable more than once.*list_iterator"):
        KMeansCodebookInit(iter([]))
    model = compiled_fcid(("audio",))
    model.build({"audio": (None, 10, 12)})
    with pytest.raises(ValueError, match="at least one batch"):
        model.backbone.adapt_codebook([])


def test_fcid_starts_its_codebook_itself():
    batch, given = small_batch(("audio", "text"), 8), []
    model = compiled_fcid(("audio", "text"), codebook_init_step=0)
    spy = Spy()
    given.append(spy)
    model.fit(batch, epochs=1, verbose=0, callbacks=given)
    assert given == [spy]
    plain = compiled_fcid(("audio", "text"))
    plain.fit(batch, epochs=1, verbose=0)
    assert spread(model.backbone.codebook) > 2 * spread(plain.backbone.codebook)
    assert keras_cmg.models.FCID.from_config(model.get_config()).codebook_init_step == 0
    with pytest.raises(ValueError, match="`codebook_init_step` must be a step from 0 on"):
        compiled_fcid(("audio",), codebook_init_step=-1)
