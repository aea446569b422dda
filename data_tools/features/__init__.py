"""Features of audio, video and text: arrays to arrays, without labels."""

from data_tools.features.audio import AudioFeatures
from data_tools.features.text import TextFeatures
from data_tools.features.video import VideoFeatures

__all__ = ["AudioFeatures", "TextFeatures", "VideoFeatures"]
