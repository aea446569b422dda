"""A trained model that encodes clips from raw files, words or features."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from keras_cmg.encoding.raw_features import RawFeatures, open_raw_features
from keras_cmg.faults import shorten
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.search.clip_index import ClipIndex
from keras_cmg.search.encoded_clips import EncodedClips

BATCH = 64
"""Clips encoded at once."""
INDEX = "index"
"""Folder of a run that holds the index of its clips."""
ON_ERROR = ("raise", "skip")
SHOWN = 3
"""Clips that cannot be read whose reasons an error gives."""


class CrossModalEncoder:
    """Encodes clips of any modality of a trained model into the space that modalities share.

    `keras_cmg.load` returns one of a saved run.

    Args:
        backbone: a built `keras_cmg.models.Backbone`.
        labels: names of the classes of the training clips; empty without classes.
        card: dict of the model card: data, numbers, limits, licence.
        run: folder of the run, which keeps the extractors of raw files and an index; None for
            features alone.
        models: modality to the path of the model file of its extractor, where it is not at the
            recorded place.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio", "video"))
    >>> backbone.build({"audio": (None, 10, 128), "video": (None, 10, 7, 7, 64)})
    >>> model = keras_cmg.CrossModalEncoder(backbone, labels=("dog", "sea"))
    >>> sounds = model.encode("audio", features=np.zeros((2, 10, 128)))
    >>> sounds.names, sounds.vectors.shape
    (('0', '1'), (2, 256))
    """

    def __init__(
        self,
        backbone: Backbone,
        labels: Sequence[str] = (),
        card: Mapping[str, Any] | None = None,
        run: str | os.PathLike[str] | None = None,
        models: Mapping[str, str] | None = None,
    ):
        self.backbone = backbone
        self.labels = tuple(labels)
        self.card = dict(card or {})
        self.run = None if run is None else Path(run)
        self.models = dict(models or {})
        self._raw: RawFeatures | None = None
        self._index: ClipIndex | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities."""
        return self.backbone.modalities

    @property
    def index(self) -> ClipIndex:
        """The index of the run's clips, a `keras_cmg.search.ClipIndex`, read at the first use.

        Raises:
            FileNotFoundError: if the run has no index.
        """
        if self._index is None:
            if self.run is None:
                raise FileNotFoundError("A model without a run has no index; make a ClipIndex.")
            folder = self.run / INDEX
            if not folder.is_dir():
                raise FileNotFoundError(
                    f"{self.run} has no index of clips; `keras-cmg index --clips FOLDER --run "
                    f"{self.run} --out INDEX` makes one, for --index or ClipIndex.load"
                )
            with tempfile.TemporaryDirectory() as scratch:
                if any(path.is_symlink() for path in folder.rglob("*")):
                    # Downloads of the hub are links into its cache, which an index refuses.
                    folder = Path(shutil.copytree(folder, Path(scratch, INDEX)))
                self._index = ClipIndex.load(folder)
        return self._index

    def new_index(self, storage: str = "float32") -> ClipIndex:
        """Creates an index without clips, for clips that this model encodes.

        Args:
            storage: how vectors are stored, `"float32"` or `"float16"`.

        Returns:
            A `keras_cmg.search.ClipIndex`.

        Raises:
            ValueError: if the model has no codes.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> backbone.build({"audio": (None, 10, 128)})
        >>> model = keras_cmg.CrossModalEncoder(backbone)
        >>> index = model.new_index()
        >>> index.add(model.encode("audio", features=np.ones((2, 10, 128)), names=("a", "b")))
        >>> len(index)
        2
        """
        self.backbone.require_codebook("An index of clips")
        return ClipIndex(self.backbone.code_source(), storage)

    def check_index(self, index: ClipIndex) -> None:
        """Checks that an index was made with this model: vectors of two models do not compare.

        Args:
            index: the index.

        Raises:
            ValueError: if it has another codebook.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> backbone.build({"audio": (None, 10, 128)})
        >>> model = keras_cmg.CrossModalEncoder(backbone)
        >>> model.check_index(model.new_index())
        """
        if not np.array_equal(index.codebook, self.new_index().codebook):
            raise ValueError(
                "`index` must be made with the model that searches it; it has another codebook. "
                "Index the clips again."
            )

    def encode(
        self,
        modality: str,
        files: Sequence[str | os.PathLike[str]] | None = None,
        texts: Sequence[str] | None = None,
        features: Any = None,
        names: Sequence[str] | None = None,
        on_error: str = "raise",
    ) -> EncodedClips:
        """Encodes clips of one modality, given as files, as words, or as features.

        Args:
            modality: one of `modalities`.
            files: paths of sounds, pictures, videos or `.txt` files.
            texts: sentences, of the modality `"text"`.
            features: float `(clips, frames, ...)`, features as the model was trained on.
            names: a name per clip; default its path, its words or its number.
            on_error: what a clip does that cannot be read: `"raise"` an error that names some such
                clips, or `"skip"`, which leaves them out and lists them in `failures`.

        Returns:
            The clips, a `keras_cmg.search.EncodedClips`.

        Raises:
            FileNotFoundError: if a model file of an extractor is not found.
            ImportError: if a package of an extractor is missing.
            ValueError: if not exactly one of `files`, `texts` and `features` is given, a clip
                cannot be read, or the run keeps no extractors.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("text",))
        >>> backbone.build({"text": (None, 10, 64)})
        >>> model = keras_cmg.CrossModalEncoder(backbone)
        >>> model.encode("text", features=np.ones((1, 4, 64)), names=["a dog"]).indices.shape
        (1,)
        """
        self.backbone.check_modality(modality)
        if on_error not in ON_ERROR:
            raise ValueError(f"`on_error` must be one of {ON_ERROR}. Received: {on_error!r}")
        given = [files is not None, texts is not None, features is not None]
        if sum(given) != 1:
            raise ValueError("Exactly one of `files`, `texts` and `features` must be given.")
        if texts is not None and modality != "text":
            raise ValueError(f"`texts` must be of the modality 'text'. Received: {modality!r}")
        for name, value in (("files", files), ("texts", texts)):
            if isinstance(value, str | os.PathLike):
                raise ValueError(f"`{name}` must be a list. Received the single {value!r}.")
        sources = [os.fspath(source) for source in (files if texts is None else texts) or ()]
        count = len(sources) if features is None else len(features)
        if names is not None and len(names) != count:
            raise ValueError(f"`names` must have {count} entries. Received: {len(names)}")
        failures: list[tuple[str, str]] = []
        if features is None:
            called = list(map(str, names or sources))
            rows, kept = self._extracted(
                modality, sources if texts is None else (), texts or (), called, failures
            )
            if failures and on_error == "raise":
                reasons = "; ".join(
                    f"{shorten(name, 100)}: {shorten(reason, 150)}"
                    for name, reason in failures[:SHOWN]
                )
                more = len(failures) - SHOWN
                raise ValueError(
                    f"Every clip of {modality!r} must be readable. Received: {reasons}"
                    f"{f'; and {more} more' if more > 0 else ''}"
                )
        else:
            rows, kept = np.asarray(features, "float32"), list(range(count))
            called = list(map(str, names or kept))
        vectors, indices = self._encoded(modality, rows)
        return EncodedClips(
            tuple(called[place] for place in kept),
            vectors,
            indices,
            rows,
            modality,
            tuple(sources[place] for place in kept) if files is not None else (),
            tuple(failures),
        )

    def _extracted(
        self,
        modality: str,
        files: Sequence[str],
        texts: Sequence[str],
        names: Sequence[str],
        failures: list[tuple[str, str]],
    ) -> tuple[np.ndarray, list[int]]:
        """Features of the clips that can be read, and their positions."""
        if self._raw is None:
            if self.run is None:
                raise ValueError("A model without a run has no extractors. Pass `features`.")
            self._raw = open_raw_features(self.run, self.models)
        if modality not in self._raw.modalities:
            raise ValueError(
                f"The run must keep an extractor of {modality!r}; it has those of "
                f"{self._raw.modalities}. Pass `features`."
            )
        rows, kept = [], []
        for place, found in enumerate(self._raw(modality, files, texts)):
            if isinstance(found, str):
                failures.append((names[place], found))
            else:
                rows.append(found)
                kept.append(place)
        shape = tuple(size or 1 for size in self.backbone.feature_shapes[modality][1:])
        return np.stack(rows) if rows else np.zeros((0, *shape), "float32"), kept

    def _encoded(self, modality: str, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        vectors, indices = [], []
        for start in range(0, max(len(features), 1), BATCH):
            x = features[start : start + BATCH]
            # As in training: a word without features is padding.
            mask = np.any(x != 0, axis=-1) if modality == "text" else None
            if not len(x):
                # One clip of zeros gives the shapes of none.
                x, mask = np.zeros((1, *features.shape[1:]), "float32"), None
            codes = self.backbone.encode(modality, x, "clip", mask)
            found = ops.convert_to_numpy(self.backbone.index_features(modality, codes))
            count = len(features[start : start + BATCH])
            vectors.append(np.asarray(found, "float32")[:count])
            none = np.zeros((len(x), 0), "int32")
            indices.append(ops.convert_to_numpy(codes.get("indices", none))[:count])
        return np.concatenate(vectors), np.concatenate(indices)
