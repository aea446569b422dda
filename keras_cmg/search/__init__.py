"""Search among millions of clips of any modality, through the codes that modalities share."""

from keras_cmg.search.code_index import CodeIndex

__all__ = ["CodeIndex"]
