"""The commands of `python -m data_tools`, one file each.

A command has `add_arguments(command)`, which adds its options to a parser, and `run(arguments)`,
which returns an exit code and puts what it found into `arguments.result`, a dict of types of JSON.
"""
