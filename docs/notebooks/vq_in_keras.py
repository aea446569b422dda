# %% [markdown]
# # Vector quantisation in Keras
#
# An image VQ-VAE in twenty lines, trained on handwritten digits that come with scikit-learn. Every
# quantiser of `keras_cmg.layers` is a Keras layer, so that it takes its place in any Keras model:
# on TensorFlow, JAX and PyTorch.

# %%
import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import keras_cmg

keras.utils.set_random_seed(0)
images = load_digits().images[..., None].astype("float32") / 16  # 1797 of 8 x 8 pixels, 0 to 1
train, test = images[:1500], images[1500:]
train.shape, test.shape


# %% [markdown]
# ## The model
#
# An encoder halves the side of an image, a quantiser replaces each of its 4 x 4 vectors by the
# nearest of 64 codes, a decoder makes an image of the codes. The quantiser adds its own loss and
# passes the gradient on.


# %%
class VQVAE(keras.Model):
    def __init__(self, quantizer):
        super().__init__()
        dim, relu = quantizer.embedding_dim, "relu"
        self.encoder = keras.Sequential(
            [
                keras.layers.Conv2D(32, 3, padding="same", activation=relu),
                keras.layers.Conv2D(32, 4, strides=2, padding="same", activation=relu),
                keras.layers.Conv2D(dim, 1),
                keras.layers.Reshape((16, dim)),
            ]
        )
        self.quantizer = quantizer
        self.decoder = keras.Sequential(
            [
                keras.layers.Reshape((4, 4, dim)),
                keras.layers.Conv2DTranspose(32, 4, strides=2, padding="same", activation=relu),
                keras.layers.Conv2D(1, 3, padding="same"),
            ]
        )

    def call(self, images, training=False):
        codes = self.quantizer(self.encoder(images), training=training)
        return self.decoder(codes["quantized"])


def trained(quantizer, epochs=8):
    model = VQVAE(quantizer)
    model.compile(keras.optimizers.Adam(2e-3), "mse")
    model.fit(
        train,
        train,
        batch_size=150,
        epochs=epochs,
        validation_data=(test, test),
        callbacks=[keras_cmg.callbacks.TrainingProgress()],
    )
    return model


def squared_error(model):
    return round(float(np.mean((model.predict(test, verbose=0) - test) ** 2)), 4)


model = trained(
    keras_cmg.layers.LearnedCodebook(
        num_embeddings=64, embedding_dim=16, initial_scale=0.5, dead_code_patience=50
    )
)
squared_error(model)

# %% [markdown]
# The squared error is that of test images; their variance is the error of a model that answers with
# the mean image.

# %%
round(float(((test - train.mean(axis=0)) ** 2).mean()), 4)


# %% [markdown]
# ## Images and their codes


# %%
def show(model, count=8):
    rebuilt = model.predict(test[:count], verbose=0)
    _, axes = plt.subplots(2, count, figsize=(count, 2.2))
    for row, (name, shown) in enumerate({"image": test, "rebuilt": rebuilt}.items()):
        for column in range(count):
            axes[row, column].imshow(shown[column, ..., 0], cmap="gray", vmin=0, vmax=1)
            axes[row, column].axis("off")
        axes[row, 0].set_title(name, loc="left", fontsize=9)
    plt.show()


show(model)

# %% [markdown]
# `encode` gives the codes of images, 16 integers each, and `decode` their vectors: the code is all
# that is kept of an image.

# %%
tokens = model.quantizer.encode(model.encoder.predict(test, verbose=0))
vectors = keras.ops.convert_to_numpy(model.quantizer.decode(tokens))
decoded = model.decoder.predict(vectors, verbose=0)
assert np.allclose(decoded, model.predict(test, verbose=0), atol=1e-5)
tokens = keras.ops.convert_to_numpy(tokens)
tokens[0].reshape(4, 4)

# %% [markdown]
# How many codes are in use, and as how many equally frequent ones they count:

# %%
perplexity = keras_cmg.metrics.Perplexity(num_embeddings=64)
perplexity.update_state(tokens)
len(np.unique(tokens)), round(float(perplexity.result()), 1)

# %% [markdown]
# ## Another quantiser
#
# Any quantiser takes the place of another. `FSQ` rounds four channels to a grid of 8 x 5 x 5 x 5
# codes, and adds no loss; `ProjectedQuantizer` gives it the width of the model. The
# [page on quantisers](../quantizers.md) says which one to take.

# %%
grid = keras_cmg.layers.ProjectedQuantizer(keras_cmg.layers.FSQ((8, 5, 5, 5)), embedding_dim=16)
other = trained(grid)
show(other)
squared_error(other)
