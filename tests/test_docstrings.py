"""Every public name says what it takes, gives and refuses, and shows how it is used."""

from __future__ import annotations

import doctest
import inspect
import re
import types

import pytest

import keras_cmg

CITATION = re.compile(r"\(\d{4}\)|\(([A-Z][\w .]+, )?\d{4}[,)]|Eqs?\. \d")
"""A year in parentheses, after the names of authors or with them, or the number of an equation."""

PLAIN_OPS = {
    "activation_shares",
    "code_agreement",
    "code_counts",
    "code_histograms",
    "code_overlap",
    "code_usage",
    "codebook_center",
    "cosine_logits",
    "decibels",
    "diagonal_accuracy",
    "entropy",
    "jigsaw_accuracy",
    "jigsaw_orders",
    "l2_normalize",
    "mask_frames",
    "mask_logits",
    "mean_over_time",
    "pack_digits",
    "pack_signs",
    "pair_presence",
    "perplexity",
    "presence",
    "random_integer",
    "random_permutation",
    "random_uniform",
    "same_event",
    "scalar_values",
    "sign_entropy",
    "spectrogram_sizes",
    "summarize_mel",
    "summed_sign_probabilities",
    "unpack_digits",
    "unpack_signs",
    "weighted_mean",
    "weights_like",
}
"""Ops without an equation of a publication."""

SECTION = re.compile(r"^([A-Z][A-Za-z ]+):$", re.MULTILINE)


def public_objects() -> dict[str, object]:
    """Classes and functions in `__all__` of the package and of the modules that it exports."""
    found: dict[str, object] = {}
    modules = [("keras_cmg", keras_cmg)]
    for prefix, module in modules:
        for name in getattr(module, "__all__", ()):
            value = getattr(module, name)
            if isinstance(value, types.ModuleType):
                modules.append((f"{prefix}.{name}", value))
            elif callable(value):
                found[f"{prefix}.{name}"] = value
    return found


def sections(docstring: str) -> dict[str, str]:
    """Split a cleaned docstring at its unindented `Name:` lines."""
    parts = SECTION.split(docstring)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def parameters(value: object) -> list[str]:
    """Names of the parameters that a caller chooses, without `self` and `**kwargs`."""
    function = value.__init__ if inspect.isclass(value) else value
    if function is object.__init__:
        return []
    named = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return [
        name
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.kind not in named
    ]


def faults(value: object) -> list[str]:
    """What the docstring of a public class or function lacks."""
    if not value.__doc__:
        return ["no docstring"]
    docstring = inspect.cleandoc(value.__doc__)
    found = sections(docstring)
    missing = []
    described = "\n".join(re.findall(r"^    \S[^:]*:", found.get("Args", ""), re.MULTILINE))
    missing += [
        f"Args lacks {name}"
        for name in parameters(value)
        if not re.search(rf"\b{name}\b", described)
    ]
    # A named tuple is shown by the function that gives it.
    is_record = inspect.isclass(value) and issubclass(value, tuple)
    if not is_record and ">>> " not in found.get("Example", "") + found.get("Examples", ""):
        missing.append("no Example that runs")
    body = value.__init__ if inspect.isclass(value) else value
    if inspect.isfunction(body) and re.search(r"^\s+raise ", inspect.getsource(body), re.MULTILINE):
        missing += [] if "Raises" in found else ["raises, but has no Raises"]
    if inspect.isfunction(value) and "Returns" not in found:
        missing += [] if value.__annotations__.get("return") in (None, "None") else ["no Returns"]
    return missing


def public_of(namespace: str, kind: type) -> list[str]:
    """Public names of a namespace of the package, of classes or of functions."""
    prefix = f"keras_cmg.{namespace}."
    return sorted(
        name
        for name, value in public_objects().items()
        if name.startswith(prefix) and isinstance(value, kind)
    )


def prints_a_value(docstring: str) -> bool:
    """Whether an example has output that is more than a shape or a truth value."""
    examples = doctest.DocTestParser().get_examples(docstring)
    return any(re.search(r"\d", example.want) for example in examples)


def mentions_masks(docstring: str) -> bool:
    """Whether a paragraph of a layer says what it does with masks."""
    return re.search(r"^Masks: \S", docstring, re.MULTILINE) is not None


@pytest.mark.parametrize("name", public_of("layers", type))
def test_layer_says_what_it_does_with_masks(name: str) -> None:
    assert mentions_masks(inspect.cleandoc(public_objects()[name].__doc__ or ""))


@pytest.mark.parametrize("name", public_of("ops", types.FunctionType))
def test_op_cites_its_equation_and_prints_a_value(name: str) -> None:
    docstring = inspect.cleandoc(public_objects()[name].__doc__ or "")
    cites = CITATION.search(sections(docstring).get("References", "")) is not None
    assert cites != (name.rpartition(".")[2] in PLAIN_OPS)
    assert prints_a_value(docstring)


def test_plain_ops_are_ops() -> None:
    names = {name.rpartition(".")[2] for name in public_of("ops", types.FunctionType)}
    assert names >= PLAIN_OPS


def test_there_is_a_public_interface() -> None:
    assert public_objects()


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_public_name_is_documented(name: str) -> None:
    assert faults(public_objects()[name]) == []


def test_checks_of_layers_and_ops_see_what_is_missing() -> None:
    assert not mentions_masks("Averages frames.\n\nMasks:\n")
    assert mentions_masks("Averages frames.\n\nMasks: none are read.")
    assert not prints_a_value("Example:\n\n>>> 1 == 1\nTrue\n")
    assert prints_a_value("Example:\n\n>>> 1 + 1\n2\n")
    assert not CITATION.search("The paper, section 3.")
    assert CITATION.search("Oord et al. (2018), CPC.")


def test_checker_sees_what_is_missing() -> None:
    def careless(first: int, second: int) -> int:
        """Add two numbers.

        Args:
            first: int, one number.
        """
        if first < second:
            raise ValueError("first must not be below second")
        return first + second

    assert faults(careless) == [
        "Args lacks second",
        "no Example that runs",
        "raises, but has no Raises",
        "no Returns",
    ]
