"""The version, kept apart so that the build reads it without importing Keras."""

__version__ = "0.2.0"
