"""What the tests of Supabase share: a project to read from, and ways to trouble it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from reconciler.core.model import Progress, SourceData, silent
from reconciler.core.rules import Sources
from reconciler.sources import Source
from reconciler.sources.supabase import open_supabase
from tests.services.postgres import write_postgres
from tests.services.postgrest.server import SERVICE_KEY, Call, Fault, Shim
from tests.services.worlds import Rows
from tests.support.builders import default_rules

Handler: TypeAlias = Callable[[int, httpx.Request, httpx.BaseTransport], httpx.Response]


@dataclass(slots=True)
class Project:
    """A Supabase project in a test, and the waits that reading it would have taken, in seconds."""

    shim: Shim
    waits: list[float] = field(default_factory=list)

    def source(self, key: str = SERVICE_KEY, *, sources: Sources | None = None, **options: Any) -> Source:
        """The project as a source."""
        return open_supabase(
            self.shim.base_url, key, sources or default_rules().sources, sleep=self.waits.append, **options
        )

    def source_at(self, url: str) -> Source:
        """A project at another address, where perhaps nobody is."""
        return open_supabase(url, SERVICE_KEY, default_rules().sources, sleep=self.waits.append)

    def read(self, key: str = SERVICE_KEY, *, progress: Progress = silent, **options: Any) -> SourceData:
        """One read, with the rules as they are shipped."""
        return self.source(key, **options).read(progress)

    def refill(self, members: Rows, positions: Rows) -> None:
        """Other rows in place of those that are there."""
        write_postgres(self.shim.database_url, members, positions)

    def pages(self, table: str = "members") -> list[Call]:
        """The pages of whole rows asked for: no counts and no keys."""
        wanted = "firstname" if table == "members" else "positioncode"
        return [call for call in self.shim.calls if call.table == table and wanted in (call.asks("select") or "")]


@contextmanager
def project(url: str, members: Rows = (), positions: Rows = (), **options: Any) -> Iterator[Project]:
    """A project with these rows in the empty database at `url`; `options` go to the shim."""
    with Shim(write_postgres(url, members, positions), **options) as shim:
        yield Project(shim)


def first(count: int, fault: Fault) -> Callable[[Call], Fault | None]:
    """A hook: trouble for the first requests, then none."""
    return lambda call: fault if call.number <= count else None


class Between(httpx.BaseTransport):
    """A transport that a test stands in the middle of: it gets each request's number, from 1, and the real one."""

    def __init__(self, handler: Handler) -> None:
        self._handler, self._real, self._count = handler, httpx.HTTPTransport(), 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Let the handler answer."""
        self._count += 1
        return self._handler(self._count, request, self._real)

    def close(self) -> None:
        """Close the real one."""
        self._real.close()
