"""Gives access to `keras_cmg.extras`, `faults`, `files` and `records`, without Keras."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_tools.io.engine_free import load_module

if TYPE_CHECKING:
    from keras_cmg import engine_settings, extras, faults, files, records
else:
    extras, faults, files, records, engine_settings = (
        load_module(f"keras_cmg.{name}")
        for name in ("extras", "faults", "files", "records", "engine_settings")
    )

describe = extras.describe
cache_folder = engine_settings.cache_folder
filtered_stderr = engine_settings.filtered_stderr
set_engine_defaults = engine_settings.set_engine_defaults
is_installed = extras.is_installed
missing = extras.missing

BAD_INPUT = faults.BAD_INPUT
EXIT_CODES = faults.EXIT_CODES
FAILURE = faults.FAILURE
SUCCESS = faults.SUCCESS
damaged = faults.damaged
machine_fault = faults.machine_fault
reading = faults.reading
run_command = faults.run_command
shorten = faults.shorten

atomic_file = files.atomic_file
atomic_folder = files.atomic_folder
check_archive = files.check_archive
check_replaceable = files.check_replaceable
check_writable = files.check_writable
folder_lock = files.folder_lock
read_arrays = files.read_arrays
read_json = files.read_json
read_json_lines = files.read_json_lines
remove_abandoned = files.remove_abandoned
scratch_folder = files.scratch_folder
sha256_file = files.sha256_file
is_sha256 = files.is_sha256

check_record = records.check_record
read_record = records.read_record
read_record_lines = records.read_record_lines
