"""The search language: a query object becomes a predicate. Pure.

Operators, types and limits are those of SearchContacts and searchConversations in the published description. Contacts
match dates by calendar day in the workspace's timezone; conversations match them to the second, "or equal" included,
because their page says so. Decided here: an invalid query is 400 `parameter_invalid`; e-mails are compared without
regard to case and everything else exactly; a missing value satisfies `!=`, NIN and `!~`, as in any document search.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar
from zoneinfo import ZoneInfo

from reconciler.simulator import errors

Kind = Literal["string", "email", "integer", "float", "boolean", "day", "second", "tag"]
T = TypeVar("T")
Predicate = Callable[[T], bool]

MAX_DEPTH = 2
"""Groups in groups: "(1 OR 2) AND (3 OR 4)" is the deepest there is."""
MAX_FILTERS = 15
"""Filters in one AND or OR group."""

_TEXT = ("=", "!=", "IN", "NIN", "~", "!~", "^", "$")
_NUMBER = ("=", "!=", "IN", "NIN", ">", "<", ">=", "<=")
OPERATORS: Mapping[Kind, tuple[str, ...]] = {
    "string": _TEXT,
    "email": _TEXT,
    "integer": _NUMBER,
    "float": _NUMBER,
    "boolean": ("=", "!=", "IN", "NIN"),
    "day": ("=", ">", "<"),
    "second": ("=", "!=", "IN", "NIN", ">", "<"),
    "tag": ("=", "!="),
}


@dataclass(frozen=True, slots=True)
class Field(Generic[T]):
    """A searchable field. values: what a thing holds in it, none when it is missing, several when it is a list."""

    kind: Kind
    values: Callable[[T], tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Query(Generic[T]):
    """A parsed query. exact: (field, text) pairs every match must satisfy, so that a store may look them up."""

    matches: Predicate[T]
    exact: tuple[tuple[str, str], ...]


def parse(query: object, field: Callable[[str], Field[T] | None], zone: ZoneInfo) -> Query[T]:
    """The predicate a query object stands for. field: looks a name up.  zone: the workspace's timezone."""
    if not isinstance(query, dict):
        raise errors.invalid("query must be an object with field, operator and value")
    return _Parser(field, zone).node(query, depth=1)


class _Parser(Generic[T]):
    """One query being read."""

    def __init__(self, field: Callable[[str], Field[T] | None], zone: ZoneInfo) -> None:
        self._field = field
        self._zone = zone

    def node(self, query: dict[str, object], *, depth: int) -> Query[T]:
        operator = query.get("operator")
        if operator in ("AND", "OR") and "field" not in query:
            return self._group(str(operator), query.get("value"), depth)
        return self._filter(query)

    def _group(self, operator: str, value: object, depth: int) -> Query[T]:
        if depth > MAX_DEPTH:
            raise errors.invalid(f"Queries can be nested at most {MAX_DEPTH} deep")
        if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
            raise errors.invalid(f"The value of {operator} must be an array of filters")
        if len(value) > MAX_FILTERS:
            raise errors.invalid(f"A group takes at most {MAX_FILTERS} filters")
        parts = [self.node(one, depth=depth + 1) for one in value]
        tests = [part.matches for part in parts]
        if operator == "OR":
            return Query(lambda thing: any(test(thing) for test in tests), ())
        exact = tuple(pair for part in parts for pair in part.exact)
        return Query(lambda thing: all(test(thing) for test in tests), exact)

    def _filter(self, query: dict[str, object]) -> Query[T]:
        name, operator, value = query.get("field"), query.get("operator"), query.get("value")
        field = self._field(name) if isinstance(name, str) else None
        if field is None or not isinstance(name, str):
            raise errors.invalid(f"'{name}' is not a searchable field")
        if not isinstance(operator, str) or operator not in OPERATORS[field.kind]:
            raise errors.invalid(f"Operator '{operator}' is not supported on field '{name}'")
        exact = ((name, value),) if operator == "=" and isinstance(value, str) and field.kind != "day" else ()
        return Query(_predicate(field, operator, _operand(field.kind, operator, value, name), self._zone), exact)


def _operand(kind: Kind, operator: str, value: object, name: str) -> object:
    """The value, as the field's type; for IN and NIN a list of them."""
    if operator in ("IN", "NIN"):
        if not isinstance(value, list):
            raise errors.invalid(f"The value of {operator} must be an array")
        return tuple(_typed(kind, one, name) for one in value)
    if value is None and operator in ("=", "!="):
        return None
    return _typed(kind, value, name)


def _typed(kind: Kind, value: object, name: str) -> object:
    """A value of the field's type. Numbers and booleans may come as text: the description's own examples do so."""
    wrong = errors.invalid(f"The value of field '{name}' is not a valid {_SAYS.get(kind, kind)}")
    if kind in ("string", "email", "tag"):
        if not isinstance(value, str):
            raise wrong
        return value.lower() if kind == "email" else value
    if kind == "boolean":
        truth = {"true": True, "false": False}.get(value) if isinstance(value, str) else value
        if not isinstance(truth, bool):
            raise wrong
        return truth
    return _number(kind, value, wrong)


_SAYS = {"email": "string", "tag": "string", "day": "date", "second": "date"}


def _number(kind: Kind, value: object, wrong: Exception) -> float | int:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise wrong
    try:
        number = float(value) if kind == "float" else int(value)
    except (ValueError, OverflowError) as cause:
        raise wrong from cause
    if kind in ("day", "second") and not 0 <= number < 2**37:
        raise wrong
    return number


def day_bounds(moment: int, zone: ZoneInfo) -> tuple[int, int]:
    """The unix seconds at which the calendar day of `moment` starts, and the next one does, in `zone`."""
    day = datetime.fromtimestamp(moment, zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    return int(day.timestamp()), int((day + timedelta(days=1)).timestamp())


def _predicate(field: Field[T], operator: str, operand: object, zone: ZoneInfo) -> Predicate[T]:
    """The test of one filter. The negative ones are the opposites of the positive ones."""
    opposite = {"!=": "=", "NIN": "IN", "!~": "~"}.get(operator)
    if opposite is not None:
        positive = _predicate(field, opposite, operand, zone)
        return lambda thing: not positive(thing)
    values = field.values
    if operand is None:
        return lambda thing: not values(thing)
    test = _test(field.kind, operator, operand, zone)
    if field.kind == "email":
        return lambda thing: any(test(str(value).lower()) for value in values(thing))
    return lambda thing: any(test(value) for value in values(thing))


def _test(kind: Kind, operator: str, operand: object, zone: ZoneInfo) -> Callable[[object], bool]:
    """What one value must satisfy."""
    if kind == "day" and isinstance(operand, int):
        start, end = day_bounds(operand, zone)
        return _ordered({"=": lambda v: start <= v < end, ">": lambda v: v >= end, "<": lambda v: v < start}[operator])
    if operator == "IN" and isinstance(operand, tuple):
        wanted = frozenset(operand)
        return lambda value: value in wanted
    if operator == "=":
        return lambda value: value == operand
    if isinstance(operand, str):
        text = operand
        return {
            "~": lambda value: text in str(value),
            "^": lambda value: str(value).startswith(text),
            "$": lambda value: str(value).endswith(text),
        }[operator]
    if not isinstance(operand, (int, float)):
        raise TypeError(f"no test for {kind} {operator}")
    number = operand
    or_equal = kind == "second" or operator in (">=", "<=")
    if operator.startswith(">"):
        return _ordered(lambda value: value > number or (or_equal and value == number))
    return _ordered(lambda value: value < number or (or_equal and value == number))


def _ordered(test: Callable[[float], bool]) -> Callable[[object], bool]:
    """A test of numbers, false for anything else (a seeded value may be of the wrong type)."""
    return lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and test(value)
