"""What every published data set offers: examples by split, where their features lie, its traps."""

from __future__ import annotations

import abc
import functools
import os
from collections.abc import Collection
from pathlib import Path

from data_tools.io.arguments import check_choice
from data_tools.io.constants import SPLITS
from data_tools.published.examples import Example, Issue, hold_out, split_issues
from data_tools.published.sources import CaptionSource, FileSource, LabelSource, Source, TextEncoder

PROTOCOLS = ("heldout", "reference")


class PublishedDataset(abc.ABC):
    """Base of the published data sets: subclass it, read the annotations, name the traps.

    Attributes:
        name: name on the command line and in `load`.
        modalities: what it has.
        folders: where files may lie below the root, in the order of looking.

    Args:
        root: folder of annotations and features.
        protocol: "heldout": no video in two splits, nothing that is broken. "reference": the
            splits as the published code reads them, traps included.
        exclude: groups (video ids) to leave out of every split, such as the test videos of
            another data set.
        text_encoder: turns captions into word vectors, n sentences to (n, tokens, dim), where no
            stored text features are; hashed sub-words of 768 numbers if None.

    Raises:
        FileNotFoundError: the root does not exist.
        ValueError: the protocol is unknown.

    Example:
        >>> from data_tools.published.registry import PUBLISHED_DATASETS
        >>> sorted(PUBLISHED_DATASETS)[:3]
        ['ave', 'ave_avvp', 'avvp']
    """

    name: str
    modalities: tuple[str, ...]
    folders: tuple[str, ...] = ("",)

    def __init__(
        self,
        root: str | os.PathLike[str],
        protocol: str = "heldout",
        exclude: Collection[str] = (),
        text_encoder: TextEncoder | None = None,
    ) -> None:
        check_choice("protocol", protocol, PROTOCOLS)
        self.root = Path(root)
        if not self.root.is_dir():
            raise FileNotFoundError(f"`root` must be the folder of {self.name}; received: {root}")
        self.protocol = protocol
        self.exclude = frozenset(exclude)
        self.text_encoder = text_encoder

    # What a data set defines.

    @property
    @abc.abstractmethod
    def categories(self) -> tuple[str, ...]:
        """Class names in the order of the label columns, without the background."""

    @abc.abstractmethod
    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        """Published splits, and the traps of the files themselves."""

    def annotation_files(self) -> tuple[str, ...]:
        """Names of the files that `read` needs."""
        return ()

    # What all have in common.

    def find(self, *names: str) -> Path:
        """First of some files, below the root or one of its folders.

        Raises:
            FileNotFoundError: none is there.
        """
        for name in names:
            for folder in self.folders:
                path = self.root / folder / name
                if path.exists():
                    return path
        places = ", ".join(folder or "." for folder in self.folders)
        raise FileNotFoundError(
            f"{self.root} must hold {' or '.join(names)} in one of its folders ({places}); "
            "received none"
        )

    @functools.cached_property
    def _read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        return self.read()

    @property
    def published(self) -> dict[str, list[Example]]:
        """Splits as published."""
        return self._read[0]

    @functools.cached_property
    def heldout(self) -> dict[str, list[Example]]:
        """Splits without shared groups and without what is broken."""
        return hold_out(self.published, self.exclude)

    @property
    def splits(self) -> dict[str, list[Example]]:
        """Splits of the protocol."""
        if self.protocol == "heldout":
            return self.heldout
        return {
            split: [example for example in examples if example.group not in self.exclude]
            for split, examples in self.published.items()
        }

    def examples(self, split: str) -> list[Example]:
        """Examples of a split of the protocol.

        Raises:
            ValueError: the split is unknown, or empty in this protocol.
        """
        check_choice("split", split, SPLITS)
        found = self.splits.get(split, [])
        if not found:
            sizes = {name: len(examples) for name, examples in self.splits.items()}
            raise ValueError(
                f"`split` of {self.name!r} ({self.protocol}) must be one that has clips; "
                f"received: {split!r} of {sizes}"
            )
        return found

    def groups(self, split: str) -> frozenset[str]:
        """Videos of a split, to be left out elsewhere."""
        return frozenset(example.group for example in self.examples(split))

    def known_issues(self) -> list[Issue]:
        """Every trap found: those of the files, and those of the splits together."""
        return [*self._read[1], *split_issues(self.published)]

    def source(self, modality: str, split: str) -> Source:
        """Where a modality of a split is read from.

        Raises:
            ValueError: the data set has no such modality.
            FileNotFoundError: its folder is missing.
        """
        check_choice("modalities", modality, self.modalities)
        folder = self.feature_folder(modality, split)
        if modality == "text" and not folder.is_dir():
            return CaptionSource(self.text_encoder)
        # The usual shape is that of all splits.
        every = (example for examples in self.published.values() for example in examples)
        return FileSource(folder, modality, [example.id for example in every])

    def feature_folder(self, modality: str, split: str) -> Path:
        """Folder of the feature files of a modality."""
        try:
            return self.find(modality)
        except FileNotFoundError:
            return self.root / modality

    def labels(self, split: str, kind: str = "segment") -> Source:
        """Labels of a split.

        Raises:
            ValueError: there are no labels of that kind.
        """
        check_choice("labels", kind, ("segment",))
        if not self.categories:
            raise ValueError(f"`labels` must be False: {self.name} has no classes")
        return LabelSource(len(self.categories))
