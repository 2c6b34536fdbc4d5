"""Ways through a table, page by page, whatever the server's `max-rows` is.

PostgREST cuts an answer short at `max-rows` (Supabase: 1,000) and says nothing, and pages are no snapshot. So those of
a whole table follow the key, not an offset into the table, and only an empty page is the end. The last key of a page
may have more rows, so the next page begins with that key again, past its rows that came already. Rows without a key,
which no comparison finds, are asked for by themselves. A key that comes again after another one is refused.

Keys are compared and ordered by the database alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Literal

from reconciler.errors import SourceIncomplete
from reconciler.supabase.questions import Question, Record
from reconciler.supabase.reading import RULES_FILE
from reconciler.supabase.wire import Wire

PAGE_SIZE = 1_000
"""Rows asked for at a time: Supabase's own `max-rows`, where nobody changed it."""
MOST_ROWS = 5_000_000
"""A table that says it has more is not read: it is not a union's."""


class Moved(Exception):
    """The table changed while it was read; the text says how that showed."""


@dataclass(slots=True)
class Full:
    """The longest page that was seen to be full: as long as asked for, or followed by further rows."""

    rows: int | None = None

    def note(self, rows: int) -> None:
        """Such a page was seen."""
        self.rows = max(rows, self.rows or 0)


class Order:
    """The keys of a walk as they came, each once.

    earlier: those of a walk that came to its end. As long as the same keys come again, none of them is kept twice.
    """

    def __init__(self, earlier: Order | None = None) -> None:
        self._earlier: dict[str, None] = {} if earlier is None else earlier.keys
        self._expected = iter(self._earlier)
        self._as_before: int | None = 0
        """How many came that were expected; None as soon as another one did."""
        self.keys: dict[str, None] = {}
        """Those kept here: all, or none where they are the earlier ones."""

    def note(self, key: str) -> None:
        """A key other than the last one came. Raises Moved for one that came before."""
        if self._as_before is not None:
            if next(self._expected, None) == key:
                self._as_before += 1
                return
            self.keys = dict.fromkeys(islice(self._earlier, self._as_before))
            self._as_before = None
        if key in self.keys:
            raise Moved("a key came again after others: the key order is broken between pages")
        self.keys[key] = None


def count(wire: Wire, table: str, column: str) -> int:
    """How many rows a table has. Raises SourceIncomplete for more than a union could have."""
    total = wire.ask(Question(table=table, columns=(column,), limit=1, count=True)).total
    if total is None:
        raise AssertionError("a wire that was asked for the count says it or fails")
    if total > MOST_ROWS:
        raise SourceIncomplete(
            f"{wire.place} says that table {table} has {total} rows; more than {MOST_ROWS} are not read.",
            next_step=f"Check the table's name in {RULES_FILE}.",
        )
    return total


def matching(wire: Wire, question: Question) -> Iterator[Sequence[Record]]:
    """All rows that the condition of a question lets through, one page for each request: by offset, and as many as the
    count says. For some rows, of which nobody is sure to hold still; `limit` is the length of a page.
    """
    seen = 0
    while True:
        answer = wire.ask(replace(question, offset=seen, count=True))
        seen += len(answer.rows)
        yield answer.rows
        if not answer.rows or answer.total is None or seen >= answer.total:
            return


@dataclass(frozen=True, slots=True)
class Walk:
    """A way through one whole table: `columns`, the key's first, in their order."""

    wire: Wire
    table: str
    columns: tuple[str, ...]
    page_size: int
    full: Full
    order: Order

    def pages(self) -> Iterator[Sequence[Record]]:
        """All rows, those with a key first, in its order; of rows that share one, all in one go.

        Raises Moved where the pages are in no order.
        """
        return chain(self._keyed(), self._keyless())

    def _keyed(self) -> Iterator[Sequence[Record]]:
        """All rows whose key is not null.

        A page begins with the key that the one before it ended with, past the rows of it that came already. A key that
        comes again after another one means that the pages are in no order: rows may be missing, and others be there
        twice, and the count be right all the same.
        """
        key = self.columns[0]
        where: tuple[str, Literal["not.is", "gte"], str] = (key, "not.is", "null")
        last: str | None = None
        of_last = previous = 0
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
                self.order.note(text)
                last, of_last = text, 1
            yield page
            where = (key, "gte", last or "")

    def _keyless(self) -> Iterator[Sequence[Record]]:
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
