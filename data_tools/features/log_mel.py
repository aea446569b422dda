"""Gives access to `keras_cmg.ops.log_mel`, the definition of the log-mel summary, without Keras."""

from __future__ import annotations

from data_tools.io.engine_free import load_module

definition = load_module("keras_cmg.ops.log_mel")
