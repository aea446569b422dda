"""The REST service: searches, codes, media, health, readiness and metrics."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, JSONResponse

from keras_cmg.faults import shorten
from keras_cmg.version import __version__
from recipes.serving.body_limit import BodyLimit
from recipes.serving.clip_search import ClipSearch
from recipes.serving.limits import RefusedRequest
from recipes.serving.metrics import CONTENT_TYPE
from recipes.serving.request_metrics import RequestMetrics
from recipes.serving.uploads import read_form

logger = logging.getLogger(__name__)


def create_app(search: ClipSearch) -> FastAPI:
    """Creates the ASGI application of the service.

    | route | answer |
    |---|---|
    | `POST /v1/search` | clips nearest to files and words, and the codes that they share |
    | `GET /v1/index` | clips of the index, and how far modalities share codes |
    | `GET /v1/codes/CODE` | what has a code |
    | `GET /v1/media/MODALITY/NUMBER` | the file of an indexed clip |
    | `GET /health` | 200 while the process answers |
    | `GET /ready` | 200 while another search would be answered at once, else 503 |
    | `GET /metrics` | metrics in the text format of Prometheus |

    Args:
        search: answers the searches.

    Returns:
        The application. Malformed requests are answered by 4xx, with the reason under `detail`.
    """
    # Without the pages of FastAPI, which load scripts from elsewhere.
    app = FastAPI(title="keras_cmg", version=__version__, docs_url=None, redoc_url=None)
    app.add_middleware(BodyLimit, max_bytes=search.limits.bytes)
    app.add_middleware(RequestMetrics, metrics=search.metrics)
    _add_errors(app)

    @app.post("/v1/search")
    async def search_clips(request: Request) -> Any:
        """Finds the clips of each modality that are nearest to files and words."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
            raise RefusedRequest(415, "the body must be a form, multipart/form-data")
        limits = search.limits
        with tempfile.TemporaryDirectory(prefix="keras-cmg-") as folder:
            async with request.form(
                max_files=limits.files, max_fields=limits.files + 16, max_part_size=2**16
            ) as form:

                def answer() -> Any:
                    fields = read_form(form, Path(folder), search.encoder.modalities)
                    return search.search(**fields)

                return {"queries": await run_in_threadpool(answer)}

    @app.get("/v1/index")
    def describe_index() -> Any:
        """Describes the index and how far its modalities share codes."""
        return search.summary()

    @app.get("/v1/codes/{code}")
    def describe_code(code: int) -> Any:
        """Describes which clips have a code."""
        return search.code_use(code)

    @app.get("/v1/media/{modality}/{number}")
    def media(modality: str, number: int) -> Response:
        """Sends the file of an indexed clip."""
        path = search.file_of(modality, number)
        if path is None:
            raise RefusedRequest(404, "there is no such file")
        return FileResponse(path, media_type=search.media.media_type(path))

    @app.get("/health")
    def health() -> Any:
        """Answers while the process lives."""
        return {"status": "ok"}

    @app.get("/ready")
    def ready() -> Any:
        """Answers 200 while another search would be answered at once."""
        if not search.ready:
            raise RefusedRequest(503, f"{search.limits.waiting} requests wait")
        return {"status": "ready"}

    @app.get("/metrics")
    def metrics() -> Response:
        """Sends the metrics."""
        return Response(search.metrics.text(), media_type=CONTENT_TYPE)

    return app


def _add_errors(app: FastAPI) -> None:
    def refused(status: int, reason: object) -> JSONResponse:
        again = {"Retry-After": "1"} if status in (429, 503) else {}
        return JSONResponse({"detail": shorten(reason)}, status, headers=again)

    @app.exception_handler(RefusedRequest)
    async def on_refused(request: Request, error: RefusedRequest) -> JSONResponse:
        return refused(error.status, error.reason)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        return refused(422, f"{first['loc'][-1]}: {first['msg']}")

    @app.exception_handler(HTTPException)
    async def on_http_error(request: Request, error: HTTPException) -> JSONResponse:
        return refused(error.status_code, error.detail)

    @app.exception_handler(Exception)
    async def on_fault(request: Request, error: Exception) -> JSONResponse:
        # What the server lacks is none of the client's business, and goes to the log.
        logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return refused(500, "the server failed; its log has the reason")
