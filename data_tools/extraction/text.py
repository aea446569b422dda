"""Text extractors: hashed sub-words, which need no weights, and BERT of KerasHub."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import DecodeError, decode_caption
from data_tools.extraction.extractor import Extractor
from data_tools.features import TextFeatures
from data_tools.features.text import words
from data_tools.io.files import missing
from data_tools.store import Field


class CaptionExtractor(Extractor):
    """Base class of extractors of the first words of a caption, zero-padded.

    Args:
        num_tokens: words kept.
        dim: size of a word vector.
    """

    def __init__(self, num_tokens: int, dim: int) -> None:
        self.num_tokens, self.dim = num_tokens, dim

    @property
    def field(self) -> Field:
        return Field((self.num_tokens, self.dim))

    def decode(self, root: Path, clip: Mapping[str, Any]) -> str:
        if clip.get("text"):
            caption = decode_caption(root / clip["text"])
        elif "caption" in clip:
            caption = " ".join(clip["caption"].split())
        else:
            raise DecodeError("has no caption")
        if not words(caption):
            raise DecodeError("has no words" if caption else "is empty")
        return caption


class Words(CaptionExtractor):
    """Computes hashed sub-word vectors; needs no download.

    Args:
        num_tokens: words kept.
        dim: size of a word vector.

    Example:
        >>> Words(num_tokens=4, dim=16)("a dog barks").shape
        (4, 16)
    """

    def __init__(self, num_tokens: int = 10, dim: int = 64) -> None:
        super().__init__(num_tokens, dim)
        self.features = TextFeatures(dim, num_tokens)

    def __call__(self, signal: str) -> np.ndarray:
        return self.features([signal])[0]


class BERT(CaptionExtractor):
    """Computes word vectors of BERT: the last layer, averaged over the pieces of each known word.

    Args:
        num_tokens: words kept.
        preset: KerasHub preset, such as "bert_base_en_uncased", or the folder of one.

    Raises:
        ImportError: if KerasHub is not installed.
        ValueError: if there is no such preset, or it cannot be loaded.

    References:
        Devlin et al., "BERT: pre-training of deep bidirectional transformers for language
        understanding", NAACL 2019.
    """

    def __init__(self, num_tokens: int = 10, preset: str = "bert_base_en_uncased") -> None:
        try:
            import keras_hub
        except ImportError as error:
            what = "the extractor 'words' needs no package; 'bert' needs"
            raise missing("keras_hub", what, error) from error
        try:
            self.tokenizer = keras_hub.models.BertTokenizer.from_preset(preset)
            self.backbone = keras_hub.models.BertBackbone.from_preset(preset)
        except Exception as error:  # what a hub raises depends on the hub
            raise ValueError(f"`preset` {preset!r} could not be loaded: {error}") from error
        super().__init__(num_tokens, int(self.backbone.hidden_dim))

    def pieces(self, caption: str) -> list[list[int]]:
        """Returns the word pieces of the first words that have no unknown piece."""
        unknown = self.tokenizer.token_to_id("[UNK]")
        found = []
        for word in words(caption):
            pieces = [int(piece) for piece in np.asarray(self.tokenizer(word)).reshape(-1)]
            if pieces and unknown not in pieces:
                found.append(pieces)
        return found[: self.num_tokens]

    def __call__(self, signal: str) -> np.ndarray:
        from keras import ops

        known = self.pieces(signal)
        if not known:
            raise DecodeError("has no word that BERT knows")
        flat = [piece for word in known for piece in word]
        tokens = np.array([[self.tokenizer.cls_token_id, *flat, self.tokenizer.sep_token_id]])
        outputs = self.backbone(
            {
                "token_ids": tokens.astype("int32"),
                "segment_ids": np.zeros_like(tokens, "int32"),
                "padding_mask": np.ones_like(tokens, "int32"),
            },
            training=False,
        )
        vectors = ops.convert_to_numpy(outputs["sequence_output"])[0, 1:-1]
        result = np.zeros((self.num_tokens, self.dim), np.float32)
        ends = np.cumsum([len(word) for word in known])
        for row, (end, word) in enumerate(zip(ends, known, strict=True)):
            result[row] = vectors[end - len(word) : end].mean(axis=0)
        return result
