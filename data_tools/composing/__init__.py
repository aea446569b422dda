"""Feature folders of composed data sets: each file is extracted once, clips are gathered."""

from data_tools.composing.preparation import prepare_composed

__all__ = ["prepare_composed"]
