"""From raw signals to feature files in the AVE layout, and from these to batches."""

from data_tools.layout import FeatureFolder
from data_tools.loading import load
from data_tools.preparation import prepare
from data_tools.rendering import render
from data_tools.verification import verify

__all__ = ["FeatureFolder", "load", "prepare", "render", "verify"]
