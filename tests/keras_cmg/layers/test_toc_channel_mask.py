import keras
import numpy as np
import pytest
from keras import ops

from keras_cmg.layers import TOCChannelMask
from keras_cmg.ops import channel_scores, select_channels


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def array(value):
    return np.array(ops.convert_to_numpy(value))


def adapted(**kwargs):
    layer = TOCChannelMask(**kwargs)
    layer.adapt(draw(9, 6))
    return layer


def test_selects_what_the_scores_say_best_first():
    layer, x = adapted(num_channels=3), draw(4, 5, 6, seed=1)
    expected = select_channels(channel_scores(draw(9, 6)).importance, 3)
    assert layer.channel_indices.tolist() == expected.tolist()
    np.testing.assert_array_equal(array(layer(x)), x[..., expected])


def test_mask_keeps_chosen_channels_and_clears_the_others():
    layer, x = adapted(num_channels=3, mode="mask"), draw(4, 6, seed=1)
    kept = np.isin(np.arange(6), layer.channel_indices)
    np.testing.assert_array_equal(array(layer(x)), x * kept)


@pytest.mark.parametrize("mode", ["select", "mask"])
def test_dropped_channels_have_no_influence(mode):
    layer, x = adapted(num_channels=3, mode=mode), draw(4, 6, seed=1)
    changed = x.copy()
    changed[:, np.setdiff1d(np.arange(6), layer.channel_indices)] += 7
    np.testing.assert_array_equal(array(layer(x)), array(layer(changed)))


def test_usage_changes_the_choice():
    layer = TOCChannelMask(num_channels=1)
    codes = np.array([[1.0, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0.0]])
    layer.adapt(codes, usage=[1, 1, 9, 9])
    assert layer.channel_indices.tolist() == [1]
    layer.adapt(codes, usage=[9, 9, 1, 1])
    assert layer.channel_indices.tolist() == [0]


def test_all_channels_may_stay():
    layer, x = adapted(num_channels=6, mode="mask"), draw(4, 6, seed=1)
    np.testing.assert_array_equal(array(layer(x)), x)


def test_nothing_is_trained():
    model = keras.Sequential([keras.Input((6,)), adapted(num_channels=2), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    before = model.layers[0].channel_indices
    model.fit(draw(8, 6), np.ones((8, 1)), verbose=0)
    assert len(model.trainable_variables) == 2
    np.testing.assert_array_equal(model.layers[0].channel_indices, before)


def test_saved_choice_is_loaded(tmp_path):
    model = keras.Sequential([keras.Input((6,)), adapted(num_channels=2)])
    model.save(tmp_path / "toc.keras")
    loaded = keras.saving.load_model(tmp_path / "toc.keras")
    np.testing.assert_array_equal(loaded.layers[0].channel_indices, model.layers[0].channel_indices)


@keras.saving.register_keras_serializable("tests")
class Selecting(keras.Model):
    """A subclassed model, whose layers an engine traces together."""

    def __init__(self, toc, **kwargs):
        super().__init__(**kwargs)
        self.toc = toc
        self.built = True

    def call(self, inputs):
        return self.toc(inputs) + 1.0

    def get_config(self):
        return {"toc": keras.saving.serialize_keras_object(self.toc)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config["toc"]))


def functional(toc):
    inputs = keras.Input((6,))
    return keras.Model(inputs, toc(inputs) + 1.0)


UNADAPTED = "no channels have been chosen. Call `adapt"


@pytest.mark.every_engine
@pytest.mark.parametrize("mode", ["select", "mask"])
@pytest.mark.parametrize("wrap", [functional, Selecting])
def test_a_layer_without_a_choice_refuses_and_an_adapted_one_works_from_its_file(
    wrap, mode, tmp_path
):
    x = draw(4, 6, seed=1)
    layer = TOCChannelMask(num_channels=2, mode=mode)
    layer.build((None, 6))
    restored = TOCChannelMask.from_config(adapted(num_channels=2, mode=mode).get_config())
    restored.build((None, 6))
    for unadapted in (layer, restored):
        assert not unadapted.adapted
        with pytest.raises(ValueError, match=UNADAPTED):
            unadapted(x)
    model = wrap(layer)
    model.save(tmp_path / "unadapted.keras")
    for refusing in (model, keras.saving.load_model(tmp_path / "unadapted.keras")):
        for call in (refusing, lambda x, model=refusing: model.predict(x, verbose=0)):
            with pytest.raises(ValueError, match=UNADAPTED):
                call(x)
    layer.adapt(draw(9, 6))
    expected = array(layer(x)) + 1.0
    model.save(tmp_path / "adapted.keras")
    loaded = keras.saving.load_model(tmp_path / "adapted.keras")
    np.testing.assert_allclose(loaded.predict(x, verbose=0), expected)
    np.testing.assert_allclose(wrap(layer).predict(x, verbose=0), expected)


@pytest.mark.every_engine
def test_a_choice_set_as_weights_counts():
    layer, other = adapted(num_channels=2), TOCChannelMask(num_channels=2)
    other.build((None, 6))
    other.set_weights(layer.get_weights())
    x = draw(4, 6, seed=1)
    np.testing.assert_array_equal(array(other(x)), array(layer(x)))


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: TOCChannelMask(2, mode="drop"), "`mode` must be one of .*'drop'"),
        (lambda: TOCChannelMask(0), "`num_channels` must be at least 1. Received: 0"),
        (lambda: TOCChannelMask(2)(draw(1, 6)), r"Call `adapt\(codebook\)` first"),
        (lambda: TOCChannelMask(2).channel_indices, r"Call `adapt\(codebook\)` first"),
        (lambda: TOCChannelMask(7).adapt(draw(9, 6)), "between 1 and the codebook's dimension 6"),
        (lambda: adapted(num_channels=2).adapt(draw(9, 5)), "must have 6 channels. Received: 5"),
        (lambda: adapted(num_channels=2)(draw(1, 5)), r"inputs must have the 6 channels.*\(1, 5\)"),
    ],
)
def test_mistakes_are_named(act, message):
    with pytest.raises(ValueError, match=message):
        act()


def test_several_codebooks_each_keep_a_share_of_the_channels():
    first, second = draw(9, 4), draw(5, 8)
    layer = TOCChannelMask(6)
    layer.adapt([first, second])
    parts = [TOCChannelMask(2), TOCChannelMask(4)]
    for part, codes in zip(parts, (first, second), strict=True):
        part.adapt(codes)
    expected = [*parts[0].channel_indices, *(4 + parts[1].channel_indices)]
    assert layer.channel_indices.tolist() == expected
    layer.adapt((first, second))
    assert layer.channel_indices.tolist() == expected
    with pytest.raises(ValueError, match="`usage` must be None with several codebooks"):
        layer.adapt([first, second], usage=np.ones(9))
    with pytest.raises(ValueError, match="between 1 and the codebook's dimension 12"):
        TOCChannelMask(13).adapt([first, second])
