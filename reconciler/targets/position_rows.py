"""The rows of the positions table: read whole, read for some members, added, changed and deleted.

Rows are compared as they are written, so `text` leaves texts alone; it is handed in, since a source reads values too.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from reconciler.core.model import PositionRow, Progress
from reconciler.core.rules import Table
from reconciler.core.rules.columns import column_problems
from reconciler.errors import RulesError
from reconciler.supabase.pages import PAGE_SIZE, matching
from reconciler.supabase.questions import Condition, Delete, Insert, Question, Record, Update, any_of
from reconciler.supabase.reading import Reading, Row
from reconciler.supabase.tables import open_tables
from reconciler.supabase.wire import Wire

KEY = ("member_number", "code")
FIELDS = (*KEY, "id")
"""Of PositionRow, in the words of rules/sources.yaml."""
READS = "The positions table"

Text = Callable[[object], str | None]
"""A value of JSON as its text, as it is written."""


def open_position_rows(
    url: str,
    key: str,
    table: Table,
    *,
    text: Text,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Callable[[Progress], tuple[PositionRow, ...]]:
    """What reads the whole table, in the order of its key, as any source is read. Opens nothing yet.

    url, key: SUPABASE_URL and SUPABASE_KEY.  sleep: how to wait before a second try, in seconds.  clock: seconds that
    only grow.  What it raises: as supabase.tables.Tables.

    Raises RulesError for a table whose columns do not fit.
    """
    if problems := [*column_problems("sql.positions.columns", table, required=KEY, known=FIELDS)]:
        raise RulesError(problems)

    def wire() -> Wire:
        return Wire(url, key, sleep=sleep, clock=clock, reads=READS)

    tables = open_tables(wire, key, (Reading("positions", table, FIELDS, KEY, text),), sleep=sleep)

    def read(progress: Progress) -> tuple[PositionRow, ...]:
        # The source's positions are reported by that word, side by side with these.
        rows: list[Row] = []
        tables.read(lambda _positions, done, total: progress("rows", done, total), (rows,))
        return tuple([PositionRow(*row) for row in rows])

    return read


class PositionRows:
    """Some rows of the table, over a wire.

    Each method that writes sends one request, once: it returns the rows that came back, and raises NotTaken or NotSeen.
    One thread at a time, as with the wire.
    """

    def __init__(self, wire: Wire, table: Table, *, text: Text) -> None:
        self._wire = wire
        self._text = text
        self._table = table.table
        self._columns = table.columns

    def close(self) -> None:
        """Let go of the connection."""
        self._wire.__exit__()

    def last_call(self, method: str) -> str:
        """The last request in the words of an outcome, e.g. `POST /positions 201`."""
        return f"{method} /{self._table} {self._wire.status or 'no answer'}"

    def of_numbers(self, numbers: Sequence[str]) -> Iterator[list[PositionRow]]:
        """All rows of these members, page by page, one request each. Raises as Wire.ask."""
        return self._pages((self._columns["member_number"], "in", any_of(numbers)))

    def of_nobody(self) -> Iterator[list[PositionRow]]:
        """All rows without a member number, as `of_numbers`."""
        return self._pages((self._columns["member_number"], "is", "null"))

    def _pages(self, condition: Condition) -> Iterator[list[PositionRow]]:
        columns = tuple(self._columns[name] for name in FIELDS if name in self._columns)
        question = Question(table=self._table, columns=columns, order=columns, where=condition, limit=PAGE_SIZE)
        return (list(map(self._as_row, page)) for page in matching(self._wire, question))

    def insert(self, rows: Sequence[PositionRow]) -> Counter[PositionRow]:
        """Add rows, all with an id or all without."""
        return self._send(Insert(self._table, [self._values(row) for row in rows]))

    def update(self, row: PositionRow, into: PositionRow) -> Counter[PositionRow]:
        """Write what differs to every row that is exactly this one."""
        before, wanted = self._values(row), self._values(into)
        changed = {column: value for column, value in wanted.items() if value != before[column]}
        return self._send(Update(self._table, changed, self._exactly(row)))

    def delete(self, rows: Sequence[PositionRow]) -> Counter[PositionRow]:
        """Delete rows of one code: of each member all that are spelt so, or those of its ids. All of them name a
        member or none does, and all name an id or none does.
        """
        where = [*self._exactly(PositionRow(None, rows[0].code))[1:2]]
        number = self._columns["member_number"]
        numbers = list(dict.fromkeys(row.member_number for row in rows if row.member_number is not None))
        where.append((number, "in", any_of(numbers)) if numbers else (number, "is", "null"))
        ids = [row.id for row in rows if row.id is not None]
        if ids:
            where.append((self._columns["id"], "in", any_of(ids)))
        return self._send(Delete(self._table, where))

    def _send(self, change: Insert | Update | Delete) -> Counter[PositionRow]:
        return Counter(map(self._as_row, self._wire.change(change)))

    def _as_row(self, record: Record) -> PositionRow:
        values = (self._text(record.get(self._columns[name])) if name in self._columns else None for name in FIELDS)
        return PositionRow(*values)

    def _values(self, row: PositionRow) -> dict[str, str | None]:
        values = {self._columns["member_number"]: row.member_number, self._columns["code"]: row.code}
        return values if row.id is None else values | {self._columns["id"]: row.id}

    def _exactly(self, row: PositionRow) -> list[Condition]:
        return [
            (column, "is", "null") if value is None else (column, "eq", value)
            for column, value in self._values(row).items()
        ]
