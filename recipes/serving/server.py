"""Serves a run: its model, its extractors and the index of its clips."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import keras_cmg
from keras_cmg.search import ClipIndex
from recipes.serving.clip_search import ClipSearch
from recipes.serving.extraction_workers import ExtractionWorkers
from recipes.serving.limits import Limits
from recipes.serving.media import MediaFiles

LOCAL = ("127.0.0.1", "localhost", "::1")
"""Hosts that only this machine reaches."""


def open_search(
    encoder: keras_cmg.CrossModalEncoder,
    index: ClipIndex,
    media: str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
    workers: int = 2,
) -> ClipSearch:
    """Opens the extractors of a model beside an index, and starts what the first query needs.

    Args:
        encoder: a trained model that keeps its extractors, as `keras_cmg.load` returns it.
        index: clips that the model encoded.
        media: folder outside of which no clip is read; default any folder that the index names.
        limits: limits of requests.
        workers: files that are decoded at the same time.

    Returns:
        What answers searches.

    Raises:
        FileNotFoundError: if a model file is not found.
        ImportError: if an extractor lacks a package.
        ValueError: if a file is damaged, the run keeps no extractors, or the index is of another
            model.
    """
    limits = limits or Limits()
    if encoder.run is None:
        raise ValueError("`encoder` must be that of a run, which keeps extractors of files.")
    encoder.check_index(index)
    extract = ExtractionWorkers(encoder.run, encoder.models, workers, limits.seconds)
    extract.start()
    files = MediaFiles(None if media is None else Path(media))
    search = ClipSearch(encoder, index, extract, limits, media=files)
    search.warm_up()
    return search


def create_server(search: ClipSearch, page: bool, host: str) -> Any:
    """Creates the server of the service, with or without the page.

    Args:
        search: answers the searches.
        page: whether the page is at `/`.
        host: address at which it will listen.

    Returns:
        A `uvicorn.Server`; `run(sockets=[...])` serves until a signal ends it, and
        `interrupted` says whether that was Ctrl-C.

    Raises:
        ImportError: if a package of the extra `serve` or `ui` is missing.
    """
    import uvicorn
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from recipes.serving.rest import create_app

    class Server(uvicorn.Server):
        interrupted = False

        def handle_exit(self, sig: int, frame: Any) -> None:
            self.interrupted |= sig == signal.SIGINT
            super().handle_exit(sig, frame)

    app = create_app(search)
    if page:
        from recipes.serving.page import add_page

        app = add_page(app, search)
    if host in LOCAL:
        # A page of a stranger whose name was pointed at this machine is refused.
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*LOCAL, "[::1]"])
    config = uvicorn.Config(
        app,
        log_level="warning",
        timeout_keep_alive=5,
        timeout_graceful_shutdown=10,
    )
    return Server(config)
