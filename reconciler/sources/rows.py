"""Rows as a source hands them over → members and positions: what every source does the same way.

Pure. Rows arrive in any order and leave in one that depends on nothing but their values, with names that tell apart
the rows that share a key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Any, TypeAlias

from msgspec.structs import astuple, replace

from reconciler.core import poison
from reconciler.core.model import Member, Position, Quarantined, SourceData
from reconciler.core.poison import Reason
from reconciler.core.text import clean

Row: TypeAlias = tuple[str | None, ...]
"""Cleaned text, in the order of the fields that were asked for."""
Entry: TypeAlias = tuple[str, str, str]
"""A position: member number, code, and whose it is, in the name of the row: a member number, or `member id 7`."""

_DATA = (*("first_name", "last_name", "email", "phone", "status"), *("member_type_id", "region", "facility"))
MEMBER_FIELDS = ("number", *_DATA, poison.UPDATED_AT)
"""The fields of Member, in its own order, and when it changed; here and below the words of rules/sources.yaml."""
POSITION_FIELDS = ("member_number", "code")
ROW_FIELDS = (*POSITION_FIELDS, "id")
"""A row of the positions table as a target, whose own id need not be named; a source takes no notice of it."""
PERSON_FIELDS = ("id", "number", *(name for name in _DATA if name != "email"), poison.UPDATED_AT)
"""A member by an internal id, whose addresses stand in a table of their own."""
ADDRESS_FIELDS = ("member_id", "email", "is_primary")
HELD_FIELDS = ("member_id", "code")
"""A position by the internal id of its member."""
_EMAIL_AT = MEMBER_FIELDS.index("email")

MOST_SHARED = 10_000
"""Different texts that are kept in mind while members are made, so that equal ones are there once."""

_TRUE = frozenset({"1", "\x01", "true", "t", "yes", "y"})
"""How `is_primary` says yes: TINYINT 1, BIT 1 (which arrives as a byte), BOOLEAN, or a word."""


def text_of(value: object) -> str | None:
    """Any value a driver returns, as cleaned text: 7 and 7.0 are `7`, a date is ISO 8601, bytes are UTF-8.

    Bytes that are not UTF-8 become lone surrogates, for which `source_data` quarantines the row. Raises TypeError for
    a kind of value that has no text form.
    """
    if value is None:
        return None
    form = _FORMS.get(type(value))
    if form is None:
        raise TypeError(f"{type(value).__name__} has no text form")
    return form(value)


def written(value: object) -> str | None:
    """As `text_of`, but text stays as it is written. Raises as that does."""
    return value if isinstance(value, str) else text_of(value)


def valid_names(shape: str, holds: str, fields: tuple[str, ...]) -> tuple[str, ...]:
    """The words that rules/sources.yaml may use for the columns of one table, in one of its shapes."""
    return ROW_FIELDS if (shape, holds) == ("sql", "positions") else fields


def _plain(number: Decimal) -> str:
    """Without an exponent, and without a fraction that says nothing."""
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


as_utf8: Callable[[Any], str] = partial(str, encoding="utf-8", errors="surrogateescape")
"""Bytes as text; each byte that is not UTF-8 as a lone surrogate."""

_FORMS: dict[type, Callable[[Any], str | None]] = {
    str: clean,
    bytes: lambda value: clean(as_utf8(value)),
    bytearray: lambda value: clean(as_utf8(value)),
    memoryview: lambda value: clean(as_utf8(value)),
    bool: lambda value: "true" if value else "false",
    int: str,
    float: lambda value: _plain(Decimal(repr(value))),
    Decimal: _plain,
    date: date.isoformat,
    datetime: datetime.isoformat,
    time: time.isoformat,
}
"""By exact type: a driver's own subclass is a kind of value that nobody has thought about."""


class Members:
    """Members, made of rows of MEMBER_FIELDS as these come, so that no row has to be kept.

    Texts that many members have, such as a region, are there once for all of them.
    """

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._made: list[Member] = []
        self._times: list[str] = []
        """When each row was changed. No field of a member, but of rows alike in all of these it says which is first."""
        self._unfit: dict[int, tuple[Reason, ...]] = {}
        """By place among those made."""
        self._latest: datetime | None = None
        self._shared: dict[str, str] = {}
        self.extend(rows)

    def clear(self) -> None:
        """Forget all of them."""
        self._made.clear()
        self._times.clear()
        self._unfit.clear()
        self._latest = None

    def extend(self, rows: Iterable[Row], /) -> None:
        """Take in some rows more, each as a member with what is sane of it."""
        shared = self._shared.setdefault
        for row in rows:
            values, reasons = poison.sane(MEMBER_FIELDS, tuple([value or "" for value in row]))
            number, first, last, email, phone, status, kind, region, facility, time = values
            if reasons:
                self._unfit[len(self._made)] = reasons
            if len(self._shared) > MOST_SHARED:
                self._shared.clear()
            self._made.append(
                Member(
                    number,
                    shared(first, first) or None,
                    last or None,
                    email or None,
                    phone or None,
                    shared(status, status) or None,
                    shared(kind, kind) or None,
                    shared(region, region) or None,
                    shared(facility, facility) or None,
                    _label("members", number),
                )
            )
            self._times.append(time)
            if time and (moment := poison.moment(time)) is not None:
                self._latest = moment if self._latest is None else max(moment, self._latest)

    def ordered(self) -> tuple[tuple[Member, ...], tuple[Quarantined, ...], str | None]:
        """All of them as `source_data` says, the rows among them that cannot be used, and the latest change."""
        numbers = [member.number for member in self._made]
        people: list[Member] = []
        unfit: list[Quarantined] = []
        for number, alike in groupby(sorted(range(len(numbers)), key=numbers.__getitem__), key=numbers.__getitem__):
            places = list(alike)
            if len(places) > 1:
                places.sort(key=self._values)
            for count, at in enumerate(places, 1):
                member = self._made[at]
                if count > 1 or not number:
                    member = replace(member, row=f"{member.row}#{count}")
                people.append(member)
                if at in self._unfit:
                    unfit.append(Quarantined("members", number, member.row, self._unfit[at]))
        return tuple(people), tuple(unfit), None if self._latest is None else self._latest.isoformat()

    def _values(self, at: int) -> tuple[tuple[str, ...], str, tuple[Reason, ...]]:
        """What orders rows that share a number."""
        values = tuple([value or "" for value in astuple(self._made[at])])
        return values, self._times[at], self._unfit.get(at, ())


def source_data(name: str, members: Members, positions: Iterable[Entry], *, page_size: int | None = None) -> SourceData:
    """Members and entries as what a source said, with the rows set apart that cannot be used.

    Members are ordered by number and then by the other values. `row` is `members/12345`; the next row with that number
    is `members/12345#2`. Rows without a number are kept, as `members/#1` and so on. Positions are ordered by number and
    code; `row` is `positions/12345/pres`, told apart as members are.
    """
    people, unfit, changed_at = members.ordered()
    held, unfit_too = _positions(positions)
    return SourceData(name, people, held, page_size, (*unfit, *unfit_too), changed_at)


def _positions(entries: Iterable[Entry]) -> tuple[tuple[Position, ...], tuple[Quarantined, ...]]:
    ordered = sorted(map(_sane_entry, entries))
    labels = _labels("positions", ((entry[0], f"{entry[2]}/{entry[1]}") for entry, _ in ordered))
    positions, unfit = [], []
    for ((number, code, _), reasons), label in zip(ordered, labels, strict=True):
        if reasons:
            unfit.append(Quarantined("positions", number, label, reasons))
        else:
            positions.append(Position(number, code, label))
    return tuple(positions), tuple(unfit)


def _sane_entry(entry: Entry) -> tuple[Entry, tuple[Reason, ...]]:
    number, code, whose = entry
    (number, code), reasons = poison.sane(POSITION_FIELDS, (number, code))
    return (number, code, poison.salvaged(whose) if reasons else whose), reasons


def _labels(name: str, keyed: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A name for each (member number, key); equal keys stand together."""
    previous, count = None, 0
    for number, key in keyed:
        count = count + 1 if key == previous else 1
        previous = key
        label = _label(name, key)
        yield label if number and count == 1 else f"{label}#{count}"


def _label(name: str, key: str) -> str:
    """The name of the first row with a key. `#` within one is written `%23`, so that no two rows share a name."""
    return f"{name}/{key.replace('%', '%25').replace('#', '%23')}"


def entries_by_number(rows: Iterable[Row]) -> Iterator[Entry]:
    """Rows of POSITION_FIELDS."""
    for number, code in rows:
        yield number or "", code or "", number or ""


# tables joined by an internal id


def numbers_by_id(people: Sequence[Row]) -> dict[str | None, str] | None:
    """Internal id → member number, for rows of PERSON_FIELDS; None where an id is blank or held twice."""
    numbers = {row[0]: row[1] or "" for row in people}
    return numbers if len(numbers) == len(people) and None not in numbers else None


def address_by_id(addresses: Iterable[Row]) -> dict[str | None, str]:
    """Internal id → the one address that counts, for rows of ADDRESS_FIELDS.

    The one marked primary; of several, or where none is, the smallest by code points. Blank ones count for nothing.
    """
    best: dict[str | None, tuple[bool, str]] = {}
    for member_id, email, is_primary in addresses:
        if email is None:
            continue
        offer = ((is_primary or "").lower() not in _TRUE, email)
        if member_id not in best or offer < best[member_id]:
            best[member_id] = offer
    return {member_id: email for member_id, (_, email) in best.items()}


def with_address(people: Iterable[Row], addresses: dict[str | None, str]) -> Iterator[Row]:
    """Rows of PERSON_FIELDS as rows of MEMBER_FIELDS: without the id, with the address in its place."""
    for row in people:
        yield (*row[1 : _EMAIL_AT + 1], addresses.get(row[0]), *row[_EMAIL_AT + 1 :])


def entries_by_id(rows: Iterable[Row], numbers: dict[str | None, str]) -> Iterator[Entry]:
    """Rows of HELD_FIELDS. One whose id is nobody's is kept, without a number, and says the id instead."""
    for member_id, code in rows:
        number = numbers.get(member_id)
        yield number or "", code or "", f"member id {member_id or ''}" if number is None else number
