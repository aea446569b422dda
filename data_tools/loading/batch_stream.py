"""An endless iterator over batches whose position can be saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_tools.loading.batch_reader import BatchReader


class BatchStream:
    """Iterates over the batches of a reader without end, from its `start_step` on.

    Args:
        reader: reader of the batches.

    Example:
        >>> import numpy as np
        >>> import data_tools
        >>> from data_tools.store import Field, StoreWriter
        >>> with StoreWriter("store", {"audio": Field((2,))}) as writer:
        ...     for number in range(5):
        ...         writer.append(f"clip{number}", {"audio": np.full(2, number)})
        >>> stream = data_tools.load("store", batch_size=2, shuffle=True, format="stream")
        >>> _ = next(stream)
        >>> state = stream.state_dict()
        >>> (expected,) = next(stream)
        >>> other = data_tools.load("store", batch_size=2, shuffle=True, format="stream")
        >>> other.load_state_dict(state)
        >>> bool((next(other)[0]["audio"] == expected["audio"]).all())
        True
    """

    def __init__(self, reader: BatchReader) -> None:
        self.reader = reader
        self.step = reader.start_step

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def __next__(self) -> tuple[Any, ...]:
        batch = self.reader.step(self.step)
        self.step += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Returns the next step and the arguments that determine the order, JSON-serialisable."""
        reader = self.reader
        return {
            "step": self.step,
            "num_clips": reader.source.num_clips,
            "batch_size": reader.batch_size,
            "seed": reader.seed,
            "shuffle": reader.shuffle,
            "drop_remainder": reader.drop_remainder,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from a saved state.

        Args:
            state: dict that `state_dict` returned.

        Raises:
            ValueError: if the state belongs to other clips, batches or another order.
        """
        own = self.state_dict()
        different = [name for name in own if name != "step" and own[name] != state.get(name)]
        if different or "step" not in state:
            raise ValueError(
                "`state` must be of a stream over the same clips in the same order; "
                f"{different or ['step']} differ: {dict(state)} against {own}"
            )
        self.step = int(state["step"])
