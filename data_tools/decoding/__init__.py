"""Decodes sound, picture, video and caption files; errors give the reason."""

from data_tools.decoding.captions import decode_caption
from data_tools.decoding.pictures import decode_folder, decode_picture
from data_tools.decoding.signatures import DecodeError, MissingFileError, kind_of
from data_tools.decoding.sounds import decode_audio
from data_tools.decoding.videos import decode_video

__all__ = [
    "DecodeError",
    "MissingFileError",
    "decode_audio",
    "decode_caption",
    "decode_folder",
    "decode_picture",
    "decode_video",
    "kind_of",
]
