"""Gives access to `keras_cmg.faults` and `keras_cmg.files`, without Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_tools.io.engine_free import load_module

if TYPE_CHECKING:
    from keras_cmg import faults, files
else:
    faults, files = (load_module(name) for name in ("keras_cmg.faults", "keras_cmg.files"))

BAD_INPUT = faults.BAD_INPUT
damaged = faults.damaged
machine_fault = faults.machine_fault
reading = faults.reading
run_command = faults.run_command
shorten = faults.shorten

atomic_file = files.atomic_file
atomic_folder = files.atomic_folder
check_archive = files.check_archive
folder_lock = files.folder_lock
read_arrays = files.read_arrays
read_json = files.read_json
read_json_lines = files.read_json_lines
remove_abandoned = files.remove_abandoned
scratch_folder = files.scratch_folder
sha256_file = files.sha256_file
