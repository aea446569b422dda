"""Decodes pictures, and folders of the frames of a video, to square RGB arrays."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding.signatures import PICTURES, DecodeError, decoding, kind_of

MAX_PIXELS = 2**26
"""Largest picture that is decoded: 8,192 x 8,192."""


def decode_picture(path: str | os.PathLike[str], side: int, crop: bool = False) -> np.ndarray:
    """Decodes a picture to a square of RGB pixels.

    Args:
        path: a JPEG, PNG, BMP or WebP file.
        side: pixels of a side of the result.
        crop: cut out the middle square (bicubic) instead of stretching the picture (bilinear).

    Returns:
        (side, side, 3) uint8.

    Raises:
        DecodeError: if the file is missing, empty, damaged or too large, or if its name does not
            match its content.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (80, 60), 200).save("grey.png")
        >>> decode_picture("grey.png", 28).shape
        (28, 28, 3)
    """
    from PIL import Image

    kind_of(Path(path))
    with decoding(path), warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            picture = Image.open(path, formats=["JPEG", "PNG", "BMP", "WEBP"])
        except Image.DecompressionBombError as error:
            raise DecodeError(f"has more than {MAX_PIXELS} pixels") from error
        with picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise DecodeError(
                    f"has {picture.width} x {picture.height} pixels, more than {MAX_PIXELS}"
                )
            picture.draft("RGB", (side, side))
            return to_square(picture.convert("RGB"), side, crop)


def to_square(picture: Any, side: int, crop: bool = False) -> np.ndarray:
    """Converts a Pillow image to a square array.

    Args:
        picture: RGB image.
        side: pixels of a side of the result.
        crop: cut out the middle square (bicubic) instead of stretching the picture (bilinear).

    Returns:
        (side, side, 3) uint8.

    Example:
        >>> from PIL import Image
        >>> to_square(Image.new("RGB", (64, 48)), 28).shape
        (28, 28, 3)
    """
    from PIL import Image, ImageOps

    if crop:
        return np.asarray(ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC), np.uint8)
    resized = picture.resize((side, side), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(resized, np.uint8)


def decode_folder(
    path: str | os.PathLike[str],
    side: int,
    times: Sequence[float],
    seconds: float,
    frame_rate: float | None = None,
) -> np.ndarray:
    """Decodes frames of a video from a folder of pictures, ordered by the numbers in their names.

    Args:
        path: the folder.
        side: pixels of a side of the result.
        times: times of the frames to take, in seconds.
        seconds: length of the video, over which frames are spread if there is no frame rate.
        frame_rate: frames per second.

    Returns:
        (times, side, side, 3) uint8; the last frame is repeated for later times.

    Raises:
        DecodeError: if there are fewer than two frames, or one that is needed cannot be decoded.

    Example:
        >>> from PIL import Image
        >>> Path("clip").mkdir()
        >>> for number in range(20):
        ...     Image.new("L", (32, 32), 10 * number).save(f"clip/{number}.png")
        >>> decode_folder("clip", 28, [0.5, 1.5], seconds=10)[:, 0, 0, 0].tolist()
        [10, 30]
    """
    names = [file for file in Path(path).iterdir() if file.suffix.lower() in PICTURES]
    files = sorted(names, key=lambda file: natural_key(file.name))
    if len(files) < 2:
        raise DecodeError(f"must have at least 2 frames; it has {len(files)}")
    rate = len(files) / seconds if frame_rate is None else frame_rate
    numbers = [min(int(time * rate), len(files) - 1) for time in times]
    decoded = {}
    for number in sorted(set(numbers)):
        try:
            decoded[number] = decode_picture(files[number], side)
        except DecodeError as error:
            raise DecodeError(f"has a frame {files[number].name} that {error}") from error
    return np.stack([decoded[number] for number in numbers])


def natural_key(name: str) -> list[tuple[int, str]]:
    """Makes a sort key that orders names by the numbers in them: 2 before 10.

    Args:
        name: name of a file.

    Returns:
        Key for `sorted`.

    Example:
        >>> sorted(["f10.png", "f2.png"], key=natural_key)
        ['f2.png', 'f10.png']
    """
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
