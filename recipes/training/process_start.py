"""Prepares a process that measures; imported before Keras, by the server that starts processes."""

from data_tools.io.files import set_engine_defaults

set_engine_defaults()
