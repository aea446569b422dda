"""Builds the documentation site: `make docs`.

The pages of `docs/`, README, contributing and changelog are copied, in Markdown; one page for each
public object of `keras_cmg` is generated from its docstring. The scripts of `docs/notebooks/` are
executed and shown with what their cells return; a cell that raises an error is an error.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shutil
import sys
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# The commands of notebooks are those of this environment.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

import jupytext

import keras_cmg

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "build" / "docs"
"""The folder of sources that `make docs` gives to Sphinx; all of it is generated."""
NAMESPACES = {
    "models": "Systems, backbones, probes and the registry",
    "layers": "Layers that systems are built from",
    "ops": "Equations as functions of tensors",
    "metrics": "Metrics",
    "callbacks": "Callbacks for `fit`",
    "optimizers": "Optimizers",
    "distribution": "Training on several devices",
    "export": "SavedModel, ONNX and LiteRT",
    "search": "Search by codes",
}
NOTEBOOKS = ("own_clips", "vq_in_keras")
GUIDES = {
    "Tutorials": tuple(f"notebooks/{name}" for name in NOTEBOOKS),
    "Use": (
        "command",
        "own_clips",
        "systems",
        "training",
        "quantizers",
        "data",
        "extraction",
        "serving",
        "code_index",
        "scale",
        "performance",
        "tuning",
        "security",
    ),
    "Reproduce": ("recipes", "results", "compare", "porting_notes"),
    "Develop": ("architecture", "contributing", "changelog"),
}
FROM_ROOT = {"index": "README.md", "contributing": "CONTRIBUTING.md", "changelog": "CHANGELOG.md"}

project = "keras_cmg"
author = "The keras_cmg authors"
copyright = author
release = version = keras_cmg.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = f"keras_cmg {release}"
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True
# What libraries print while they are imported is no part of a tutorial.
nb_output_stderr = "remove"
# Docstrings mark code by single backticks, as those of Keras do.
default_role = "code"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
# Docstrings of Keras are not reStructuredText.
autodoc_inherit_docstrings = False
# Keras lists hundreds of inherited members.
autodoc_default_options = {"members": True, "inherited-members": False}
napoleon_google_docstring = True
napoleon_custom_sections = [("Call arguments", "params_style"), ("Masks", "notes_style")]
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
# Documented with the layers that Keras gives them.
KERAS_METHODS = {"build", "call", "get_config", "from_config", "compute_output_shape"}


def relinked(text: str) -> str:
    """Returns a page of the repository with links that hold on the site.

    Args:
        text: Markdown.

    Returns:
        Markdown.
    """
    for name, source in FROM_ROOT.items():
        text = re.sub(rf"\]\((?:\.\./)?{re.escape(source)}", f"]({name}.md", text)
    text = re.sub(r"\]\(docs/([\w.-]+\.md)", r"](\1", text)
    text = re.sub(r"\]\((?:docs/)?notebooks/(\w+)\.py", r"](notebooks/\1.ipynb", text)
    text = re.sub(r"\]\((?:docs/)?pictures/", "](pictures/", text)
    # What is no page of the site is named, not linked.
    kept = r"https?:|#|[\w-]+\.md|notebooks/\w+\.ipynb|pictures/"
    return re.sub(rf"\[([^\]]+)\]\((?!{kept})[^)]*\)", r"`\1`", text)


def title_of(text: str) -> str:
    """Returns the first heading of a page.

    Args:
        text: Markdown.

    Returns:
        The heading's text.
    """
    return re.search(r"^# (.+)$", text, re.MULTILINE)[1]


def write_guides() -> None:
    """Writes the pages of `docs/` and of the repository's root.

    Raises:
        ValueError: if a page is in no section of `GUIDES`.
    """
    sources = {path.stem: path for path in sorted((ROOT / "docs").glob("*.md"))}
    sources |= {name: ROOT / source for name, source in FROM_ROOT.items()}
    notebooks = {f"notebooks/{path.stem}" for path in (ROOT / "docs/notebooks").glob("*.py")}
    listed = {"index", *(name for names in GUIDES.values() for name in names)}
    if listed != set(sources) | notebooks:
        raise ValueError(
            "Each page of docs/ must be in one section of `GUIDES`. "
            f"Received: {sorted(listed ^ (set(sources) | notebooks))}"
        )
    for name, source in sources.items():
        text = relinked(source.read_text(encoding="utf-8"))
        if name == "index":
            text += contents()
        (PAGES / f"{name}.md").write_text(text, encoding="utf-8")


def write_notebooks() -> None:
    """Writes the scripts of `docs/notebooks/` as notebooks, which `myst_nb` executes."""
    (PAGES / "notebooks").mkdir()
    for path in sorted((ROOT / "docs/notebooks").glob("*.py")):
        notebook = jupytext.read(path)
        notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
        jupytext.write(notebook, PAGES / "notebooks" / f"{path.stem}.ipynb")


def contents() -> str:
    """Returns the tables of contents that the start page ends with."""
    sections = {**GUIDES, "API": tuple(f"api/{namespace}/index" for namespace in NAMESPACES)}
    return "".join(
        "\n```{toctree}\n:hidden:\n:caption: " + section + "\n\n" + "\n".join(names) + "\n```\n"
        for section, names in sections.items()
    )


def write_api() -> None:
    """Writes one page for each public object, and one for each namespace."""
    for namespace, summary in NAMESPACES.items():
        module = importlib.import_module(f"keras_cmg.{namespace}")
        folder = PAGES / "api" / namespace
        folder.mkdir(parents=True)
        names = sorted(module.__all__, key=str.lower)
        for name in names:
            value = getattr(module, name)
            full = f"keras_cmg.{namespace}.{name}"
            if inspect.isclass(value):
                directive = f".. autoclass:: {full}\n"
            elif callable(value):
                directive = f".. autofunction:: {full}\n"
            else:
                directive = f".. autodata:: {full}\n"
            page = f"{name}\n{'=' * len(name)}\n\n{directive}"
            (folder / f"{name}.rst").write_text(page, encoding="utf-8")
        heading = f"keras_cmg.{namespace}"
        page = f"{heading}\n{'=' * len(heading)}\n\n{summary}.\n\n.. toctree::\n\n   "
        (folder / "index.rst").write_text(page + "\n   ".join(names) + "\n", encoding="utf-8")


def skip_member(app, what, name, value, skip, options):
    """Leaves out what Keras documents, and members without a docstring of their own."""
    return True if name in KERAS_METHODS else None


def class_signature(app, what, name, value, options, signature, annotation):
    """Takes the signature of a class from `__init__`: that of Keras' `__new__` says nothing."""
    if what != "class" or value.__init__ is object.__init__:
        return None
    _, *parameters = inspect.signature(value.__init__).parameters.values()
    bare = [each.replace(annotation=inspect.Parameter.empty) for each in parameters]
    return str(inspect.Signature(bare)), annotation


def setup(app) -> None:
    """Registers the hooks; Sphinx calls this."""
    app.connect("autodoc-process-signature", class_signature)
    app.connect("autodoc-skip-member", skip_member)


for path in PAGES.iterdir():
    shutil.rmtree(path) if path.is_dir() else path.unlink()
write_guides()
write_notebooks()
shutil.copytree(ROOT / "docs/pictures", PAGES / "pictures")
write_api()
