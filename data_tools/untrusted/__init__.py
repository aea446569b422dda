"""Reads arrays from untrusted files, with bounded memory and without running code of them."""

from data_tools.untrusted.archives import open_zip_member, read_zip_member
from data_tools.untrusted.features import find_feature, read_feature, read_npy
from data_tools.untrusted.pickles import read_pickled_array, read_pickled_table

__all__ = [
    "find_feature",
    "open_zip_member",
    "read_feature",
    "read_npy",
    "read_pickled_array",
    "read_pickled_table",
    "read_zip_member",
]
