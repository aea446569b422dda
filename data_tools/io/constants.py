"""Constants that all data sets share."""

NUM_SEGMENTS = 10
"""One-second segments of a clip, as in AVE (Tian et al., 2018)."""

SPLITS = ("train", "val", "test")
"""Names of the splits, in the order in which they are listed."""
