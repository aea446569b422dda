"""Private names of Keras: which versions have them, and that no other file uses one."""

import ast
import importlib
import importlib.util

import keras
import pytest

from keras_cmg.backend import keras_internals

TENSORFLOW_ALONE = (
    "Model._maybe_symbolic_build",
    "Optimizer._distribution_strategy",
    "Optimizer._all_reduce_sum_gradients",
)
ENGINE = keras.backend.backend()


def version(text):
    return tuple(int(part) for part in text.split(".")[:3])


def found(name):
    if name.startswith("keras."):
        return importlib.util.find_spec(name) is not None
    owner, attribute = name.split(".")
    if owner == "MultiHeadAttention":
        return hasattr(keras.layers.MultiHeadAttention, attribute)
    if owner == "Model":
        model = keras.Sequential([keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return hasattr(model, attribute)
    optimizer = keras.optimizers.Adam(use_ema=True)
    optimizer.build([keras.Variable(1.0)])
    return hasattr(optimizer, attribute)


@pytest.mark.every_engine
@pytest.mark.parametrize("name", keras_internals.CHECKED)
def test_the_installed_keras_has_each_name(name):
    oldest, newest = keras_internals.CHECKED[name]
    assert version(oldest) <= version(keras.__version__) <= version(newest), (
        "Look whether this version of Keras has every name, and move the range in CHECKED."
    )
    if name in TENSORFLOW_ALONE and ENGINE != "tensorflow":
        pytest.skip("on TensorFlow alone")
    assert found(name)


def test_the_oldest_version_is_the_oldest_that_is_allowed(repository):
    project = (repository / "pyproject.toml").read_text()
    for oldest, _ in keras_internals.CHECKED.values():
        assert f'"keras>={oldest.removesuffix(".0")}"' in project


def private_names_of_keras():
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    optimizer = keras.optimizers.Adam(use_ema=True)
    optimizer.build([keras.Variable(1.0)])
    objects = [
        model,
        optimizer,
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD()),
        keras.layers.MultiHeadAttention(1, 1),
        keras.metrics.Mean(),
        keras.callbacks.CallbackList(),
        keras.callbacks.History(),
        keras.utils.PyDataset(),
        keras.Variable(1.0),
    ]
    names = {name for thing in objects for name in dir(thing)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def defined_here(tree):
    """Names that a file defines itself: methods, and attributes that it assigns."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.Attribute | ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.attr if isinstance(node, ast.Attribute) else node.id)
    return names


def test_no_other_file_uses_a_private_name(repository):
    private, uses = private_names_of_keras(), []
    for package in ("keras_cmg", "data_tools", "recipes", "benchmarks"):
        for path in sorted((repository / package).rglob("*.py")):
            if path.name == "keras_internals.py":
                continue
            text = path.read_text()
            tree = ast.parse(text)
            own = defined_here(tree)
            name = path.relative_to(repository)
            if "keras.src" in text:
                uses.append(f"{name}: keras.src")
            for node in ast.walk(tree):
                if isinstance(node, ast.Attribute) and node.attr in private - own:
                    uses.append(f"{name}:{node.lineno}: {node.attr}")
                # Overriding a private method is using it, too.
                if isinstance(node, ast.FunctionDef) and node.name in OVERRIDABLE:
                    uses.append(f"{name}:{node.lineno}: def {node.name}")
    assert uses == []


OVERRIDABLE = {
    name.split(".")[-1] for name in keras_internals.CHECKED if not name.startswith("keras.")
}
