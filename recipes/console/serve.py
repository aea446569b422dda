"""Serves searches in the clips of a run: a REST service, and a page with --ui.

    keras-cmg serve --ui

Drop a sound, a picture or a video on the page, or write words. docs/serving.md has the routes.
"""

from __future__ import annotations

import argparse
import errno
import socket
from pathlib import Path

from data_tools.io.files import is_installed, missing
from recipes.console.search import add_run_arguments, loaded, opened_index
from recipes.serving.limits import Limits

INTERRUPTED = "stopped"
MAX_PORT = 65_535
PACKAGES = ("fastapi", "prometheus_client", "starlette", "uvicorn", "jinja2", "faiss")
"""Packages of the extra `serve`, by the names that are imported; `ui` has these and Gradio."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the service.

    Args:
        parser: parser of the subcommand.

    Example:

    >>> parser = argparse.ArgumentParser()
    >>> add_arguments(parser)
    >>> parser.parse_args(["--ui"]).port
    8000
    """
    limits = Limits()
    add_run_arguments(parser)
    parser.add_argument(
        "--index", metavar="FOLDER", help="index to search (default: that of the run)"
    )
    parser.add_argument("--ui", action="store_true", help="show a page at / too")
    parser.add_argument(
        "--media",
        metavar="FOLDER",
        help="send files of this folder only (default: any that the index names)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8000, metavar="N", help="port, 0 for a free one (%(default)s)"
    )
    parser.add_argument(
        "--workers", type=int, default=2, metavar="N", help="files decoded at once (%(default)s)"
    )
    parser.add_argument(
        "--max-bytes",
        type=int,
        default=limits.bytes,
        metavar="N",
        help="largest body of a request (%(default)s)",
    )
    parser.add_argument(
        "--max-files",
        type=int,
        default=limits.files,
        metavar="N",
        help="most files and texts of a request (%(default)s)",
    )
    parser.add_argument(
        "--max-waiting",
        type=int,
        default=limits.waiting,
        metavar="N",
        help="most requests answered or waiting at once (%(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=limits.seconds,
        metavar="S",
        help="time that a file may take to be decoded (%(default)s)",
    )


def check_packages(page: bool) -> None:
    """Checks that the packages of the server are installed, before a model is loaded.

    Args:
        page: whether the page is served.

    Raises:
        ImportError: if a package is missing.

    Example:

    >>> check_packages(page=False)
    """
    for package in (*PACKAGES, *(("gradio",) if page else ())):
        if not is_installed(package):
            extra = "ui" if page else "serve"
            raise missing(package, "The page needs" if page else "The service needs", None, extra)


def bound_socket(host: str, port: int) -> socket.socket:
    """Returns a socket that is bound to an address of this machine.

    Args:
        host: name or number of the address.
        port: number of the port, 0 for a free one.

    Raises:
        OSError: if the port is in use, or may not be used.
        ValueError: if the host is no address of this machine.

    Example:

    >>> with bound_socket("127.0.0.1", 0) as listening:
    ...     listening.getsockname()[0]
    '127.0.0.1'
    """
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
            raise ValueError(
                f"--host must be an address of this machine. Received: {host}: {error.strerror}"
            ) from error
        raise OSError(error.errno, error.strerror, f"--host {host} --port {port}") from error
    return listening


def run(arguments: argparse.Namespace) -> int:
    """Serves until it is interrupted.

    Args:
        arguments: parsed command line.

    Returns:
        Exit code.

    Raises:
        FileNotFoundError: if the run, its index or a model file is not found.
        ImportError: if a package is missing.
        KeyboardInterrupt: after Ctrl-C, once open requests were answered.
        OSError: if the port is in use.
        ValueError: if an option is wrong, or a file is damaged.
    """
    if arguments.workers < 1:
        raise ValueError(f"--workers must be at least 1. Received: {arguments.workers}")
    if not 0 <= arguments.port <= MAX_PORT:
        raise ValueError(f"--port must be from 0 to {MAX_PORT}. Received: {arguments.port}")
    for name in ("max_bytes", "max_files", "max_waiting", "seconds"):
        value = getattr(arguments, name)
        if not value > 0:
            raise ValueError(f"--{name.replace('_', '-')} must be above 0. Received: {value}")
    if arguments.media is not None and not Path(arguments.media).is_dir():
        raise FileNotFoundError(f"--media must be a folder. There is no {arguments.media}")
    limits = Limits(
        bytes=arguments.max_bytes,
        files=arguments.max_files,
        seconds=arguments.seconds,
        waiting=arguments.max_waiting,
    )
    check_packages(arguments.ui)
    from recipes.serving.server import create_server, open_search

    # Bound first: a port in use is reported before the model is loaded.
    with bound_socket(arguments.host, arguments.port) as listening:
        encoder = loaded(arguments)
        index = opened_index(arguments, encoder)
        search = open_search(encoder, index, arguments.media, limits, arguments.workers)
        server = create_server(search, arguments.ui, arguments.host)
        port = listening.getsockname()[1]
        # From here on, requests wait for the server that starts now.
        listening.listen()
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        print(f"http://{host}:{port}/ answers; Ctrl-C stops it", flush=True)
        try:
            server.run(sockets=[listening])
        finally:
            search.close()
        if server.interrupted:
            raise KeyboardInterrupt
    return 0
