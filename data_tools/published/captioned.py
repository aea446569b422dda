"""Base class of the data sets of clips with sentences."""

from __future__ import annotations

import abc
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import Any

from data_tools.published.base import PublishedDataset
from data_tools.published.examples import Example, Issue


class CaptionedDataset(PublishedDataset):
    """Base class of the data sets for retrieval: pairs of a clip and a sentence, without classes.

    Args:
        root: folder of annotations and features.
        num_captions: sentences of a clip that are used, each as a separate pair.
        num_pairs: pairs of each split that are used, chosen by a hash of the id; all if None.
        options: arguments of `PublishedDataset`.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if a number is less than 1.

    Example:
        >>> from data_tools.published.clotho import Clotho
        >>> issubclass(Clotho, CaptionedDataset)
        True
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        num_captions: int = 1,
        num_pairs: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(root, **options)
        for name, value in (("num_captions", num_captions), ("num_pairs", num_pairs)):
            if value is not None and value < 1:
                raise ValueError(f"`{name}` must be at least 1. Received: {value}")
        self.num_captions = num_captions
        self.num_pairs = num_pairs

    @property
    def categories(self) -> tuple[str, ...]:
        return ()

    @abc.abstractmethod
    def pairs(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        """Returns the published splits, and the issues of the files themselves."""

    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        splits, issues = self.pairs()
        return {name: self._subset(examples) for name, examples in splits.items()}, issues

    def _subset(self, examples: list[Example]) -> list[Example]:
        if self.num_pairs is None:
            return examples
        usable = [example for example in examples if not example.fault]
        chosen = {example.key for example in sorted(usable, key=_place)[: self.num_pairs]}
        return [example for example in usable if example.key in chosen]

    def captioned(self, id: str, group: str, captions: Sequence[str]) -> list[Example]:
        """Makes the examples of one clip from its first sentences that are not empty.

        A clip whose sentences are all empty stays as one example with that fault.
        """
        spoken = [caption.strip() for caption in captions if caption.strip()]
        if not spoken:
            return [Example(id, id, group, caption="", fault="empty caption")]
        return [
            Example(id, id if number == 0 else f"{id}#{number}", group, caption=caption)
            for number, caption in enumerate(spoken[: self.num_captions])
        ]


def empty_captions(named: Iterable[tuple[str, Sequence[str]]]) -> list[str]:
    """Finds empty sentences.

    Args:
        named: id and sentences of each clip.

    Returns:
        Id and number of each, from 1.

    Example:
        >>> empty_captions([("a.wav", ["rain", " "]), ("b.wav", ["wind"])])
        ['a.wav sentence 2']
    """
    return [
        f"{id} sentence {number}"
        for id, captions in named
        for number, caption in enumerate(captions, start=1)
        if not caption.strip()
    ]


def _place(example: Example) -> bytes:
    return hashlib.blake2b(example.key.encode(), digest_size=8).digest()
