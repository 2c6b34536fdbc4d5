"""What may stand in a case (see `cases.py`): the types that its YAML is held against, and what types cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Literal

import msgspec

from reconciler.core.actions import Do, Undo
from reconciler.core.findings import RULE_IDS
from reconciler.core.model import ATTRIBUTE_PREFIX, Scalar, Severity
from reconciler.core.rules import FieldRule, Findings, Identifier, RuleFile, Who
from reconciler.core.rules.checks import STANDARD_FIELDS
from reconciler.core.rules.shape import Place, suggest

VERBS: tuple[Do, ...] = ("create", "update", "promote", "merge", "archive")
DATES = ("created_at", "last_seen_at")
VALUES = tuple(field for field in STANDARD_FIELDS if field != "role")
"""The fields of a contact that a case writes by their names; its role is said by `is`."""

_CONTACT_KEYS = ("id", "is", "as", *VALUES, *DATES)


class MemberRow(RuleFile, frozen=True):
    """A member. The word NUMBER in a value becomes the member's number; the last word of `name` is the last name."""

    number: str
    name: str | None = "Member NUMBER"
    email: str | None = "memberNUMBER@example.org"
    phone: str | None = None
    status: str | None = "Active"
    member_type_id: str | None = "6"
    region: str | None = "NEA"
    facility: str | None = "ZNY"


class PositionRow(RuleFile, frozen=True):
    """A position of a member."""

    member: str
    code: str


class ActionRow(RuleFile, frozen=True, kw_only=True):
    """An action of the plan: one verb with the contact it is done to, and everything that is sent.

    `because` names the rules, or for each field the rule that asked for it. `expect` and `undo` are compared where
    they are written.
    """

    create: Literal["new"] | None = None
    update: str | None = None
    promote: str | None = None
    merge: str | None = None
    archive: str | None = None
    into: str | None = None
    member: str | None = None
    set: dict[str, Scalar] = msgspec.field(default_factory=dict)
    because: tuple[str, ...] | dict[str, str]
    after: tuple[str, ...] = ()
    expect: dict[str, Scalar] | None = None
    undo: Undo | None = None


class EvidenceRow(RuleFile, frozen=True, rename={"from_": "from"}):
    """One value that a finding rests on, and where it stands."""

    from_: str
    field: str
    value: Scalar = None


class FindingRow(RuleFile, frozen=True):
    """A finding of the plan. `says` and `evidence` are compared where they are written."""

    rule: str
    severity: Severity
    contact: str | None = None
    member: str | None = None
    says: str | None = None
    evidence: tuple[EvidenceRow, ...] | None = None


class CaseShape(RuleFile, frozen=True, kw_only=True):
    """Everything that may stand in a case."""

    case: str
    why: str
    rules: Findings = Findings()
    """Entries of findings.yaml: what is not written of an entry stays as it is there."""
    who: Who | None = None
    fields: dict[str, FieldRule] = msgspec.field(default_factory=dict)
    """Entries of contacts.yaml, each as a whole."""
    not_ours: tuple[str, ...] = ()
    """Fields that contacts.yaml does not list in this case."""
    identifiers: tuple[Identifier, ...] | None = None
    """In place of the list of matching.yaml."""
    members: tuple[MemberRow, ...] = ()
    positions: tuple[PositionRow, ...] = ()
    contacts: tuple[dict[str, Scalar], ...] = ()
    open_conversations: dict[str, int] = msgspec.field(default_factory=dict)
    mappings: dict[str, str] = msgspec.field(default_factory=dict)
    regions: dict[str, str] = msgspec.field(default_factory=dict)
    facilities: dict[str, str] = msgspec.field(default_factory=dict)
    """The codes of regions.yaml and facilities.yaml, with their names; none, and none is unknown."""
    actions: tuple[ActionRow, ...]
    findings: tuple[FindingRow, ...]


def check_case(place: Place, shape: CaseShape) -> None:
    """Report what does not fit in a case whose values have their types."""
    _check_contacts(place, shape)
    _check_rows(place, shape)


def _check_contacts(place: Place, shape: CaseShape) -> None:
    ids = [str(row.get("id")) for row in shape.contacts]
    numbers = [member.number for member in shape.members]
    for number, row in enumerate(shape.contacts):
        here = place.at("contacts", number)
        for key in row:
            if key not in _CONTACT_KEYS and not key.startswith(ATTRIBUTE_PREFIX):
                here.at(key).report(f"unknown key; {suggest(key, (*_CONTACT_KEYS, ATTRIBUTE_PREFIX + 'NAME'))}")
        _check_one_contact(here, row, numbers)
        if ids.index(ids[number]) < number:
            here.at("id").report("an earlier contact of this case has the same id")
    for contact in shape.open_conversations:
        if contact not in ids:
            place.at("open_conversations", contact).report(f"no contact of this case; {suggest(contact, ids)}")


def _check_one_contact(here: Place, row: Mapping[str, Scalar], numbers: list[str]) -> None:
    if not isinstance(row.get("id"), str):
        here.at("id").report("missing, or no text; a contact has an id")
    if row.get("is", "user") not in {"user", "lead"}:
        here.at("is").report("expected 'user' or 'lead'")
    if row.get("as") is not None and row["as"] not in numbers:
        here.at("as").report("no member of this case; a number is a text in quotes")
    for field in STANDARD_FIELDS:
        if not isinstance(row.get(field), str | None):
            here.at(field).report("expected a text; put it in quotes")
    for field in DATES:
        if row.get(field) is not None and seconds(row[field]) is None:
            here.at(field).report("expected a day such as 2024-01-31")


def _check_rows(place: Place, shape: CaseShape) -> None:
    """What types cannot say of actions and findings: one verb each, and names of rules that exist."""
    for number, action in enumerate(shape.actions):
        here = place.at("actions", number)
        verbs = [verb for verb in VERBS if getattr(action, verb) is not None]
        if len(verbs) != 1:
            here.report(f"exactly one of {', '.join(VERBS)} must be given, with the contact's id")
        rules = action.because.values() if isinstance(action.because, dict) else action.because
        for rule in rules:
            _check_rule(here.at("because"), rule)
    for number, finding in enumerate(shape.findings):
        _check_rule(place.at("findings", number, "rule"), finding.rule)


def _check_rule(place: Place, rule: str) -> None:
    if rule not in RULE_IDS:
        place.report(f"no rule {rule!r}; {suggest(rule, RULE_IDS)}")


def seconds(day: Scalar) -> int | None:
    """The first second of a day in UTC, in unix time; None for anything but a day."""
    try:
        found = date.fromisoformat(str(day))
    except ValueError:
        return None
    return int(datetime(found.year, found.month, found.day, tzinfo=UTC).timestamp())
