"""Unsupervised features of sound, pictures and words."""

from data_tools.features.audio import AudioFeatures
from data_tools.features.text import TextFeatures
from data_tools.features.video import VideoFeatures

__all__ = ["AudioFeatures", "TextFeatures", "VideoFeatures"]
