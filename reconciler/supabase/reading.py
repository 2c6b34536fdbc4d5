"""A table to be read: which of its columns in which order, and what becomes of the values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from reconciler.core.rules import Table
from reconciler.errors import SourceShapeError
from reconciler.supabase.questions import Record

RULES_FILE = "rules/sources.yaml"

Row: TypeAlias = tuple[str | None, ...]
"""Texts, in the order of the fields that were asked for."""


class Kept(Protocol):
    """Where the rows of one table go, page by page, so that what is made of them is there only once. A list is one."""

    def extend(self, rows: Iterable[Row], /) -> None:
        """Take in some rows more, and keep of them no more than is wanted."""
        ...

    def clear(self) -> None:
        """Forget all rows: the table is read anew."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One table to read: what it holds, its columns in the order of `fields`, and the fields that make the key."""

    holds: str
    """In the words of rules/sources.yaml."""
    table: Table
    fields: tuple[str, ...]
    key: tuple[str, ...]
    """The first of `fields`, as many as tell rows apart."""
    text: Callable[[object], str | None]
    """What becomes of a value. Raises TypeError for one that has no text form."""

    def columns(self, fields: Sequence[str]) -> tuple[str, ...]:
        """Their names for these fields of ours, each once, the first field's first; the rest in order of the rules."""
        return tuple(dict.fromkeys(self.table.columns[name] for name in fields if name in self.table.columns))

    def row(self, record: Record, fields: Sequence[str]) -> Row:
        """These fields of one row; None for those that have no column. Raises as `text` does."""
        columns = self.table.columns
        return tuple([self.text(record[columns[name]]) if name in columns else None for name in fields])

    def rows(self, page: Sequence[Record]) -> list[Row]:
        """All fields of many rows. Raises SourceShapeError that names the first value which has no text form."""
        text, columns = self.text, [self.table.columns.get(name) for name in self.fields]
        try:
            return [tuple([None if name is None else text(record[name]) for name in columns]) for record in page]
        except TypeError:
            pass
        # Here, so that the error, which may quote the value, is not its context.
        raise self._first_not_text(page)

    def _first_not_text(self, page: Sequence[Record]) -> SourceShapeError:
        for record in page:
            for column in self.columns(self.fields):
                kind = type(record[column])
                if kind in {dict, list}:
                    number = record[self.columns(self.key)[0]]
                    row = f" (row with {self.fields[0]} {number})" if isinstance(number, int | str) else ""
                    return SourceShapeError(
                        f"{self.table.table}.{column}{row} holds values of a kind that has no text form "
                        f"({kind.__name__}).",
                        next_step=f"Correct the row, or name another column in {RULES_FILE}.",
                    )
        raise AssertionError("a row that could not be read can be read now")
