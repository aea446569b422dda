"""The VQ-VAE keeps the contract of the other systems, and decodes what it encodes."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_cmg

SETTINGS = {
    "num_embeddings": 6,
    "embedding_dim": 4,
    "hidden_channels": 5,
    "num_residual": 1,
    "downsampling": 1,
}


def vqvae(**backbone):
    keras.utils.set_random_seed(0)
    return keras_cmg.models.VQVAE.from_preset("small", backbone={**SETTINGS, **backbone})


def pictures(count=6, side=8, channels=1):
    """Bright squares at random places: something that can be learned."""
    draws, images = np.random.default_rng(0), np.zeros((count, side, side, channels), "float32")
    for image in images:
        top, left = draws.integers(0, side - 3, 2)
        image[top : top + 3, left : left + 3] = 1
    return images


@pytest.mark.every_engine
def test_trains_encodes_decodes_and_comes_back(tmp_path):
    model, images = vqvae(), pictures()
    model.compile(keras.optimizers.Adam(1e-2))
    history = model.fit({"image": images}, epochs=8, batch_size=3, verbose=0).history
    assert set(history) == {"loss", *model.log_keys}
    assert history["loss"][-1] < history["loss"][0]
    before = model.backbone.codebook
    logs = model.evaluate({"image": images}, verbose=0, return_dict=True)
    np.testing.assert_array_equal(model.backbone.codebook, before)
    model.save(tmp_path / "vqvae.keras")
    again = keras.saving.load_model(tmp_path / "vqvae.keras")
    codes = again.backbone.encode("image", images)
    assert {name: tuple(x.shape) for name, x in codes.items()} == {
        "general": (6, 16, 4),
        "quantized": (6, 16, 4),
        "indices": (6, 16),
    }
    rebuilt = ops.convert_to_numpy(again.decode(codes["quantized"]))
    assert logs["reconstruction"] == pytest.approx(np.square(rebuilt - images).mean(), rel=1e-4)


def test_codes_are_the_nearest_and_a_clip_is_the_mean_of_its_places():
    model, images = vqvae(), pictures()
    model.backbone.adapt_codebook({"image": images}, level="segment")
    codes = {k: ops.convert_to_numpy(v) for k, v in model.backbone.encode("image", images).items()}
    codebook = model.backbone.codebook
    distances = np.square(codes["general"][..., None, :] - codebook).sum(axis=-1)
    np.testing.assert_array_equal(codes["indices"], distances.argmin(axis=-1))
    np.testing.assert_allclose(codes["quantized"], codebook[codes["indices"]], atol=1e-6)
    clip = ops.convert_to_numpy(model.backbone.encode("image", images, level="clip")["general"])
    np.testing.assert_allclose(clip, codes["general"].mean(axis=1), rtol=1e-4, atol=1e-6)


def test_places_of_codes_are_places_of_the_image():
    model = vqvae(num_residual=0)
    model.build({"image": (None, 8, 8, 1)})
    codes = np.random.default_rng(0).normal(size=(1, 16, 4)).astype("float32")
    other = codes.copy()
    other[0, 0] += 1  # The upper left place.
    changed = np.abs(ops.convert_to_numpy(model.decode(other) - model.decode(codes)))[0, ..., 0]
    assert changed[:2, :2].min() > 0
    assert changed[5:].max() == 0 and changed[:, 5:].max() == 0


def test_masked_channels_have_no_influence():
    model = vqvae()
    model.build({"image": (None, 8, 8, 1)})
    mask = keras_cmg.layers.TOCChannelMask(2, mode="mask")
    mask.adapt(model.backbone.codebook)
    codes = np.random.default_rng(0).normal(size=(1, 16, 4)).astype("float32")
    other = codes.copy()
    other[..., [k for k in range(4) if k not in mask.channel_indices]] += 5
    np.testing.assert_array_equal(
        ops.convert_to_numpy(model.decode(mask(codes))),
        ops.convert_to_numpy(model.decode(mask(other))),
    )


def test_trains_in_mixed_precision():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = vqvae()
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile()
    assert np.isfinite(model.fit({"image": pictures()}, verbose=0).history["loss"]).all()
    assert model.backbone.codebook.dtype == "float32"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: keras_cmg.models.VQVAEBackbone(("image", "depth")),
            "`modalities` must hold one name",
        ),
        (lambda: vqvae().decode(np.zeros((1, 16, 4))), "does not know the shape of the images"),
        (lambda: vqvae().build({"image": (None, 7, 8, 1)}), "multiples of 2"),
        (lambda: vqvae(hidden_channels=0), "`hidden_channels` must be at least 1"),
        (lambda: keras_cmg.models.VQVAE.from_preset("large"), "`preset` must be one of"),
        (
            lambda: keras_cmg.layers.ImageDecoder(1, (2, 2)).build((None, 5, 4)),
            "each position of the grid",
        ),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_images_of_another_size_are_refused():
    model = vqvae()
    model.build({"image": (None, 8, 8, 1)})
    with pytest.raises(ValueError, match=r"must have shape \(batch, 8, 8, 1\)"):
        model.backbone.encode("image", np.zeros((1, 8, 8, 3), "float32"))


def test_a_batch_that_is_no_dict_is_named():
    with pytest.raises(ValueError, match="A batch must be a dict of the modalities"):
        vqvae().backbone(pictures())
