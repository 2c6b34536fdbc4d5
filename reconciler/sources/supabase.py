"""Members and positions from Supabase, through its data interface (PostgREST), whatever its `max-rows` is.

PostgREST cuts an answer short at `max-rows` (Supabase: 1,000) and says nothing, and pages are no snapshot. So:

- Pages follow the key, not an offset into the table, and only an empty page is the end. The last key of a page may have
  more rows, so the next page begins with that key again, past its rows that came already. Rows without a key, which no
  comparison finds, are asked for by themselves. A key that comes again after another one is refused.
- The exact count is taken before and after, and the keys are read a second time. Rows that came or went meanwhile show
  in one or the other: a count misses one that came for one that went. Two equal readings of the keys mean that these
  rows, and no others, were there in the moment between the two. Otherwise all is read anew, a few times, then refused.
- A key under row-level security gets an empty list and status 200. Only a service key is believed when it says so.

Values are compared and ordered by the database alone until they are cleaned; see `rows.py` for the rest.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, TypeAlias

import httpx
import msgspec

from reconciler.core.model import PositionRow, Progress, SourceData
from reconciler.core.rules import Sources, Table
from reconciler.core.whom import Whom
from reconciler.errors import Problem, RulesError, SourceIncomplete, SourceShapeError, SourceUnreachable
from reconciler.sources import rows as of
from reconciler.sources.rows import Row, text_of
from reconciler.sources.supabase_lookup import Searched, find_in
from reconciler.supabase.wire import SET_THE_KEY, MissingColumn, MissingTable, NotText, Question, Record, Wire

PAGE_SIZE = 1_000
"""Rows asked for at a time: Supabase's own `max-rows`, where nobody changed it."""
READS = 4
"""How often a table is read before it is given up: once, and three times anew."""
MOST_ROWS = 5_000_000
"""A table that says it has more is not read: it is not a union's."""

_RULES_FILE = "rules/sources.yaml"
Role: TypeAlias = Literal["service", "other"]


@dataclass(frozen=True, slots=True)
class _Reading:
    """One table to read: what it holds, its columns in the order of `fields`, and the fields that make the key."""

    holds: Literal["members", "positions"]
    table: Table
    fields: tuple[str, ...]
    key: tuple[str, ...]
    text: Callable[[object], str | None] = text_of
    """What becomes of a value."""

    def columns(self, fields: Sequence[str]) -> tuple[str, ...]:
        """Their names for these fields of ours, each once, the first field's first; the rest in order of the rules."""
        return tuple(dict.fromkeys(self.table.columns[name] for name in fields if name in self.table.columns))


@dataclass(slots=True)
class _Full:
    """The longest page that was seen to be full: as long as asked for, or followed by further rows."""

    rows: int | None = None

    def note(self, rows: int) -> None:
        self.rows = max(rows, self.rows or 0)


class _Moved(Exception):
    """The table changed while it was read; the text says how that showed."""


@dataclass(frozen=True, slots=True)
class SupabaseSource:
    """A Supabase project as a Source (sources/__init__.py). Nothing is opened before `read`, nothing stays open."""

    _open: Callable[[], Wire] = field(repr=False)
    _readings: tuple[_Reading, ...] = field(repr=False)
    _role: Role
    _page_size: int
    _sleep: Callable[[float], None] = field(repr=False)

    @property
    def name(self) -> str:
        """`supabase`."""
        return "supabase"

    def read(self, progress: Progress) -> SourceData:
        """All members, by number, and all positions, by number and code; the values are as `SqlSource` reads them.

        `page_size` is the length of a full page where one was seen, else None: a table that ends exactly there is
        suspect, however well its count agrees, because what filled the mirror may itself have stopped at a page.

        Raises SourceUnreachable (also for an empty table where the key is not a service key), SourceShapeError with
        every table and column that is missing, and SourceIncomplete where a table did not hold still.
        """
        full = _Full()
        members, positions = self.tables(full, progress)
        return of.source_data(self.name, members, of.entries_by_number(positions), page_size=full.rows)

    def find(self, whom: Whom) -> SourceData:
        """As sources.LookUp. Where nobody is found the key must be one that sees all rows, or SourceUnreachable."""
        with self._open() as wire:
            try:
                found = find_in(self.name, _Asked(wire, self._readings, self._page_size), whom.cleaned())
            except (MissingTable, MissingColumn):
                raise self._wrong_shape(wire) from None
            place = wire.place
        if not found.members and self._role != "service":
            raise _hidden(place, self._readings[0].table.table)
        return found

    def members_by_email(self, email: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(emails=(email,)))

    def members_by_number(self, number: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(numbers=(number,)))

    def tables(self, full: _Full, progress: Progress) -> list[list[Row]]:
        """The rows of each table, in the order of its key; raises as `read` does."""
        with self._open() as wire:
            try:
                tables = [self._settled(wire, reading, full, progress) for reading in self._readings]
            except (MissingTable, MissingColumn):
                raise self._wrong_shape(wire) from None
            place = wire.place
        for reading, found in zip(self._readings, tables, strict=True):
            if not found and self._role != "service":
                raise _hidden(place, reading.table.table)
        return tables

    def _settled(self, wire: Wire, reading: _Reading, full: _Full, progress: Progress) -> list[Row]:
        """The rows of a table that held still while it was read."""
        for attempt in range(READS):
            try:
                return self._read_once(wire, reading, full, progress)
            except _Moved as error:
                moved = error
            if attempt + 1 < READS:
                self._sleep(2.0 * 2**attempt)
        raise SourceIncomplete(
            f"The rows of table {reading.table.table} do not add up ({wire.place}), in {READS} readings; "
            f"in the last one {moved}.",
            next_step="Something writes to it. Let that finish, then run the command again.",
        ) from moved

    def _read_once(self, wire: Wire, reading: _Reading, full: _Full, progress: Progress) -> list[Row]:
        before = _count(wire, reading)
        rows: list[Row] = []
        for page in self._pages(wire, reading, reading.fields, full):
            rows.extend(_clean_rows(page, reading))
            progress(reading.holds, len(rows), before)
            if len(rows) > before:
                raise _Moved(f"{before} rows were counted and more came")
        if len(rows) != before:
            raise _Moved(f"{before} rows were counted and {len(rows)} came")
        self._compare_keys(wire, reading, rows)
        after = _count(wire, reading)
        if after != before:
            raise _Moved(f"{before} rows were counted before and {after} after")
        return rows

    def _compare_keys(self, wire: Wire, reading: _Reading, rows: Sequence[Row]) -> None:
        """Read the keys again, and hold them against the rows. Raises _Moved where one differs."""
        at = 0
        for page in self._pages(wire, reading, reading.key, _Full()):
            for row in page:
                if at == len(rows) or rows[at][: len(reading.key)] != _row(row, reading, reading.key):
                    raise _Moved("the keys changed between the first reading and the second")
                at += 1
        if at != len(rows):
            raise _Moved("keys were missing in the second reading")

    def _pages(self, wire: Wire, reading: _Reading, fields: Sequence[str], full: _Full) -> Iterator[Sequence[Record]]:
        """All rows, those with a key first, in its order; of rows that share one, all in one go."""
        columns = reading.columns(fields)
        walk = _Walk(wire, reading.table.table, columns, self._page_size, full)
        return chain(walk.keyed(), walk.keyless())

    def _wrong_shape(self, wire: Wire) -> SourceShapeError:
        lines = [line for reading in self._readings for line in _missing(wire, reading)]
        if not lines:
            lines = ["  a table or column was missing, and is there now"]
        return SourceShapeError(
            "\n".join([f"{wire.place} does not look as {_RULES_FILE} says:", *lines]),
            next_step=f"Correct the names under `sql:` in {_RULES_FILE}, or ask who changed the database.",
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """The tables as `supabase_lookup` searches them."""

    wire: Wire
    readings: tuple[_Reading, ...]
    page_size: int

    def rows(self, table: Searched, name: str, wanted: Mapping[str, str]) -> list[Row]:
        """The rows whose field fits a pattern, whatever the case; of a column of numbers those that equal a text."""
        reading = next(one for one in self.readings if one.holds == table)
        column = reading.table.columns.get(name)
        if column is None:
            return []
        try:
            return self._any(reading, [(column, "ilike", pattern) for pattern in wanted.values()])
        except NotText:
            return [row for text in wanted for row in self._any(reading, [(column, "eq", text)])]

    def _any(self, reading: _Reading, any_of: Sequence[tuple[str, Literal["eq", "ilike"], str]]) -> list[Row]:
        """All rows, page by page: PostgREST cuts an answer short and says so nowhere but in the count."""
        columns = reading.columns(reading.fields)
        one = any_of[0] if len(any_of) == 1 else None
        rows: list[Row] = []
        while True:
            answer = self.wire.ask(
                Question(
                    table=reading.table.table,
                    columns=columns,
                    order=columns,
                    where=one,
                    any_of=() if one is not None else any_of,
                    limit=self.page_size,
                    offset=len(rows),
                    count=True,
                )
            )
            rows.extend(_clean_rows(answer.rows, reading))
            if not answer.rows or answer.total is None or len(rows) >= answer.total:
                return rows


def open_supabase(
    url: str,
    key: str,
    sources: Sources,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    page_size: int = PAGE_SIZE,
    transport: httpx.BaseTransport | None = None,
) -> SupabaseSource:
    """The source in a Supabase project, in the tables and columns of `sources.sql`. Opens nothing yet.

    url, key: SUPABASE_URL (scheme and host) and SUPABASE_KEY.  sleep: how to wait before a second try, in seconds.
    clock: seconds that only grow.  page_size: rows asked for at a time.  transport: what carries the requests.

    Raises RulesError for tables whose columns do not fit.
    """
    readings = (
        _Reading("members", sources.sql.members, of.MEMBER_FIELDS, ("number",)),
        _Reading("positions", sources.sql.positions, of.POSITION_FIELDS, of.POSITION_FIELDS),
    )
    problems = [problem for reading in readings for problem in _problems(reading)]
    if problems:
        raise RulesError(problems)

    def wire() -> Wire:
        return Wire(url, key, sleep=sleep, clock=clock, transport=transport)

    return SupabaseSource(wire, readings, _role_of(key), page_size, sleep)


def open_position_rows(
    url: str,
    key: str,
    sources: Sources,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    page_size: int = PAGE_SIZE,
    transport: httpx.BaseTransport | None = None,
) -> Callable[[Progress], tuple[PositionRow, ...]]:
    """What reads the positions table as it is written, as a target: in the order of its key, read like any source.

    Arguments, and what the reader raises, as for `open_supabase`.
    """
    reading = _Reading("positions", sources.sql.positions, of.ROW_FIELDS, of.POSITION_FIELDS, text=of.written)
    if problems := [*_problems(reading)]:
        raise RulesError(problems)

    def wire() -> Wire:
        return Wire(url, key, sleep=sleep, clock=clock, transport=transport, reads="The positions table")

    table = SupabaseSource(wire, (reading,), _role_of(key), page_size, sleep)

    def read(progress: Progress) -> tuple[PositionRow, ...]:
        # The source's positions are reported by that word, side by side with these.
        (rows,) = table.tables(_Full(), lambda _positions, done, total: progress("rows", done, total))
        return tuple([PositionRow(*row) for row in rows])

    return read


def _problems(reading: _Reading) -> Iterator[Problem]:
    where = f"sql.{reading.holds}.columns"
    for name in reading.key:
        if name not in reading.table.columns:
            yield Problem("sources.yaml", 0, f"{where} lacks `{name}`")
    for name in reading.table.columns:
        if name not in of.valid_names("sql", reading.holds, reading.fields):
            valid = ", ".join(of.valid_names("sql", reading.holds, reading.fields))
            yield Problem("sources.yaml", 0, f"{where} has `{name}`; valid names: {valid}")


# pages


@dataclass(frozen=True, slots=True)
class _Walk:
    """A way through one table: `columns`, the key's first, in their order."""

    wire: Wire
    table: str
    columns: tuple[str, ...]
    page_size: int
    full: _Full

    def keyed(self) -> Iterator[Sequence[Record]]:
        """All rows whose key is not null.

        A page begins with the key that the one before it ended with, past the rows of it that came already. A key that
        comes again after another one means that the pages are in no order: rows may be missing, and others be there
        twice, and the count be right all the same.
        """
        key = self.columns[0]
        where: tuple[str, Literal["not.is", "gte"], str] = (key, "not.is", "null")
        last: str | None = None
        of_last = previous = 0
        left: set[str] = set()
        while page := self._ask(where, of_last):
            if last is not None:
                # Rows beyond the page before: that one was as long as the server makes them.
                self.full.note(previous)
            previous = len(page)
            for row in page:
                text = _key_text(row[key])
                if text == last:
                    of_last += 1
                    continue
                if last is not None:
                    left.add(last)
                if text in left:
                    raise _Moved("a key came again after others: the key order is broken between pages")
                last, of_last = text, 1
            yield page
            where = (key, "gte", last or "")

    def keyless(self) -> Iterator[Sequence[Record]]:
        """The rows whose key is null, which no comparison finds: by offset until nothing is left."""
        where: tuple[str, Literal["is"], str] = (self.columns[0], "is", "null")
        offset = previous = 0
        while page := self._ask(where, offset):
            if previous:
                self.full.note(previous)
            yield page
            previous = len(page)
            offset += previous

    def _ask(self, where: tuple[str, Literal["not.is", "gte", "is"], str], offset: int = 0) -> Sequence[Record]:
        found = self.wire.ask(
            Question(
                table=self.table,
                columns=self.columns,
                order=self.columns,
                where=where,
                limit=self.page_size,
                offset=offset,
            )
        ).rows
        if len(found) >= self.page_size:
            self.full.note(len(found))
        return found


def _key_text(value: object) -> str:
    """A key as a filter takes it: uncleaned, because the database compares it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _count(wire: Wire, reading: _Reading) -> int:
    column = reading.columns(reading.key)[:1]
    total = wire.ask(Question(table=reading.table.table, columns=column, limit=1, count=True)).total
    if total is None:
        raise AssertionError("a wire that was asked for the count says it or fails")
    if total > MOST_ROWS:
        raise SourceIncomplete(
            f"{wire.place} says that table {reading.table.table} has {total} rows; more than {MOST_ROWS} are not read.",
            next_step=f"Check the table's name in {_RULES_FILE}.",
        )
    return total


# values


def _clean_rows(page: Sequence[Record], reading: _Reading) -> list[Row]:
    try:
        return [_row(record, reading, reading.fields) for record in page]
    except TypeError:
        pass
    raise _first_not_text(page, reading)


def _row(record: Record, reading: _Reading, fields: Sequence[str]) -> Row:
    columns = reading.table.columns
    return tuple([reading.text(record[columns[name]]) if name in columns else None for name in fields])


def _first_not_text(page: Sequence[Record], reading: _Reading) -> SourceShapeError:
    for record in page:
        for column in reading.columns(reading.fields):
            kind = type(record[column])
            if kind in {dict, list}:
                number = record[reading.columns(reading.key)[0]]
                row = f" (row with {reading.fields[0]} {number})" if isinstance(number, int | str) else ""
                return SourceShapeError(
                    f"{reading.table.table}.{column}{row} holds values of a kind that has no text form "
                    f"({kind.__name__}).",
                    next_step=f"Correct the row, or name another column in {_RULES_FILE}.",
                )
    raise AssertionError("a row that could not be read can be read now")


# what is not there


def _missing(wire: Wire, reading: _Reading) -> Iterator[str]:
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


# the key


class _Claims(msgspec.Struct):
    role: str = ""


def _role_of(key: str) -> Role:
    """Whether a key sees all rows whatever the policies say.

    `sb_secret_…` and, of the older keys (JWTs), the one whose role is `service_role`; `sb_publishable_…` and `anon` do
    not (Supabase documentation, "Understanding API keys"). Of any other nothing is known.
    """
    if key.startswith("sb_secret_"):
        return "service"
    claims = key.split(".")[1:2]
    try:
        decoded = base64.urlsafe_b64decode("".join(claims) + "==")
        return "service" if msgspec.json.decode(decoded, type=_Claims).role == "service_role" else "other"
    except (binascii.Error, msgspec.DecodeError, ValueError):
        return "other"


def _hidden(place: str, table: str) -> SourceUnreachable:
    return SourceUnreachable(
        f"Supabase cannot be believed ({place}): table {table} came back empty, and SUPABASE_KEY is not a service "
        "key. An anon key under row-level security gets an empty list, as if there were no rows.",
        next_step=SET_THE_KEY,
    )
