"""The interface of the published data sets: examples by split, sources of features, issues."""

from __future__ import annotations

import abc
import functools
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from data_tools.io.arguments import check_choice
from data_tools.io.constants import SPLITS
from data_tools.io.files import reading
from data_tools.published.examples import Example, Issue, hold_out, split_issues
from data_tools.published.sources import CaptionSource, FileSource, LabelSource, Source, TextEncoder

PROTOCOLS = ("heldout", "reference")
HELD_OUT_FROM = {"train": ("val", "test"), "val": ("test",), "test": ()}
"""Splits whose groups must not be in a split."""


class PublishedDataset(abc.ABC):
    """Base class of the published data sets.

    Subclasses set the attributes and implement `categories` and `read`.

    Attributes:
        name: name on the command line and in `load`.
        modalities: its modalities.
        folders: folders below the root where files may lie, in the order of the search.
        youtube_ids: whether its groups are ids of YouTube videos, which other data sets may share.

    Args:
        root: folder of annotations and features.
        protocol: "heldout": no group in two splits, and nothing that is broken. "reference": the
            splits as the published code reads them, known issues included.
        exclude: groups (video ids) to leave out of all splits, such as the test videos of another
            data set.
        text_encoder: function from n sentences to word vectors (n, tokens, dim), used if no text
            features are stored; hashed sub-words with 768 features if None.

    Raises:
        FileNotFoundError: if the root does not exist.
        ValueError: if the protocol is unknown.

    Example:
        >>> from data_tools.published.registry import PUBLISHED_DATASETS
        >>> sorted(PUBLISHED_DATASETS)[:3]
        ['ave', 'ave_avvp', 'avvp']
    """

    name: str
    modalities: tuple[str, ...]
    folders: tuple[str, ...] = ("",)
    youtube_ids = False

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
            raise FileNotFoundError(f"`root` must be the folder of {self.name}. Received: {root}")
        self.protocol = protocol
        self.exclude = frozenset(exclude)
        self.text_encoder = text_encoder

    # Defined by each data set.

    @property
    @abc.abstractmethod
    def categories(self) -> tuple[str, ...]:
        """Class names in the order of the label columns, without the background."""

    @abc.abstractmethod
    def read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        """Reads the annotations.

        Returns:
            The published splits, and the issues of the files themselves.

        Raises:
            FileNotFoundError: if an annotation file is missing.
            ValueError: if an annotation file is damaged.
        """

    def annotation_files(self) -> tuple[str, ...]:
        """Names of the annotation files that the chosen options need."""
        return ()

    def split_files(self) -> Mapping[str, Sequence[str]]:
        """Possible names of the file of each split, for data sets with a file per split.

        Such a data set can be read in part: a split needs its own file and those of the splits
        whose videos it must not have.
        """
        return {}

    # The same for all data sets.

    def find(self, *names: str) -> Path:
        """Finds the first of some files below the root or one of its folders.

        Raises:
            FileNotFoundError: if none is there.
        """
        for name in names:
            for folder in self.folders:
                path = self.root / folder / name
                if path.exists():
                    return path
        places = ", ".join(folder or "." for folder in self.folders)
        raise FileNotFoundError(
            f"{self.root} must hold {' or '.join(names)} in one of its folders ({places}). "
            "Received none"
        )

    def has(self, *names: str) -> bool:
        """Whether one of some files is below the root or one of its folders."""
        try:
            return bool(self.find(*names))
        except FileNotFoundError:
            return False

    def is_present(self) -> bool:
        """Whether any annotation file of the data set is below the root.

        A data set that is present but lacks one of its files is incomplete: reading it raises an
        error. One that is not present was never put there.
        """
        files = {
            *self.annotation_files(),
            *(n for names in self.split_files().values() for n in names),
        }
        return any(self.has(name) for name in files)

    @functools.cached_property
    def _read(self) -> tuple[dict[str, list[Example]], list[Issue]]:
        with reading(self.root, f"hold the annotations of {self.name}"):
            return self.read()

    @property
    def published(self) -> dict[str, list[Example]]:
        """Splits as published."""
        return self._read[0]

    @functools.cached_property
    def heldout(self) -> dict[str, list[Example]]:
        """Splits without shared groups and without faults."""
        return hold_out(self.published, self.exclude)

    @property
    def splits(self) -> dict[str, list[Example]]:
        """Splits of the protocol, as far as their files are there."""
        if self.protocol == "heldout":
            return self.heldout
        return {
            split: [example for example in examples if example.group not in self.exclude]
            for split, examples in self.published.items()
        }

    def split_names(self) -> tuple[str, ...]:
        """Returns the names of the splits that have clips; errors of their files are raised."""
        return tuple(split for split in SPLITS if self.splits.get(split))

    def require_split(self, split: str) -> None:
        """Raises an error if a file that decides a split is missing.

        Args:
            split: "train", "val" or "test".

        Raises:
            FileNotFoundError: if the file of the split is missing, or, in the protocol "heldout",
                the file of another split whose videos it must not have.
        """
        files = self.split_files()
        if split in files:
            self.find(*files[split])
        for other in HELD_OUT_FROM[split] if self.protocol == "heldout" else ():
            if other in files and not self.has(*files[other]):
                raise FileNotFoundError(
                    f"split {split!r} of {self.name} must not have videos of {other!r}, but "
                    f"{' or '.join(files[other])} is missing from {self.root}. Add the file, or "
                    'use `protocol="reference"`, which holds nothing out.'
                )

    def examples(self, split: str) -> list[Example]:
        """Returns the examples of a split of the protocol.

        Raises:
            FileNotFoundError: if a file that decides the split is missing.
            ValueError: if the split is unknown, or empty in this protocol.
        """
        check_choice("split", split, SPLITS)
        self.require_split(split)
        found = self.splits.get(split, [])
        if not found:
            sizes = {name: len(examples) for name, examples in self.splits.items()}
            raise ValueError(
                f"`split` of {self.name!r} ({self.protocol}) must be one that has clips. "
                f"Received: {split!r} of {sizes}"
            )
        return found

    def groups(self, split: str) -> frozenset[str]:
        """Returns the groups (videos) of a split, to be left out elsewhere."""
        return frozenset(example.group for example in self.examples(split))

    def listed_groups(self) -> dict[str, frozenset[str]]:
        """Returns all groups (videos) that the annotations list, by published split."""
        return {
            split: frozenset(example.group for example in examples)
            for split, examples in self.published.items()
        }

    def known_issues(self) -> list[Issue]:
        """Returns all issues that were found: those of the files and those of the splits."""
        return [*self._read[1], *split_issues(self.published)]

    def source(self, modality: str, split: str) -> Source:
        """Returns the source of a modality of a split.

        Raises:
            ValueError: if the data set has no such modality.
            FileNotFoundError: if its folder is missing.
        """
        check_choice("modalities", modality, self.modalities)
        folder = self.feature_folder(modality, split)
        if modality == "text" and not folder.is_dir():
            return CaptionSource(self.text_encoder)
        # The usual shape is that of all splits.
        every = (example for examples in self.published.values() for example in examples)
        return FileSource(folder, modality, [example.id for example in every])

    def feature_folder(self, modality: str, split: str) -> Path:
        """Returns the folder of the feature files of a modality."""
        return self.find(modality) if self.has(modality) else self.root / modality

    def labels(self, split: str, kind: str = "segment") -> Source:
        """Returns the source of the labels of a split.

        Raises:
            ValueError: if there are no labels of that kind.
        """
        check_choice("labels", kind, ("segment",))
        if not self.categories:
            raise ValueError(f"`labels` must be False: {self.name} has no classes")
        return LabelSource(len(self.categories))
