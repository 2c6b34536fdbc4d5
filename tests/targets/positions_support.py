"""A positions table behind the stand-in of PostgREST, and the target over it as the engine uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import msgspec
import psycopg

from reconciler.core.actions import Action, Outcome
from reconciler.core.guards import Accepted
from reconciler.core.model import PositionRow, SourceData, silent
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.runs.apply import apply_plan
from reconciler.sources.rows import written
from reconciler.supabase.wire import Wire
from reconciler.targets.position_rows import READS, PositionRows, open_position_rows
from reconciler.targets.position_table import PositionTable
from reconciler.targets.positions import PositionsTarget
from tests.services.postgres import write_postgres
from tests.services.postgrest.server import SERVICE_KEY, Call, Shim
from tests.support.builders import default_rules
from tests.support.positions import NOW, Pair, plan_of

WRITES = {"POST", "PATCH", "DELETE"}


def rules_with_id() -> Rules:
    """The rules as shipped, and a column for the row's own id."""
    rules = default_rules()
    table = rules.sources.sql.positions
    columns = {**table.columns, "id": "id"}
    sql = msgspec.structs.replace(rules.sources.sql, positions=msgspec.structs.replace(table, columns=columns))
    return msgspec.structs.replace(rules, sources=msgspec.structs.replace(rules.sources, sql=sql))


@dataclass(slots=True)
class Mirror:
    """A project with a positions table; `waits` are the seconds that writing to it would have slept."""

    shim: Shim
    database: psycopg.Connection
    rules: Rules = field(default_factory=default_rules)
    key: str = SERVICE_KEY
    transport: httpx.BaseTransport | None = None
    waits: list[float] = field(default_factory=list)

    def target(self) -> PositionsTarget:
        """The table as a target, with a clock of its own."""

        def table() -> PositionTable:
            wire = Wire(
                self.shim.base_url,
                self.key,
                sleep=self.waits.append,
                clock=lambda: 0.0,
                transport=self.transport,
                reads=READS,
            )
            rows = PositionRows(wire, self.rules.sources.sql.positions, text=written)
            return PositionTable(rows, sleep=self.waits.append)

        read = open_position_rows(
            self.shim.base_url, self.key, self.rules.sources.sql.positions, text=written, sleep=self.waits.append
        )
        return PositionsTarget(self.shim.base_url, read, table)

    def fill(self, pairs: Iterable[Pair]) -> None:
        """These rows in place of those that are there."""
        with self.database.cursor() as cursor:
            cursor.execute("TRUNCATE positions RESTART IDENTITY" if "id" in self._columns() else "TRUNCATE positions")
            with cursor.copy("COPY positions (membernumber, positioncode) FROM STDIN") as copy:
                for pair in pairs:
                    copy.write_row(pair)

    def _columns(self) -> Iterable[str]:
        return self.rules.sources.sql.positions.columns

    def rows(self) -> list[tuple[str | None, ...]]:
        """The rows as they are now, in order."""
        columns = "membernumber, positioncode" + (", id::text" if "id" in self._columns() else "")
        return sorted(self.database.execute(f"SELECT {columns} FROM positions").fetchall(), key=repr)

    def pairs(self) -> list[Pair]:
        """Member numbers and codes alone."""
        return [(row[0], row[1]) for row in self.rows()]

    def read(self) -> tuple[PositionRow, ...]:
        """What a planner reads."""
        return asyncio.run(self._read())

    async def _read(self) -> tuple[PositionRow, ...]:
        async with self.target() as target:
            return await target.reader.snapshot(silent)

    def plan(self, source: SourceData, rows: Iterable[PositionRow] | None = None) -> Plan:
        """The plan for the table as the target reads it, unless rows are given; brakes do not matter here."""
        accepted = Accepted({"positions": len(source.positions), "delete": 500}, "small tables change much")
        made = plan_of(source, self.read() if rows is None else rows, rules=self.rules, accepted=accepted)
        return msgspec.structs.replace(made, workspace=self.shim.base_url.removeprefix("http://"))

    def apply(self, plan: Plan, *, max_parallel: int = 100) -> dict[str, Outcome]:
        """Apply it in one piece; the outcomes by row, of several for one row the last."""
        return {str(one.row): one for one in self.outcomes(plan, max_parallel=max_parallel)}

    def outcomes(self, plan: Plan, *, max_parallel: int = 100) -> tuple[Outcome, ...]:
        """The same, one for each action."""
        return asyncio.run(self._apply(plan, max_parallel))

    async def _apply(self, plan: Plan, max_parallel: int) -> tuple[Outcome, ...]:
        async with self.target() as target:
            return await carried_out(plan, target, max_parallel=max_parallel)

    def look(self, action: Action) -> Outcome:
        """What became of an action that may have been sent."""

        async def look() -> Outcome:
            async with self.target() as target:
                return await target.look(action)

        return asyncio.run(look())

    def writes(self) -> list[Call]:
        """The requests that change something."""
        return [call for call in self.shim.calls if call.method in WRITES]

    def execute(self, *statements: str) -> None:
        """Change the database as its owner."""
        self.shim.execute(*statements)


async def carried_out(plan: Plan, target: PositionsTarget, *, max_parallel: int = 100) -> tuple[Outcome, ...]:
    """One outcome for each action, with time standing still."""
    return await apply_plan(
        plan, target, now=lambda: NOW, max_parallel=max_parallel, progress=silent, stop=lambda: None
    )


@contextmanager
def mirror(url: str, pairs: Sequence[Pair] = (), *, with_ids: bool = False) -> Iterator[Mirror]:
    """A project whose table has these rows, in the database at `url`."""
    rows = [{"membernumber": number, "positioncode": code} for number, code in pairs]
    write_postgres(url, [], rows)
    with Shim(url) as shim:
        if with_ids:
            shim.execute("ALTER TABLE positions ADD COLUMN id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY")
        with psycopg.connect(url, autocommit=True) as database:
            yield Mirror(shim, database, rules_with_id() if with_ids else default_rules())


class Failing(httpx.BaseTransport):
    """A transport that goes wrong for one method: before the request leaves, or after its answer has come."""

    def __init__(self, method: str, error: Callable[[], httpx.HTTPError], *, after: bool, times: int = 1) -> None:
        self._method, self._error, self._after, self._left = method, error, after, times
        self._real = httpx.HTTPTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on, or not."""
        wrong = request.method == self._method and self._left > 0
        if wrong:
            self._left -= 1
        if wrong and not self._after:
            raise self._error()
        response = self._real.handle_request(request)
        if wrong:
            response.read()
            response.close()
            raise self._error()
        return response

    def close(self) -> None:
        """Close the real one."""
        self._real.close()
