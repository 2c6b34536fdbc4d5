"""Tables of a Supabase project, read whole or not at all; and some rows of them.

Pages are no snapshot. So the exact count is taken before and after, and the keys are read a second time. Rows that came
or went meanwhile show in one or the other: a count misses one that came for one that went. Two equal readings of the
keys mean that these rows, and no others, were there in the moment between the two. Otherwise all is read anew, a few
times, then refused.

A key under row-level security gets an empty list and status 200. Only a service key is believed when it says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from reconciler.core.model import Progress
from reconciler.errors import SourceIncomplete, SourceShapeError, SourceUnreachable
from reconciler.supabase.keys import SET_THE_KEY, is_service_key
from reconciler.supabase.pages import PAGE_SIZE, Full, Moved, Order, Walk, count, matching
from reconciler.supabase.questions import Question
from reconciler.supabase.reading import RULES_FILE, Kept, Reading, Row
from reconciler.supabase.trouble import MissingColumn, MissingTable, NotText
from reconciler.supabase.wire import Wire

READS = 4
"""How often a table is read before it is given up: once, and three times anew."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Tables that are open, to be asked for some of their rows."""

    wire: Wire
    readings: tuple[Reading, ...]
    page_size: int

    def rows(self, holds: str, name: str, wanted: Mapping[str, str]) -> list[Row]:
        """The rows whose field fits a pattern, whatever the case; of a column of numbers those that equal a text.

        wanted: text → pattern. No rows where the field has no column.
        """
        reading = next(one for one in self.readings if one.holds == holds)
        column = reading.table.columns.get(name)
        if column is None:
            return []
        try:
            return self._any(reading, [(column, "ilike", pattern) for pattern in wanted.values()])
        except NotText:
            return [row for text in wanted for row in self._any(reading, [(column, "eq", text)])]

    def _any(self, reading: Reading, any_of: Sequence[tuple[str, Literal["eq", "ilike"], str]]) -> list[Row]:
        columns = reading.columns(reading.fields)
        one = any_of[0] if len(any_of) == 1 else None
        question = Question(
            table=reading.table.table,
            columns=columns,
            order=columns,
            where=one,
            any_of=() if one is not None else any_of,
            limit=self.page_size,
        )
        return [row for page in matching(self.wire, question) for row in reading.rows(page)]


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables of one project. Nothing is opened before they are read, and nothing stays open."""

    _open: Callable[[], Wire] = field(repr=False)
    _readings: tuple[Reading, ...] = field(repr=False)
    _sees_all: bool
    """Whether the key is one for which no row is hidden."""
    _page_size: int
    _sleep: Callable[[float], None] = field(repr=False)

    def read(self, progress: Progress, into: Sequence[Kept]) -> int | None:
        """Fill each of `into`, which are empty, with the rows of one table, in the order of its key; how long a full
        page is, where one was seen. What is filled is worth nothing where this raises.

        Raises SourceUnreachable (also for an empty table where the key is not a service key), SourceShapeError with
        every table and column that is missing, and SourceIncomplete where a table did not hold still.
        """
        full = Full()
        with self.asked() as asked:
            counts = [
                self._settled(asked.wire, reading, full, progress, kept)
                for reading, kept in zip(self._readings, into, strict=True)
            ]
        for reading, found in zip(self._readings, counts, strict=True):
            if not found:
                self.believe_empty(reading.holds, asked)
        return full.rows

    @contextmanager
    def asked(self) -> Iterator[Asked]:
        """The tables, open, for the length of the block. Raises from within it as `read` does."""
        with self._open() as wire:
            try:
                yield Asked(wire, self._readings, self._page_size)
            except (MissingTable, MissingColumn):
                raise _wrong_shape(wire, self._readings) from None

    def believe_empty(self, holds: str, asked: Asked) -> None:
        """Raise SourceUnreachable where no rows need not mean that there are none."""
        if self._sees_all:
            return
        table = next(one for one in self._readings if one.holds == holds).table.table
        raise SourceUnreachable(
            f"Supabase cannot be believed ({asked.wire.place}): table {table} came back empty, and SUPABASE_KEY is "
            "not a service key. An anon key under row-level security gets an empty list, as if there were no rows.",
            next_step=SET_THE_KEY,
        )

    def _settled(self, wire: Wire, reading: Reading, full: Full, progress: Progress, into: Kept) -> int:
        """Read the rows of a table that holds still while it is read; how many they are."""
        for attempt in range(READS):
            try:
                return self._read_once(wire, reading, full, progress, into)
            except Moved as error:
                # Without its traceback, which would keep what it was about while all is read anew.
                moved = error.with_traceback(None)
            into.clear()
            if attempt + 1 < READS:
                self._sleep(2.0 * 2**attempt)
        raise SourceIncomplete(
            f"The rows of table {reading.table.table} do not add up ({wire.place}), in {READS} readings; "
            f"in the last one {moved}.",
            next_step="Something writes to it. Let that finish, then run the command again.",
        ) from moved

    def _read_once(self, wire: Wire, reading: Reading, full: Full, progress: Progress, into: Kept) -> int:
        key = reading.columns(reading.key)[0]
        before = count(wire, reading.table.table, key)
        came = 0
        keys: list[str | None] = []
        order = Order()
        for page in self._walk(wire, reading, reading.fields, full, order).pages():
            rows = reading.rows(page)
            into.extend(rows)
            keys.extend(text for row in rows for text in row[: len(reading.key)])
            came += len(rows)
            progress(reading.holds, came, before)
            if came > before:
                raise Moved(f"{before} rows were counted and more came")
        if came != before:
            raise Moved(f"{before} rows were counted and {came} came")
        self._compare_keys(wire, reading, keys, order)
        after = count(wire, reading.table.table, key)
        if after != before:
            raise Moved(f"{before} rows were counted before and {after} after")
        return came

    def _compare_keys(self, wire: Wire, reading: Reading, keys: Sequence[str | None], order: Order) -> None:
        """Read the keys again, and hold them against those of the first reading: their texts, one behind the other.

        Raises Moved where one differs.
        """
        at = 0
        for page in self._walk(wire, reading, reading.key, Full(), Order(order)).pages():
            again = [text for record in page for text in reading.row(record, reading.key)]
            if keys[at : at + len(again)] != again:
                raise Moved("the keys changed between the first reading and the second")
            at += len(again)
        if at != len(keys):
            raise Moved("keys were missing in the second reading")

    def _walk(self, wire: Wire, reading: Reading, fields: Sequence[str], full: Full, order: Order) -> Walk:
        return Walk(wire, reading.table.table, reading.columns(fields), self._page_size, full, order)


def open_tables(
    wire: Callable[[], Wire],
    key: str,
    readings: tuple[Reading, ...],
    *,
    sleep: Callable[[float], None],
    page_size: int = PAGE_SIZE,
) -> Tables:
    """Tables behind a wire that is opened when they are read.

    key: the wire's, SUPABASE_KEY.  sleep: how to wait before a table is read anew, in seconds.  page_size: rows asked
    for at a time.
    """
    return Tables(wire, readings, is_service_key(key), page_size, sleep)


# what is not there


def _wrong_shape(wire: Wire, readings: Sequence[Reading]) -> SourceShapeError:
    lines = [line for reading in readings for line in _missing(wire, reading)]
    if not lines:
        lines = ["  a table or column was missing, and is there now"]
    return SourceShapeError(
        "\n".join([f"{wire.place} does not look as {RULES_FILE} says:", *lines]),
        next_step=f"Correct the names under `sql:` in {RULES_FILE}, or ask who changed the database.",
    )


def _missing(wire: Wire, reading: Reading) -> Iterator[str]:
    """A line for a table or its columns that are not there, with the columns that are."""
    table = reading.table.table
    columns = reading.columns(reading.fields)
    try:
        rows = wire.ask(Question(table=table, columns=("*",), limit=1)).rows
    except MissingTable:
        yield f"  there is no table {table}, or it is not exposed"
        return
    absent = [column for column in columns if not _has(wire, table, column)]
    if absent:
        there = f"; it has: {', '.join(rows[0])}" if rows else ""
        yield f"  table {table} has no column {', '.join(absent)}{there}"


def _has(wire: Wire, table: str, column: str) -> bool:
    try:
        wire.ask(Question(table=table, columns=(column,), limit=1))
    except MissingColumn:
        return False
    return True
