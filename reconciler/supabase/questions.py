"""What may be asked of Supabase's data interface (PostgREST), what may be changed through it, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Record: TypeAlias = Mapping[str, object]
"""A row as JSON has it: column → text, number, boolean or null."""

Condition: TypeAlias = tuple[str, Literal["gt", "gte", "eq", "is", "not.is", "ilike", "in"], str]
"""Column, PostgREST's operator, and the value as text; for `in` the text that `any_of` makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Rows of one table: some columns, ordered by some, all of them or those that one condition lets through."""

    table: str
    columns: Sequence[str]
    """`*` alone for all."""
    limit: int
    order: Sequence[str] = ()
    """Ascending, as the database orders its own type."""
    where: Condition | None = None
    any_of: Sequence[tuple[str, Literal["ilike", "eq"], str]] = ()
    """Conditions of which one is enough. Their values hold letters, digits, `_` and `%` only."""
    offset: int = 0
    count: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows, and how many there are in all where that was asked (`Prefer: count=exact`)."""

    rows: Sequence[Record]
    total: int | None


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows to add to a table, each with the same columns."""

    table: str
    rows: Sequence[Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class Update:
    """Values for the rows of a table that all conditions let through; there is at least one."""

    table: str
    values: Mapping[str, str | None]
    where: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class Delete:
    """The end of the rows of a table that all conditions let through; there is at least one."""

    table: str
    where: Sequence[Condition]


def any_of(values: Sequence[str]) -> str:
    """The list of an `in` condition: each value in double quotes (docs.postgrest.org, Tables and Views)."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "(" + ",".join(f'"{value}"' for value in quoted) + ")"
