"""Word vectors from hashed sub-words, which encode spelling, not meaning."""

from __future__ import annotations

import functools
import hashlib
import re

import numpy as np

_WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")


def words(caption: str) -> list[str]:
    """Splits a sentence into lower-case words.

    Args:
        caption: the sentence.

    Returns:
        Its words.

    Example:
        >>> words("A dog's bark, twice!")
        ['a', "dog's", 'bark', 'twice']
    """
    return _WORD.findall(caption.lower())


@functools.lru_cache(maxsize=65536)
def word_vector(word: str, dim: int) -> np.ndarray:
    """Computes the unit vector of a word.

    It is the sum of one Gaussian vector per character n-gram (3 to 5) and one for the whole word,
    each drawn with a hash of its letters as the seed.

    Args:
        word: lower-case word.
        dim: size of the vector.

    Returns:
        (dim,) float32, norm 1, not writeable.

    Example:
        >>> seven, seventh, dog = (word_vector(word, 64) for word in ("seven", "seventh", "dog"))
        >>> bool(seven @ seventh > 0.4 > seven @ dog)
        True

    References:
        Bojanowski et al., "Enriching word vectors with subword information", TACL 2017: words as
        sums of n-gram vectors (there learned, here random).
    """
    marked = f"<{word}>"
    grams = {marked} | {
        marked[start : start + size]
        for size in (3, 4, 5)
        for start in range(len(marked) - size + 1)
    }
    total = np.zeros(dim)
    for gram in sorted(grams):
        seed = int.from_bytes(hashlib.blake2b(gram.encode(), digest_size=8).digest(), "little")
        total += np.random.default_rng(seed).standard_normal(dim)
    vector = (total / np.linalg.norm(total)).astype(np.float32)
    vector.setflags(write=False)
    return vector


class TextFeatures:
    """Computes vectors of the first words of sentences, zero-padded.

    Args:
        dim: size of a word vector.
        num_tokens: words kept.

    Raises:
        ValueError: if an argument is less than 1.

    Example:
        >>> features = TextFeatures(dim=16, num_tokens=4)(["a small dog", "a"])
        >>> features.shape
        (2, 4, 16)
        >>> features.any(-1).sum(-1)
        array([3, 1])
    """

    def __init__(self, dim: int = 64, num_tokens: int = 10) -> None:
        for name, value in (("dim", dim), ("num_tokens", num_tokens)):
            if value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        self.dim = dim
        self.num_tokens = num_tokens

    def __call__(self, captions: list[str]) -> np.ndarray:
        """Computes features: n sentences to (n, num_tokens, dim) float32."""
        result = np.zeros((len(captions), self.num_tokens, self.dim), np.float32)
        for row, caption in enumerate(captions):
            for token, word in enumerate(words(caption)[: self.num_tokens]):
                result[row, token] = word_vector(word, self.dim)
        return result
