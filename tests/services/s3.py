"""An S3 server in this process (moto's), on a free port of 127.0.0.1, that can be made to misbehave."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from threading import Lock, Thread
from typing import Any

import httpx
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

_NUMBERS = count(1)


@dataclass
class S3:
    """A running server. `calls` counts what was asked of it, by method."""

    url: str = ""
    forgets_conditions: bool = False
    """It passes over If-None-Match, as some servers do that speak S3."""
    loses_answer_to: int = 0
    """The PUT of this number, counted from now on, is carried out, and the connection cut before it is answered."""
    refuses: int = 0
    """So many calls from now on are answered with 500, and not carried out."""
    refuses_pages: bool = False
    """Whoever uses it may put no object that ends in .html."""
    calls: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """The AWS_* variables that open it."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def new_bucket(self) -> str:
        """The s3:// address of a prefix in a new bucket."""
        name = f"plans-{next(_NUMBERS)}"
        httpx.put(f"{self.url}/{name}").raise_for_status()
        return f"s3://{name}/union/plans"


@contextmanager
def s3_server() -> Iterator[S3]:
    """The server, while the block lasts."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    moto = DomainDispatcherApplication(create_backend_app)
    server = S3()
    one_at_a_time = Lock()  # S3 puts where nothing is as one step; moto looks, then puts, and two may both find nothing

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        server.calls.append(environ["REQUEST_METHOD"])
        if server.refuses:
            server.refuses -= 1
            start_response("500 Internal Server Error", [("Content-Length", "0")])
            return []
        if server.refuses_pages and environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith(".html"):
            start_response("403 Forbidden", [("Content-Length", "0")])
            return []
        if server.forgets_conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with one_at_a_time:
            answer: Iterable[bytes] = moto(environ, start_response)
        if server.loses_answer_to and environ["REQUEST_METHOD"] == "PUT":
            server.loses_answer_to -= 1
            if not server.loses_answer_to:
                list(answer)
                environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
                raise ConnectionAbortedError
        return answer

    running = make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler)
    thread = Thread(target=running.serve_forever, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{running.server_port}"
    try:
        yield server
    finally:
        running.shutdown()
        thread.join()
        running.server_close()


@pytest.fixture(scope="session")
def _s3_process() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def s3(_s3_process: S3) -> S3:
    """The server, well-behaved."""
    _s3_process.forgets_conditions = _s3_process.refuses_pages = False
    _s3_process.loses_answer_to = _s3_process.refuses = 0
    _s3_process.calls.clear()
    return _s3_process


__all__ = ["S3", "_s3_process", "s3", "s3_server"]
