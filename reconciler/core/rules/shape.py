"""Hold a tree read from YAML against a msgspec type, and say everything that does not fit.

`msgspec.convert` stops at its first error and knows no lines. This walk uses the same type information
(`msgspec.inspect`), goes on after an error, and names line, path, what was found, what is wanted and the nearest valid
name. It knows the kinds of types that `core/rules/` uses, and raises TypeError for any other.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import msgspec
from msgspec import inspect as types

from reconciler.core.rules.strict_yaml import Node, plain
from reconciler.errors import Problem

Key: TypeAlias = str | int

_NONE = ("", "no", "none", "nothing", "null", "off", "~")
_TIGHT_COLON = re.compile(r"\S:\S")


@dataclass(frozen=True, slots=True)
class Place:
    """A node, where it stands, and the list that its problems go to."""

    file: str
    node: Node
    path: tuple[Key, ...]
    problems: list[Problem]

    def at(self, *keys: Key) -> Place:
        """The place under these keys; where one is not written, its nearest parent stands for the line."""
        node = self.node
        for key in keys:
            match node.value:
                case dict() as entries if isinstance(key, str) and key in entries:
                    node = entries[key]
                case tuple() as items if isinstance(key, int) and key < len(items):
                    node = items[key]
                case _:
                    break
        return Place(self.file, node, (*self.path, *keys), self.problems)

    def report(self, says: str) -> None:
        """Add a problem here. `says` must not end in a full stop and must not hold more than ids and rule values."""
        path = show_path(self.path)
        self.problems.append(Problem(self.file, self.node.line, f"{path}: {says}" if path else says))


Check: TypeAlias = Callable[[Place, Any], None]
"""What a type alone cannot say: called with the place and the typed value once the value has its shape."""


def fits(place: Place, wanted: types.Type, checks: Mapping[type, Check]) -> bool:
    """Whether the tree has the shape of `wanted` and passes the checks of the Structs in it.

    Every problem is reported at its place. A Struct whose parts have problems is not checked as a whole.
    """
    before = len(place.problems)
    _walk(place, wanted, checks)
    return len(place.problems) == before and not _broken(place.node)


def show_path(path: Iterable[Key]) -> str:
    """`identifiers #2.by`; the first item of a list is number 1, as people count."""
    shown = ""
    for key in path:
        shown += f" #{key + 1}" if isinstance(key, int) else f".{key}" if shown else key
    return shown


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name that was most likely meant."""
    by_folded = {candidate.casefold(): candidate for candidate in valid}
    close = difflib.get_close_matches(name.casefold(), by_folded, n=1)
    return by_folded[close[0]] if close else None


def suggest(name: str, valid: Iterable[str]) -> str:
    """`did you mean 'x'?`, or the list of valid names."""
    names = list(valid)
    close = nearest(name, names)
    return f"did you mean {close!r}?" if close is not None else f"valid: {', '.join(names)}"


def found(node: Node) -> str:
    """What stands there, in the words of an error."""
    match node.value:
        case dict():
            return "a map"
        case tuple():
            return "a list"
        case None:
            return "nothing"
        case str():
            return repr(_short(node.value))
        case _:
            return _short(node.written)


def wanted_text(wanted: types.Type) -> str:
    """What the type asks for, in the words of an error."""
    match wanted:
        case types.UnionType(types=members):
            return _either([wanted_text(member) for member in members if not isinstance(member, types.NoneType)])
        case types.LiteralType(values=values):
            return f"one of {_either([repr(value) for value in values])}" if len(values) > 1 else repr(values[0])
        case types.StrType(max_length=int() as limit):
            return f"a text of 1 to {limit} characters"
        case types.IntType() | types.FloatType():
            return _kind(wanted).words + _bounds(wanted)
        case _:
            return _kind(wanted).words


def _walk(place: Place, wanted: types.Type, checks: Mapping[type, Check]) -> None:
    if place.node.broken:
        return
    if isinstance(wanted, types.UnionType):
        # The members of a union differ in kind, so what was found decides which of them was meant.
        wanted = next((member for member in wanted.types if _same_kind(member, place.node.value)), wanted)
    match wanted, place.node.value:
        case types.StructType(), dict():
            _walk_struct(place, wanted, checks)
        case types.DictType(value_type=inner), dict() as entries:
            _walk_all(place, entries, inner, checks)
        case types.VarTupleType(item_type=inner), tuple() as items:
            _walk_all(place, range(len(items)), inner, checks)
        case types.LiteralType(values=values), str() as value if value not in values:
            close = nearest(value, [str(valid) for valid in values])
            _refuse(place, wanted, f"; did you mean {close!r}?" if close is not None else "")
        case _ if not _same_kind(wanted, place.node.value) or not _within_bounds(place.node, wanted):
            _refuse(place, wanted, _how_to_write(wanted, place.node))
        case _:
            pass


def _walk_all(place: Place, keys: Iterable[Key], inner: types.Type, checks: Mapping[type, Check]) -> None:
    for key in keys:
        one = place.at(key)
        maps = _maps_of_flat(one.node, inner)
        if maps:
            one.report(f"maps within a map; write {key}.{maps[0]}: {{…}}, a line for each and a dot between the names")
        else:
            _walk(one, inner, checks)


def _maps_of_flat(node: Node, wanted: types.Type) -> tuple[str, ...]:
    """The keys of a map of nothing but maps, where a map without any is wanted: names with a dot, taken for folders."""
    is_flat = isinstance(wanted, types.StructType) and not any(_same_kind(field.type, {}) for field in wanted.fields)
    if not is_flat or not isinstance(node.value, dict):
        return ()
    return tuple(node.value) if all(isinstance(one.value, dict) for one in node.value.values()) else ()


def _refuse(place: Place, wanted: types.Type, hint: str = "") -> None:
    place.report(f"expected {wanted_text(wanted)}, found {found(place.node)}{hint}")


def _how_to_write(wanted: types.Type, node: Node) -> str:
    """For a map or list that is written as one value: how it is written instead."""
    is_scalar = bool(node.written) and not isinstance(node.value, dict | tuple)
    if isinstance(wanted, types.UnionType):
        wanted = next(member for member in wanted.types if not isinstance(member, types.NoneType))
    match wanted:
        case types.VarTupleType() if node.written.lower() in _NONE:
            return "; write [] for none"
        case types.VarTupleType() if is_scalar:
            return f"; write [{_short(node.written)}]"
        case types.StructType() | types.DictType() if is_scalar and _TIGHT_COLON.search(node.written):
            return "; a colon needs a space behind it"
        case types.StructType(fields=fields):
            return f"; its keys: {', '.join(field.encode_name for field in fields)}"
        case types.DictType():
            return "; each line is a key, a colon, a space and a value"
        case _:
            return ""


def _unknown_key(key: str, valid: Iterable[str]) -> str:
    """What is said of a key that is none: also where a colon was forgotten, or the space behind it."""
    name, colon, rest = key.partition(":")
    names = list(valid)
    if colon and rest and name in names:
        return "unknown key; a colon needs a space behind it"
    if (first := key.split(" ", maxsplit=1)[0]) in names:
        return f"unknown key; a colon is missing after {first!r}"
    return f"unknown key; {suggest(key, names)}"


def _walk_struct(place: Place, wanted: types.StructType, checks: Mapping[type, Check]) -> None:
    before = len(place.problems)
    fields = {field.encode_name: field for field in wanted.fields}
    entries = place.node.value
    if not isinstance(entries, dict):
        raise TypeError(f"{show_path(place.path)} is no map")
    meant = [nearest(key, fields) for key in entries if key not in fields]
    for key in entries:
        if key in fields:
            _walk(place.at(key), fields[key].type, checks)
        else:
            place.at(key).report(_unknown_key(key, fields))
    for name, field in fields.items():
        if field.required and name not in entries and name not in meant:
            place.at(name).report(f"missing; it must be {wanted_text(field.type)}")
    if len(place.problems) == before and wanted.cls in checks and not _broken(place.node):
        checks[wanted.cls](place, msgspec.convert(plain(place.node), type=wanted.cls))


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a kind of type is written in YAML: as which Python values it arrives, and in words."""

    python: tuple[type, ...]
    words: str


_KINDS: Mapping[type[types.Type], _Kind] = {
    types.StructType: _Kind((dict,), "a map"),
    types.DictType: _Kind((dict,), "a map"),
    types.VarTupleType: _Kind((tuple,), "a list"),
    types.LiteralType: _Kind((str,), "a text"),
    types.StrType: _Kind((str,), "a text"),
    types.BoolType: _Kind((bool,), "true or false"),
    types.IntType: _Kind((int,), "a whole number"),
    types.FloatType: _Kind((int, float), "a number"),
    types.NoneType: _Kind((type(None),), "nothing"),
}


def _kind(wanted: types.Type) -> _Kind:
    try:
        return _KINDS[type(wanted)]
    except KeyError as error:
        raise TypeError(f"the rule files hold no {wanted!r}") from error


def _same_kind(wanted: types.Type, value: object) -> bool:
    if isinstance(wanted, types.UnionType):
        return any(_same_kind(member, value) for member in wanted.types)
    # To Python true is an int; to a person it is none.
    return isinstance(value, _kind(wanted).python) and isinstance(value, bool) == isinstance(wanted, types.BoolType)


def _within_bounds(node: Node, wanted: types.Type) -> bool:
    """Whether a scalar of the right kind is within the bounds of its type."""
    match wanted, node.value:
        case ((types.IntType() | types.FloatType()), (int() | float()) as number):
            return _within(wanted, number)
        case types.StrType(min_length=low, max_length=high), str() as text:
            return (low or 0) <= len(text) and (high is None or len(text) <= high)
        case _:
            return True


def _within(wanted: types.IntType | types.FloatType, number: float) -> bool:
    return (
        (wanted.ge is None or number >= wanted.ge)
        and (wanted.gt is None or number > wanted.gt)
        and (wanted.le is None or number <= wanted.le)
        and (wanted.lt is None or number < wanted.lt)
    )


def _bounds(wanted: types.IntType | types.FloatType) -> str:
    if wanted.ge is not None and wanted.le is not None:
        return f" between {wanted.ge:g} and {wanted.le:g}"
    limits = [("of at least", wanted.ge), ("above", wanted.gt), ("of at most", wanted.le), ("below", wanted.lt)]
    return "".join(f" {words} {limit:g}" for words, limit in limits if limit is not None)


def _broken(node: Node) -> bool:
    match node.value:
        case dict() as entries:
            return node.broken or any(_broken(value) for value in entries.values())
        case tuple() as items:
            return node.broken or any(_broken(item) for item in items)
        case _:
            return node.broken


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


@cache
def type_info(wanted: Any) -> types.Type:
    """`msgspec.inspect.type_info`, once per type: it costs as much as reading the files."""
    return types.type_info(wanted)
