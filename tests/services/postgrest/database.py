"""What PostgREST does in the database: a transaction a request, as the role of the key; PostgreSQL makes the JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Identifier, Literal

from tests.services.postgrest import query
from tests.services.postgrest.query import BadQuery, Pairs, Window

ROLES = """
DO $$ BEGIN CREATE ROLE anon NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
DO $$ BEGIN CREATE ROLE service_role NOLOGIN BYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
GRANT USAGE ON SCHEMA public TO anon, service_role;
GRANT ALL ON ALL TABLES IN SCHEMA public TO anon, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, service_role;
"""
"""Supabase's roles and grants; row-level security is PostgreSQL's own."""


@dataclass(frozen=True, slots=True)
class Result:
    """Rows as a JSON array, how many there are, and the total where it was asked for."""

    body: str
    count: int
    total: int | None


class Database:
    """The connections of one PostgREST server."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._idle: LifoQueue[psycopg.Connection] = LifoQueue()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(ROLES)

    def close(self) -> None:
        """Close what is idle."""
        while True:
            try:
                self._idle.get_nowait().close()
            except Empty:
                return

    @contextmanager
    def transaction(self, role: str) -> Iterator[psycopg.Connection]:
        """A transaction as this role; undone where the block raises."""
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = psycopg.connect(self._url)
        try:
            with connection.transaction():
                connection.execute(SQL("SET LOCAL ROLE {}").format(Identifier(role)))
                yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)


def read(connection: psycopg.Connection, table: str, pairs: Pairs, window: Window, *, count: bool) -> Result:
    """Rows of a table, and the exact count of all that the filters let through, in one statement."""
    columns(connection, table)
    source, condition = Identifier("public", table), _where(query.where(table, pairs))
    total = SQL("(SELECT count(*) FROM {}{})").format(source, condition) if count else SQL("NULL::bigint")
    statement = SQL(
        "SELECT coalesce(json_agg(row)::text, '[]'), count(*), {} FROM (SELECT {} FROM {}{}{}{}) AS row"
    ).format(total, query.select_list(table, pairs), source, condition, query.order_by(table, pairs), window.sql())
    found = connection.execute(statement).fetchone()
    if found is None:
        raise AssertionError("an aggregate has one row")
    return Result(*found)


def insert(connection: psycopg.Connection, table: str, pairs: Pairs, body: bytes, *, resolution: str | None) -> Result:
    """Insert one object or a list of them; `resolution` says what becomes of rows that are there already."""
    rows = _objects(body)
    known = columns(connection, table)
    asked = dict(pairs)
    wanted = query.names(asked["columns"]) if "columns" in asked else _common_keys(rows)
    _check_columns(table, wanted, known)
    if not rows:
        return Result("[]", 0, 0)
    conflict: Composable = SQL("")
    if resolution is not None:
        target = query.names(asked["on_conflict"]) if "on_conflict" in asked else _primary_key(connection, table)
        conflict = _on_conflict(wanted, target, resolution)
    listed = _listed(wanted)
    statement = SQL("INSERT INTO {} ({}) SELECT {} FROM json_populate_recordset(NULL::{}, {}){}").format(
        Identifier("public", table), listed, listed, Identifier("public", table), Literal(json.dumps(rows)), conflict
    )
    return _returning(connection, table, statement, pairs)


def update(connection: psycopg.Connection, table: str, pairs: Pairs, body: bytes) -> Result:
    """Set the body's columns in the rows that the filters let through."""
    rows = _objects(body)
    changes = rows[0] if rows else {}
    _check_columns(table, list(changes), columns(connection, table))
    if not changes:
        return Result("[]", 0, 0)
    listed = _listed(list(changes))
    statement = SQL("UPDATE {} SET ({}) = (SELECT {} FROM json_populate_record(NULL::{}, {})){}").format(
        Identifier("public", table),
        listed,
        listed,
        Identifier("public", table),
        Literal(json.dumps(changes)),
        _where(_required("UPDATE", table, pairs)),
    )
    return _returning(connection, table, statement, pairs)


def delete(connection: psycopg.Connection, table: str, pairs: Pairs) -> Result:
    """Delete the rows that the filters let through."""
    columns(connection, table)
    statement = SQL("DELETE FROM {}{}").format(Identifier("public", table), _where(_required("DELETE", table, pairs)))
    return _returning(connection, table, statement, pairs)


def columns(connection: psycopg.Connection, table: str) -> list[str]:
    """The columns of an exposed table. Raises PGRST205 where there is none."""
    found = connection.execute(
        "SELECT attname FROM pg_attribute JOIN pg_class ON attrelid = pg_class.oid"
        " WHERE relname = %s AND relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped"
        " AND relkind IN ('r', 'v', 'm', 'f', 'p')",
        [table],
    ).fetchall()
    if not found:
        raise BadQuery(404, "PGRST205", f"Could not find the table 'public.{table}' in the schema cache")
    return [name for (name,) in found]


def status_of(error: psycopg.Error, *, anonymous: bool) -> int:
    """The HTTP status of a PostgreSQL error (docs.postgrest.org, Errors, "HTTP Status Codes")."""
    code = error.sqlstate or "XX000"
    if code == "42501":
        return 401 if anonymous else 403
    for pattern, status in _STATUS:
        if re.match(pattern, code):
            return status
    return 400


_STATUS = (
    ("08", 503),
    ("09", 500),
    ("0L|0P", 403),
    ("23503|23505", 409),
    ("25006", 405),
    ("25", 500),
    ("28", 403),
    ("2D|38|39|3B|40", 500),
    ("53400", 500),
    ("53", 503),
    ("54|55|57|58|F0|HV", 500),
    ("P0001", 400),
    ("P0|XX|42P17", 500),
    ("42883|42P01", 404),
)


def _where(condition: Composable | None) -> Composable:
    return SQL("") if condition is None else SQL(" WHERE ") + condition


def _required(verb: str, table: str, pairs: Pairs) -> Composable:
    """Supabase loads pg-safeupdate for its API roles."""
    condition = query.where(table, pairs)
    if condition is None:
        raise BadQuery(400, "21000", f"{verb} requires a WHERE clause")
    return condition


def _returning(connection: psycopg.Connection, table: str, statement: Composable, pairs: Pairs) -> Result:
    found = connection.execute(
        SQL("WITH done AS ({} RETURNING *) SELECT coalesce(json_agg(row)::text, '[]'), count(*)").format(statement)
        + SQL(" FROM (SELECT {} FROM done AS {}) AS row").format(query.select_list(table, pairs), Identifier(table))
    ).fetchone()
    if found is None:
        raise AssertionError("an aggregate has one row")
    body, count = found
    return Result(body, count, count)


def _objects(body: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise BadQuery(400, "PGRST102", "Empty or invalid json") from error
    rows = found if isinstance(found, list) else [found]
    if not all(isinstance(row, dict) for row in rows):
        raise BadQuery(400, "PGRST102", "Empty or invalid json")
    return rows


def _common_keys(rows: Sequence[dict[str, Any]]) -> list[str]:
    if len({frozenset(row) for row in rows}) > 1:
        raise BadQuery(400, "PGRST102", "All object keys must match")
    return list(rows[0]) if rows else []


def _check_columns(table: str, wanted: Sequence[str], known: Sequence[str]) -> None:
    for name in wanted:
        if name not in known:
            raise BadQuery(400, "PGRST204", f"Could not find the '{name}' column of '{table}' in the schema cache")


def _primary_key(connection: psycopg.Connection, table: str) -> list[str]:
    found = connection.execute(
        "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey)"
        " WHERE indisprimary AND indrelid = %s::regclass",
        [f'public."{table}"'],
    ).fetchall()
    return [name for (name,) in found]


def _on_conflict(wanted: Sequence[str], target: Sequence[str], resolution: str) -> Composable:
    if not target:
        return SQL("")
    head = SQL(" ON CONFLICT ({}) ").format(_listed(target))
    if resolution == "ignore-duplicates":
        return head + SQL("DO NOTHING")
    changes = [SQL("{} = EXCLUDED.{}").format(Identifier(name), Identifier(name)) for name in wanted]
    return head + SQL("DO UPDATE SET ") + SQL(", ").join(changes)


def _listed(wanted: Sequence[str]) -> Composable:
    return SQL(", ").join(Identifier(name) for name in wanted)
