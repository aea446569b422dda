"""From raw signals and published features to batches."""

from data_tools.datasets import open_published
from data_tools.inspection import inspect
from data_tools.layout import FeatureFolder
from data_tools.loading import load
from data_tools.preparation import prepare
from data_tools.rendering import render
from data_tools.verification import verify

__all__ = ["FeatureFolder", "inspect", "load", "open_published", "prepare", "render", "verify"]
