"""Downloads public files from several addresses, with a check of the content."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

from data_tools.io.files import atomic_file


def fetch(
    urls: Sequence[str],
    path: str | os.PathLike[str],
    check: Callable[[Path], None],
    timeout: float = 60.0,
) -> Path:
    """Downloads a file unless it is there already.

    Args:
        urls: addresses of the same file, tried in order.
        path: where it goes.
        check: raises a ValueError where the content is not the right one.
        timeout: seconds that a connection may stay silent.

    Returns:
        The path.

    Raises:
        FileNotFoundError: if no address gave the right content; the message has every reason.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     source = Path(folder, "a.txt")
        ...     _ = source.write_text("content")
        ...     fetch([source.as_uri()], Path(folder, "b.txt"), lambda path: None).read_text()
        'content'
    """
    path = Path(path)
    if path.is_file():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in urls:
        try:
            with atomic_file(path) as temporary:
                with (
                    urllib.request.urlopen(url, timeout=timeout) as answer,
                    open(temporary, "wb") as stream,
                ):
                    shutil.copyfileobj(answer, stream)
                check(temporary)
            return path
        except (OSError, ValueError) as error:
            reasons.append(f"  {url}: {error}")
    raise FileNotFoundError(
        f"{path.name} could not be downloaded:\n" + "\n".join(reasons) + "\n"
        f"Without a network, get the file by other means and put it into {path.parent}."
    )
