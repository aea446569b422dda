"""The context of a data-parallel run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Self


class Distribution:
    """A context in which models are created, loaded and trained over several devices.

    Args:
        scope: the engine's context manager, entered and left with this one.
        num_replicas: number of devices that see a part of each batch, over all processes.
        process_index: number of this process, from 0.
        num_processes: number of processes.

    Example:

    >>> with keras_cmg.distribution.distribute() as distribution:
    ...     model = keras_cmg.models.FCID(("audio", "video"))
    >>> distribution.num_replicas, distribution.is_chief
    (1, True)
    """

    def __init__(
        self,
        scope: AbstractContextManager,
        num_replicas: int,
        process_index: int = 0,
        num_processes: int = 1,
    ):
        self.scope = scope
        self.num_replicas = num_replicas
        self.process_index = process_index
        self.num_processes = num_processes

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the files of the run, such as checkpoints and reports."""
        return self.process_index == 0

    def __enter__(self) -> Self:
        self.scope.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.scope.__exit__(*error)
