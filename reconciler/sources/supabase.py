"""Members and positions from Supabase: which tables and columns they are made from.

How a table there is read whole, whatever its `max-rows` is, and when it is believed: see `reconciler/supabase/`. Values
are compared and ordered by the database alone until they are cleaned; see `rows.py` for the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from reconciler.core.model import Progress, SourceData
from reconciler.core.rules import Sources
from reconciler.core.rules.columns import column_problems
from reconciler.core.whom import Whom
from reconciler.errors import RulesError
from reconciler.sources import rows as of
from reconciler.sources.supabase_lookup import find_in
from reconciler.supabase.pages import PAGE_SIZE
from reconciler.supabase.reading import Reading
from reconciler.supabase.tables import Tables, open_tables
from reconciler.supabase.wire import Wire


@dataclass(frozen=True, slots=True)
class SupabaseSource:
    """A Supabase project as a Source (sources/__init__.py). Nothing is opened before `read`, nothing stays open."""

    _tables: Tables

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
        members = of.Members()
        positions: list[of.Row] = []
        full_page = self._tables.read(progress, (members, positions))
        return of.source_data(self.name, members, of.entries_by_number(positions), page_size=full_page)

    def find(self, whom: Whom) -> SourceData:
        """As sources.LookUp. Where nobody is found the key must be one that sees all rows, or SourceUnreachable."""
        with self._tables.asked() as asked:
            found = find_in(self.name, asked, whom.cleaned())
        if not found.members:
            self._tables.believe_empty("members", asked)
        return found

    def members_by_email(self, email: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(emails=(email,)))

    def members_by_number(self, number: str) -> SourceData:
        """As sources.LookUp."""
        return self.find(Whom(numbers=(number,)))


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
        Reading("members", sources.sql.members, of.MEMBER_FIELDS, ("number",), of.text_of),
        Reading("positions", sources.sql.positions, of.POSITION_FIELDS, of.POSITION_FIELDS, of.text_of),
    )
    problems = [
        problem
        for each in readings
        for problem in column_problems(
            f"sql.{each.holds}.columns",
            each.table,
            required=each.key,
            known=of.valid_names("sql", each.holds, each.fields),
        )
    ]
    if problems:
        raise RulesError(problems)

    def wire() -> Wire:
        return Wire(url, key, sleep=sleep, clock=clock, transport=transport)

    return SupabaseSource(open_tables(wire, key, readings, sleep=sleep, page_size=page_size))
