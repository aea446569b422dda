"""Search at scale: clips of any modality filed under the codes that all modalities share."""

from keras_cmg.search.code_index import CodeIndex

__all__ = ["CodeIndex"]
