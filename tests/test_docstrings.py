"""Every public name says what it takes, gives and refuses, and shows how it is used."""

from __future__ import annotations

import inspect
import re
import types

import pytest

import keras_cmg

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


def test_there_is_a_public_interface() -> None:
    assert public_objects()


@pytest.mark.parametrize("name", sorted(public_objects()))
def test_public_name_is_documented(name: str) -> None:
    assert faults(public_objects()[name]) == []


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
