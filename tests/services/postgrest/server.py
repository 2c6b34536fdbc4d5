"""Supabase's data interface on a port, for tests: the gateway's check of the key, PostgREST's answers, and faults.

`with Shim(url) as shim:` serves the `public` schema of a PostgreSQL database at `shim.base_url`/rest/v1/ from a thread.
Its switches may be changed while it runs.
"""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias
from urllib.parse import unquote

import psycopg
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.simulator.app import ABORT
from reconciler.simulator.server import AbortableProtocol
from tests.services.postgrest import database, query
from tests.services.postgrest.query import BadQuery, Pairs

START_SECONDS = 10.0


def legacy_key(role: str) -> str:
    """An API key as Supabase made them until 2025: a JWT that names a database role."""
    parts = ({"alg": "HS256", "typ": "JWT"}, {"iss": "supabase", "role": role, "iat": 1_600_000_000})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJlLW9mLWEtdGVzdA"])


SERVICE_KEY = legacy_key("service_role")
ANON_KEY = legacy_key("anon")
SECRET_KEY = "sb_secret_test_5e1f"
PUBLISHABLE_KEY = "sb_publishable_test_5e1f"
ROLE_OF_KEY = {
    SERVICE_KEY: "service_role",
    ANON_KEY: "anon",
    SECRET_KEY: "service_role",
    PUBLISHABLE_KEY: "anon",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as the server saw it. `number` counts from 1."""

    number: int
    method: str
    table: str
    query: Pairs
    prefer: tuple[str, ...]

    def asks(self, name: str) -> str | None:
        """The value of a parameter of the query string."""
        return dict(self.query).get(name)


@dataclass(frozen=True, slots=True)
class Answer:
    """Say this instead of answering."""

    status: int
    body: bytes = b'{"code":null,"message":"fault","details":null,"hint":null}'
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection."""


@dataclass(frozen=True, slots=True)
class Slow:
    """Wait so many seconds before answering."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Answer with the first half of the body, as if it were all."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Say this total, whatever it is."""

    total: int


@dataclass(frozen=True, slots=True)
class After:
    """Do what is asked, and only then let this happen: the effect is there, and its answer is not, or is late."""

    fault: Answer | Reset | Slow


Fault: TypeAlias = Answer | Reset | Slow | Cut | Counted | After
Hook: TypeAlias = Callable[[Call], Fault | None]
"""Asked before each request that passed the gateway; may also change the database, or return nothing."""


class Shim:
    """A PostgREST-compatible server. `max_rows`: its own page size; `latency`: seconds added to each answer."""

    def __init__(self, url: str, *, max_rows: int | None = 1000, latency: float = 0, hook: Hook | None = None) -> None:
        self.max_rows = max_rows
        self.latency = latency
        self.hook = hook
        self.calls: list[Call] = []
        self.database_url = url
        self._server = uvicorn.Server(
            uvicorn.Config(
                Starlette(routes=[Route("/rest/v1/{table:path}", self._serve, methods=list(_METHODS))]),
                http=AbortableProtocol,
                host="127.0.0.1",
                port=0,
                ws="none",
                lifespan="off",
                access_log=False,
                log_level="critical",
                timeout_graceful_shutdown=1,
            )
        )

    @property
    def base_url(self) -> str:
        """The project's address: what SUPABASE_URL holds."""
        return f"http://127.0.0.1:{self._server.servers[0].sockets[0].getsockname()[1]}"

    def execute(self, *statements: str) -> None:
        """Change the database as its owner."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def row_level_security(self, *tables: str) -> None:
        """Switch it on, without any policy: the anon role sees no row, the service role all."""
        self.execute(*(f'ALTER TABLE "{table}" ENABLE ROW LEVEL SECURITY' for table in tables))

    def __enter__(self) -> Self:
        self._database = database.Database(self.database_url)
        self._thread = threading.Thread(target=self._server.run, name="postgrest-shim", daemon=True)
        self._thread.start()
        until = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > until:
                raise RuntimeError("the PostgREST shim did not start")
            time.sleep(0.002)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.should_exit = self._server.force_exit = True
        self._thread.join(START_SECONDS)
        self._database.close()

    async def _serve(self, request: Request) -> Response:
        role = _role(request)
        if isinstance(role, Response):
            return role
        call = self._note(request)
        fault = await run_in_threadpool(self.hook, call) if self.hook is not None else None
        await asyncio.sleep(self.latency + (fault.seconds if isinstance(fault, Slow) else 0))
        match fault:
            case Answer() | Reset():
                return self._instead(fault, request)
            case _:
                body = await request.body()
                response = await run_in_threadpool(self._answer, request, call, role, body, fault)
        match fault:
            case After(fault=Slow(seconds=seconds)):
                await asyncio.sleep(seconds)
            case After(fault=Answer() | Reset() as instead):
                return self._instead(instead, request)
            case _:
                pass
        if isinstance(fault, Cut):
            kept = bytes(response.body)[: len(response.body) // 2]
            return Response(kept, response.status_code, {"content-range": response.headers.get("content-range", "")})
        return response

    def _instead(self, fault: Answer | Reset, request: Request) -> Response:
        if isinstance(fault, Reset):
            request.state._state[ABORT]()
            return Response(status_code=500)
        return Response(fault.body, fault.status, dict(fault.headers), media_type="application/json")

    def _note(self, request: Request) -> Call:
        prefer = tuple(part.strip() for value in request.headers.getlist("prefer") for part in value.split(","))
        table = unquote(request.path_params["table"])
        call = Call(len(self.calls) + 1, request.method, table, request.query_params.multi_items(), prefer)
        self.calls.append(call)
        return call

    def _answer(self, request: Request, call: Call, role: str, body: bytes, fault: Fault | None) -> Response:
        try:
            with self._database.transaction(role) as connection:
                return _METHODS[request.method](self, connection, request, call, body, fault)
        except BadQuery as error:
            return _error(error.status, error.code, error.message, error.details)
        except psycopg.Error as error:
            status = database.status_of(error, anonymous=role == "anon")
            said = error.diag
            return _error(
                status, error.sqlstate or "XX000", said.message_primary, said.message_detail, said.message_hint
            )

    def _get(
        self, connection: psycopg.Connection, request: Request, call: Call, _body: bytes, fault: Fault | None
    ) -> Response:
        window = query.window(call.query, request.headers.get("range"), self.max_rows)
        found = database.read(connection, call.table, call.query, window, count="count=exact" in call.prefer)
        total = fault.total if isinstance(fault, Counted) and found.total is not None else found.total
        if total is not None and window.offset > total:
            details = f"An offset of {window.offset} was requested, but there are only {total} rows."
            error = _error(416, "PGRST103", "Requested range not satisfiable", details)
            error.headers["content-range"] = f"*/{total}"
            return error
        last = window.offset + found.count - 1
        shown = f"{window.offset}-{last}" if found.count and total != 0 else "*"
        status = 206 if total is not None and found.count < total else 200
        content = b"" if request.method == "HEAD" else found.body.encode()
        return _json(status, content, f"{shown}/{'*' if total is None else total}")

    def _post(
        self, connection: psycopg.Connection, _request: Request, call: Call, body: bytes, _fault: Fault | None
    ) -> Response:
        resolution = next((part[11:] for part in call.prefer if part.startswith("resolution=")), None)
        found = database.insert(connection, call.table, call.query, body, resolution=resolution)
        return _changed(call, found, 201, 201)

    def _patch(
        self, connection: psycopg.Connection, _request: Request, call: Call, body: bytes, _fault: Fault | None
    ) -> Response:
        return _changed(call, database.update(connection, call.table, call.query, body), 200, 204)

    def _delete(
        self, connection: psycopg.Connection, _request: Request, call: Call, _body: bytes, _fault: Fault | None
    ) -> Response:
        return _changed(call, database.delete(connection, call.table, call.query), 200, 204)


_METHODS = {"GET": Shim._get, "HEAD": Shim._get, "POST": Shim._post, "PATCH": Shim._patch, "DELETE": Shim._delete}


def _role(request: Request) -> str | Response:
    """The gateway: a key of the project, in `apikey` and as the bearer."""
    key = request.headers.get("apikey")
    if key is None:
        return _plain(401, "No API key found in request", "No `apikey` request header or url param was found.")
    role = ROLE_OF_KEY.get(key)
    bearer = request.headers.get("authorization", f"Bearer {key}").removeprefix("Bearer ")
    if role is None or bearer not in ROLE_OF_KEY:
        return _plain(401, "Invalid API key", "Double check your Supabase `anon` or `service_role` API key.")
    return ROLE_OF_KEY[bearer]


def _changed(call: Call, found: database.Result, with_rows: int, without: int) -> Response:
    most = next((int(part[13:]) for part in call.prefer if part.startswith("max-affected=")), None)
    if most is not None and "handling=strict" in call.prefer and found.count > most:
        details = f"The query affects {found.count} rows"
        raise BadQuery(400, "PGRST124", "Query result exceeds max-affected preference constraint", details)
    shown = f"0-{found.count - 1}" if found.count and call.method == "PATCH" else "*"
    content_range = f"{shown}/{found.count if 'count=exact' in call.prefer else '*'}"
    if "return=representation" in call.prefer:
        return _json(with_rows, found.body.encode(), content_range)
    return Response(status_code=without, headers={"content-range": content_range})


def _json(status: int, body: bytes, content_range: str) -> Response:
    return Response(
        body,
        status,
        headers={"content-range": content_range, "content-type": "application/json; charset=utf-8"},
    )


def _error(
    status: int, code: str, message: str | None, details: str | None = None, hint: str | None = None
) -> Response:
    body = {"code": code, "message": message, "details": details, "hint": hint}
    return Response(
        json.dumps(body),
        status,
        headers={"content-type": "application/json; charset=utf-8", "proxy-status": f"PostgREST; error={code}"},
    )


def _plain(status: int, message: str, hint: str) -> Response:
    return Response(json.dumps({"message": message, "hint": hint}), status, media_type="application/json")
