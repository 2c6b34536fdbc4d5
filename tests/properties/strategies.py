"""Small unions and drifted workspaces, drawn so that what shrinks away first is what is dull.

Every choice lists the ordinary first: a shrunk example shows only what matters. Values come from small pools on
purpose, so that members and contacts run into each other: one e-mail in two cases, one phone in many spellings, a
number in two rows, an identifier of somebody else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
from hypothesis import strategies as st

from reconciler.controller import PlanRequest
from reconciler.core.findings import RULE_IDS
from reconciler.core.model import Member, Position, SourceData
from reconciler.core.planner import Scope
from reconciler.core.rules import ClassLimit, Confirm, Identifier, Limits, Matching, Rules
from tests.support.builders import default_rules

NUMBERS = ("1001", "1002", "1003", "1004", "1005", "1006", "1007", "1008", "0123", "123", "77")
STATUSES = (*("Active",) * 8, "Retired", "Retired", "Resigned", "active", None)
NAMES = (
    ("Ann", "Lee"),
    ("Ann", "Lee"),
    ("Bob", "Ray"),
    ("Ren\u00e9e", "O'Neil"),
    ("Ann", None),
    (None, None),
    ("Rene\u0301e", "O'Neil"),
)
PHONES = (
    *(
        None,
        None,
        None,
        "+16175550123",
        "+16175550123",
        "(617) 555-0123",
        "617.555.0123",
        "6175550123",
        "+12025550199",
        "202-555-0199",
    ),
    *("+14165550177", "617-555-0123 x5", "n/a", "555-0123", "617-555-0123 / 202-555-0199", ""),
)
CODES = ("pres", "facrep", "evp", "arearep", "zzz")
UUIDS = ("3f2504e0-4f89-41d3-9a0c-0305e82c3301", "3F2504E0-4F89-41D3-9A0C-0305E82C3302")
STRANGER = Member("999", "Zoe", "Zed", "zoe@example.net")
ATTRIBUTES = ("member_number", "region", "facility", "positions", "member_type")
START = 1_795_401_000
"""2026-11-23T02:30:00Z in unix seconds: when every generated night begins."""


@dataclass(frozen=True, slots=True)
class Union:
    """One generated world: the source, the workspace as seed lines of the simulator, and the rules between them."""

    members: tuple[Member, ...] = ()
    positions: tuple[Position, ...] = ()
    contacts: tuple[dict[str, Any], ...] = ()
    rules: Rules = field(default_factory=default_rules)

    @property
    def source(self) -> SourceData:
        """As a source hands it over."""
        return SourceData("sqlite", self.members, self.positions)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: ARG002 - the protocol of Hypothesis
        """What Hypothesis prints."""
        printer.text(repr(self))

    def __repr__(self) -> str:
        """What there is, without what is as shipped, so that a shrunk world can be read and put into a test."""
        default = default_rules()
        findings = {
            name: getattr(self.rules.findings, name)
            for name in self.rules.findings.__struct_fields__
            if getattr(self.rules.findings, name) != getattr(default.findings, name)
        }
        rows = [
            {key: getattr(row, key) for key in row.__struct_fields__ if getattr(row, key) is not None}
            for row in self.members
        ]
        return (
            f"Union(\n members={rows},\n positions={[(one.member_number, one.code) for one in self.positions]},\n"
            f" contacts={list(self.contacts)},\n findings={findings},\n"
            f" matching={'default' if self.rules.matching == default.matching else self.rules.matching},\n"
            f" mappings={self.rules.mappings})"
        )


def email_of(number: str) -> str:
    """The address that belongs to a member, where nothing is odd."""
    return f"m{number}@example.org"


def one_of(values: Iterable[Any]) -> st.SearchStrategy[Any]:
    """One of these, the first for choice.

    Most draws of a world are such, from a few hundred pools: Hypothesis looks at each strategy once, which takes longer
    than a draw, so each is kept.
    """
    pool = tuple(values)
    return _kept(pool, tuple(map(type, pool)))


@lru_cache(maxsize=4096)
def _kept(pool: tuple[Any, ...], _types: tuple[type, ...]) -> st.SearchStrategy[Any]:
    """Apart by type as well, for False equals 0."""
    return st.sampled_from(pool)


@st.composite
def _emails(draw: st.DrawFn, number: str, all_numbers: tuple[str, ...]) -> str | None:
    own, other = email_of(number), email_of(draw(one_of((number, *all_numbers))))
    odd = (own.upper(), own.upper(), other, other.upper(), None, "not an address", own.replace("@", "+union@"))
    email: str | None = draw(_first(common=own, times=20, odd=odd))
    return email


@st.composite
def members(draw: st.DrawFn) -> tuple[Member, ...]:
    """Up to eight rows, ordered by number as a source orders them; seldom a number twice."""
    numbers = draw(st.lists(one_of(NUMBERS), min_size=1, max_size=7, unique=True))
    if draw(one_of((False,) * 7 + (True,))):
        numbers.append(draw(one_of(numbers)))
    rows = []
    for place, number in enumerate(sorted(numbers)):
        first, last = draw(one_of(NAMES))
        rows.append(
            Member(
                number=number,
                first_name=first,
                last_name=last,
                email=draw(_emails(number, tuple(numbers))),
                phone=draw(one_of(PHONES)) or None,
                status=draw(one_of(STATUSES)),
                member_type_id=draw(one_of(("6", "6", "7", None))),
                region=draw(one_of(("NEA", "NSW", None))),
                facility=draw(one_of(("ZNY", None))),
                row=f"members/{number}#{place}",
            )
        )
    return tuple(rows)


@st.composite
def positions(draw: st.DrawFn, rows: tuple[Member, ...]) -> tuple[Position, ...]:
    """Up to four positions, also of numbers that no row has, ordered by number and code."""
    holders = [row.number for row in rows] + ["5555"]
    held = draw(st.lists(st.tuples(one_of(holders), one_of(CODES)), max_size=4))
    return tuple(Position(number, code, f"positions/{number}/{code}") for number, code in sorted(held))


def _first(*, common: Any, times: int, odd: tuple[Any, ...]) -> st.SearchStrategy[Any]:
    """Mostly the common value, which is also what everything shrinks to."""
    return one_of((common,) * times + odd)


@st.composite
def contact_lines(draw: st.DrawFn, place: int, rows: tuple[Member, ...]) -> dict[str, Any]:
    """One contact, made from a member's row (or a stranger's) and then bent, field by field."""
    few = rows[: draw(one_of((2, 3, 8)))]
    row = draw(one_of((*few, *few, *few, STRANGER)))
    other = draw(one_of((row, row, *few)))
    role = draw(_first(common="user", times=3, odd=("lead",)))
    own_email = row.email or None
    names = " ".join(part for part in (row.first_name, row.last_name) if part) or None
    odd_ids = (None, UUIDS[0], UUIDS[1], other.number, "wp_77", "4444", f" {row.number} ")
    line: dict[str, Any] = {
        "id": f"c{place}",
        "role": role,
        "external_id": draw(_first(common=row.number, times=8, odd=odd_ids)),
        "email": draw(
            _first(
                common=own_email,
                times=8,
                odd=(other.email, own_email and own_email.upper(), None, "old@example.net", f"old{place}@example.net"),
            )
        ),
        "name": draw(_first(common=names, times=3, odd=("Old Name", None, f"{other.first_name} {other.last_name}"))),
        "phone": draw(_first(common=row.phone, times=2, odd=PHONES)),
        "created_at": START - 1000 - draw(st.integers(0, 3)),
        "last_seen_at": draw(one_of((None, START - 50, START - 40))),
    }
    if role == "lead" and draw(one_of((True,) * 5 + (False,))):
        line["external_id"] = None  # as Intercom has it; the rest are oddities of history
    attributes = {
        "member_number": draw(_first(common=row.number, times=8, odd=(None, None, other.number, "4444", ""))),
        "region": draw(one_of((row.region, "OLD", "", None))),
        "facility": row.facility,
        "positions": draw(one_of((None, "", "NATCA President", "pres"))),
        "member_type": draw(one_of(("Current Member", "Former Member", None))),
        "not_ours": draw(one_of((None, "theirs"))),
    }
    line["custom_attributes"] = {name: value for name, value in attributes.items() if value is not None}
    line["_open_conversations"] = draw(_first(common=0, times=7, odd=(1,)))
    return {key: value for key, value in line.items() if value not in (None, {}, 0)}


KEEP = ("external_id_is_member_number", "role_user", "last_seen", "oldest")


@st.composite
def findings_rules(draw: st.DrawFn, rules: Rules) -> Rules:
    """findings.yaml with some entries other than shipped."""
    shipped = rules.findings
    order = draw(_first(common=KEEP, times=3, odd=(KEEP[::-1], ("last_seen", *KEEP[:2]), ())))
    archive = msgspec.structs.replace(
        shipped.archive_duplicates,
        then=draw(_first(common="archive", times=3, odd=("merge-leads", "merge-leads", "report", "off"))),
        keep=(*order, "smallest_id"),
        unless=draw(_first(common="open_conversation", times=3, odd=("nothing",))),
    )
    orphan = msgspec.structs.replace(
        shipped.orphan_contact,
        then=draw(_first(common="report", times=2, odd=("archive", "relabel", "off"))),
        unless=draw(_first(common="open_conversation", times=3, odd=("nothing",))),
    )
    changed = {"archive_duplicates": archive, "orphan_contact": orphan}
    confirm = draw(
        _first(
            common=shipped.replace_uuid_external_id.confirm,
            times=8,
            odd=(Confirm(any_of=("phone",)), Confirm(any_of=("email",), or_when_blank=("phone",))),
        )
    )
    replace_uuid = msgspec.structs.replace(shipped.replace_uuid_external_id, confirm=confirm)
    shipped = msgspec.structs.replace(shipped, replace_uuid_external_id=replace_uuid)
    for name in ("create_missing", "update_attributes", "replace_uuid_external_id", "fix_phone", "promote_lead"):
        then = draw(_first(common=getattr(shipped, name).then, times=8, odd=("report", "off")))
        changed[name] = msgspec.structs.replace(getattr(shipped, name), then=then)
    then = draw(_first(common="clear", times=8, odd=("report", "off")))
    changed["missing_positions"] = msgspec.structs.replace(shipped.missing_positions, then=then)
    return msgspec.structs.replace(rules, findings=msgspec.structs.replace(shipped, **changed))


@st.composite
def matching_rules(draw: st.DrawFn, rules: Rules) -> Rules:
    """matching.yaml as shipped, or with an identifier taken out, or weaker than anybody should make it."""
    shipped = rules.matching.identifiers
    match draw(one_of(("shipped",) * 5 + ("less", "ignore", "phone-alone", "no-confirm"))):
        case "shipped":
            return rules
        case "less":
            out = draw(one_of(("external_id", "custom_attributes.member_number", "email", "phone")))
            chosen = tuple(one for one in shipped if one.by != out)
        case "ignore":
            chosen = tuple(msgspec.structs.replace(one, unconfirmed="ignore") for one in shipped)
        case "phone-alone":
            chosen = (*shipped[:-1], Identifier(by="phone", is_="phone", confirm=Confirm(any_of=("email", "name"))))
        case _:
            chosen = tuple(msgspec.structs.replace(one, confirm=None) for one in shipped)
    return msgspec.structs.replace(rules, matching=Matching(identifiers=chosen))


@st.composite
def mixed_up_lines(draw: st.DrawFn, first: int, rows: tuple[Member, ...]) -> tuple[dict[str, Any], ...]:
    """One contact a member, right but for e-mails or numbers that went round in a circle, or to the next one."""
    some = rows[: draw(st.integers(2, 5))]
    emails = draw(st.permutations([row.email for row in some]))
    numbers = draw(st.just([row.number for row in some]) | st.permutations([row.number for row in some]))
    if draw(st.booleans()):
        emails = [*emails[1:], "free@example.net"]
    if draw(_first(common=False, times=2, odd=(True,))):
        numbers = [*numbers[1:], "wp_77"]
    lines = []
    for place, (email, number) in enumerate(zip(emails, numbers, strict=True), first):
        line = {"id": f"c{place}", "external_id": draw(_first(common=number, times=5, odd=UUIDS)), "email": email}
        line |= {"name": "Old Name", "role": draw(_first(common="user", times=5, odd=("lead",)))}
        lines.append({key: value for key, value in line.items() if value is not None})
    return tuple(lines)


@st.composite
def unions(draw: st.DrawFn) -> Union:
    """A whole world."""
    rows = draw(members())
    count = draw(st.integers(0, 7))
    contacts = tuple(draw(contact_lines(place, rows)) for place in range(count))
    rules = draw(matching_rules(draw(findings_rules(default_rules()))))
    numbers = (*(row.number for row in rows), "4444")
    mapped: dict[str, str] = {}
    match draw(one_of(("no", "no", "no", "some", "mixed-up"))):
        case "some":
            chosen = [draw(_first(common=None, times=len(numbers), odd=numbers)) for _ in contacts]
            mapped = {line["id"]: number for line, number in zip(contacts, chosen, strict=True) if number is not None}
        case "mixed-up":
            lines = draw(mixed_up_lines(count, rows))
            contacts += lines
            mapped = {line["id"]: row.number for line, row in zip(lines, rows, strict=False)}
        case _:
            pass
    return Union(rows, draw(positions(rows)), contacts, msgspec.structs.replace(rules, mappings=mapped))


@dataclass(frozen=True, slots=True)
class FirstNight:
    """A night that does only part of what there is to do."""

    request: PlanRequest
    limits: Limits


@st.composite
def first_nights(draw: st.DrawFn) -> FirstNight:
    """A scope, a choice of rules, and classes of actions that are over their limit."""
    scope = Scope(
        only=draw(st.just(frozenset()) | st.frozensets(one_of(NUMBERS), max_size=3)),
        exclude=draw(st.just(frozenset()) | st.frozensets(one_of(NUMBERS), max_size=2)),
        limit=draw(st.none() | st.integers(0, 4)),
    )
    some = st.lists(one_of(RULE_IDS), min_size=1, max_size=3, unique=True).map(tuple)
    rules = draw(st.just(()) | st.just(("archive-duplicates",)) | some)
    nothing = ClassLimit(percent=0, floor=0, hard=1000)
    over = draw(st.frozensets(one_of(("create", "update", "promote", "archive", "merge")), max_size=2))
    limits = msgspec.structs.replace(Limits(), **dict.fromkeys(sorted(over), nothing))
    return FirstNight(PlanRequest(scope=scope, rules=rules), limits)
