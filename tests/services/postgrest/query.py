"""PostgREST's query string as SQL: select, order, filters and logic trees, limit and offset, and the Range header.

Values become untyped literals, so PostgreSQL itself reads them as the column's type, as it does behind PostgREST.
docs/postgrest-shim.md lists what is covered, with sources.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from psycopg.sql import SQL, Composable, Identifier, Literal

_COMPARE = {"eq": SQL("="), "neq": SQL("<>"), "gt": SQL(">"), "gte": SQL(">="), "lt": SQL("<"), "lte": SQL("<=")}
_IS = {
    "null": SQL("NULL"),
    "not_null": SQL("NOT NULL"),
    "true": SQL("TRUE"),
    "false": SQL("FALSE"),
    "unknown": SQL("UNKNOWN"),
}
_ORDER = {"asc": SQL("ASC"), "desc": SQL("DESC"), "nullsfirst": SQL("NULLS FIRST"), "nullslast": SQL("NULLS LAST")}
_RESERVED = frozenset({"select", "order", "limit", "offset", "columns", "on_conflict"})
_NAME = re.compile(r'"(?:[^"\\]|\\.)*"|[^.,:()"]+')


class BadQuery(Exception):
    """An error of PostgREST's own: status, code, message, details."""

    def __init__(self, status: int, code: str, message: str, details: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details = status, code, message, details


@dataclass(frozen=True, slots=True)
class Window:
    """The rows wanted: from `offset`, `limit` of them (None: all)."""

    offset: int
    limit: int | None

    def sql(self) -> Composable:
        """LIMIT and OFFSET."""
        limit = SQL("ALL") if self.limit is None else Literal(self.limit)
        return SQL(" LIMIT {} OFFSET {}").format(limit, Literal(self.offset))


Pairs = Sequence[tuple[str, str]]


def select_list(table: str, pairs: Pairs) -> Composable:
    """The columns of `select`, `*` where there is none. No aliases, casts, aggregates or embedding."""
    text = dict(pairs).get("select", "*") or "*"
    return SQL(", ").join(SQL("*") if name == "*" else Identifier(table, name) for name in names(text))


def order_by(table: str, pairs: Pairs) -> Composable:
    """ORDER BY, or nothing."""
    text = dict(pairs).get("order")
    if not text:
        return SQL("")
    return SQL(" ORDER BY ") + SQL(", ").join(_order_term(table, term) for term in split(text))


def where(table: str, pairs: Pairs) -> Composable | None:
    """All filters, joined by AND; None where there is none."""
    terms = [_top(table, key, value) for key, value in pairs if key not in _RESERVED]
    return SQL(" AND ").join(terms) if terms else None


def window(pairs: Pairs, range_header: str | None, max_rows: int | None) -> Window:
    """What limit, offset, the Range header and the server's `max-rows` leave together."""
    asked = dict(pairs)
    offset = max(_whole(asked.get("offset")) or 0, 0)
    limit = _whole(asked.get("limit"))
    if limit is not None and limit < 0:
        raise _range_error("Limit should be greater than or equal to zero.")
    if range_header is not None and (found := re.fullmatch(r"(?:items=)?(\d+)-(\d*)", range_header)):
        first = int(found[1])
        last = int(found[2]) if found[2] else None
        if last is not None and last < first:
            raise _range_error(
                "The lower boundary must be lower than or equal to the upper boundary in the Range header."
            )
        ends = [end for end in (last, None if limit is None else offset + limit - 1) if end is not None]
        offset = max(offset, first)
        limit = min(ends) - offset + 1 if ends else None
    bounds = [bound for bound in (limit, max_rows) if bound is not None]
    return Window(offset, min(bounds, default=None))


def names(text: str) -> list[str]:
    """Column names between commas, each plain or in double quotes."""
    found = []
    for part in split(text):
        if part != "*" and not _NAME.fullmatch(part):
            raise _parse_error(part)
        found.append(unquote(part))
    return found


def split(text: str) -> list[str]:
    """The parts between commas that stand in no quotes and no brackets."""
    parts, depth, quoted, escaped, start = [], 0, False, False, 0
    for at, char in enumerate(text):
        if escaped:
            escaped = False
        elif quoted:
            escaped, quoted = char == "\\", char != '"'
        elif char == '"':
            quoted = True
        elif char in "()":
            depth += 1 if char == "(" else -1
        elif char == "," and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    return [*parts, text[start:]]


def unquote(text: str) -> str:
    """A value of a list or a logic tree: in double quotes, a backslash keeps the character after it."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _top(table: str, key: str, value: str) -> Composable:
    bare = key.removeprefix("not.")
    if bare in {"and", "or"} and value.startswith("("):
        return _tree(table, bare, value, negated=bare != key)
    return _condition(Identifier(table, unquote(key)), value, in_tree=False)


def _tree(table: str, kind: str, text: str, *, negated: bool) -> Composable:
    if not (text.startswith("(") and text.endswith(")")):
        raise _parse_error(text)
    joined = SQL(f" {kind.upper()} ").join(_node(table, part) for part in split(text[1:-1]))
    return SQL("NOT ({})" if negated else "({})").format(joined)


def _node(table: str, text: str) -> Composable:
    if found := re.match(r"(not\.)?(and|or)\(", text):
        return _tree(table, found[2], text[found.end() - 1 :], negated=bool(found[1]))
    name = _NAME.match(text)
    if name is None or not text[name.end() :].startswith("."):
        raise _parse_error(text)
    return _condition(Identifier(table, unquote(name[0])), text[name.end() + 1 :], in_tree=True)


def _condition(column: Composable, text: str, *, in_tree: bool) -> Composable:
    """`op.value` or `not.op.value`. At the top a value is everything after the dot; in a tree it may be quoted."""
    bare = text.removeprefix("not.")
    operator, dot, value = bare.partition(".")
    if not dot:
        raise _parse_error(text)
    made = _compare(column, operator, value, in_tree=in_tree)
    return SQL("NOT ({})").format(made) if bare != text else made


def _compare(column: Composable, operator: str, value: str, *, in_tree: bool) -> Composable:
    if operator in _COMPARE:
        return SQL("{} {} {}").format(column, _COMPARE[operator], Literal(unquote(value) if in_tree else value))
    if operator in {"like", "ilike"}:
        # `*` may stand for `%` (docs.postgrest.org, Operators).
        pattern = (unquote(value) if in_tree else value).replace("*", "%")
        return SQL("{} {} {}").format(column, SQL(operator.upper()), Literal(pattern))
    if operator == "is" and value.lower() in _IS:
        return SQL("{} IS {}").format(column, _IS[value.lower()])
    if operator == "in" and value.startswith("(") and value.endswith(")"):
        values = [unquote(part) for part in split(value[1:-1])] if value != "()" else []
        return SQL("{} = ANY({})").format(column, Literal(_array(values)))
    raise _parse_error(f"{operator}.{value}")


def _array(values: Iterable[str]) -> str:
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


def _order_term(table: str, text: str) -> Composable:
    name = _NAME.match(text)
    if name is None:
        raise _parse_error(text)
    words = text[name.end() :].split(".")[1:]
    if not all(word in _ORDER for word in words):
        raise _parse_error(text)
    return SQL(" ").join([Identifier(table, unquote(name[0])), *_words(words)])


def _words(words: Iterable[str]) -> Iterator[Composable]:
    for word in words:
        yield _ORDER[word]


def _whole(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"-?\d+", text) else None


def _parse_error(text: str) -> BadQuery:
    return BadQuery(400, "PGRST100", f'"failed to parse filter ({text})" (line 1, column 1)', "unexpected input")


def _range_error(details: str) -> BadQuery:
    return BadQuery(416, "PGRST103", "Requested range not satisfiable", details)
