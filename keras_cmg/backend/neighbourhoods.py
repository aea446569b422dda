"""The neighbourhoods of the positions of a map, for engines that compile what follows."""

from __future__ import annotations

from keras import ops


def patches(x, height, width):
    """Computes every neighbourhood, see `keras_cmg.backend.engine.patches`."""
    rows, columns = x.shape[1] - height + 1, x.shape[2] - width + 1
    taps = [x[:, i : i + rows, j : j + columns] for i in range(height) for j in range(width)]
    return ops.concatenate(taps, axis=-1)


def add_patches(x, height, width):
    """Adds every neighbourhood to a map, see `keras_cmg.backend.engine.add_patches`."""
    total = 0
    # Split at once: in JAX, the gradient of an indexed slice fills a whole array.
    for tap, copy in enumerate(ops.split(x, height * width, axis=-1)):
        i, j = divmod(tap, width)
        total = total + ops.pad(copy, ((0, 0), (i, height - 1 - i), (j, width - 1 - j), (0, 0)))
    return total
