"""Search among millions of clips of any modality, through the codes that modalities share."""

from keras_cmg.search.clip_index import ClipIndex
from keras_cmg.search.code_index import CodeIndex
from keras_cmg.search.encoded_clips import EncodedClips
from keras_cmg.search.hit import Hit, IndexedClip

__all__ = ["ClipIndex", "CodeIndex", "EncodedClips", "Hit", "IndexedClip"]
