"""Cases: small worlds written in YAML, each with everything that the rules must make of it, and nothing else.

`rules/tests/*.yaml` hold them, so that a person who changes a rule sees in plain text what else changes, and a person
who knows no Python can read and check each. What a case does not say is dull (`case_shape.MemberRow`), and a contact
is told from its member's by the fields that are written. Pure: whoever calls reads the files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import msgspec

from reconciler.core import poison
from reconciler.core.actions import Action
from reconciler.core.case_shape import (
    DATES,
    VALUES,
    VERBS,
    ActionRow,
    CaseShape,
    FindingRow,
    MemberRow,
    check_case,
    seconds,
)
from reconciler.core.contact_builder import ContactBuilder
from reconciler.core.desired import phone_region
from reconciler.core.guards import BLANK_FIELDS
from reconciler.core.model import (
    ATTRIBUTE_PREFIX,
    Contact,
    Finding,
    Member,
    Position,
    Quarantined,
    Scalar,
    SourceData,
)
from reconciler.core.phones import parse_phone
from reconciler.core.planner import Scope, archive_candidates, decide
from reconciler.core.poison import Reason
from reconciler.core.rules import Findings, Rules
from reconciler.core.rules.checks import CHECKS
from reconciler.core.rules.shape import Place, fits, type_info
from reconciler.core.rules.strict_yaml import Node, parse, plain, resolve
from reconciler.core.snapshot import index
from reconciler.core.text import clean
from reconciler.core.world import World, build_world
from reconciler.errors import Problem, RulesError

SOURCE = "members"
"""The name of the source in the evidence of a case."""

_MEMBER_COLUMNS = ("number", *BLANK_FIELDS)
_BORN = "2024-01-01"
"""When a contact was created whose case does not say."""
_NEW = "new"
"""What stands in place of a contact's id where it is created."""
_PLAIN = re.compile(r"[A-Za-z][\w.@-]*(?: [\w.@-]+)*", re.ASCII)

_Row: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One case, and where it is written."""

    file: str
    line: int
    shape: CaseShape
    rules: Mapping[str, Mapping[str, Any]]
    """The entries of findings.yaml as far as they are written."""

    @property
    def name(self) -> str:
        """What holds, in the words of its `case:`."""
        return self.shape.case


# reading


def parse_cases(text: str | bytes, *, file: str) -> tuple[Case, ...]:
    """The cases of one file. Raises RulesError with every problem of it, in line order."""
    document = parse(text, file=file)
    problems = list(document.problems)
    cases: list[Case] = []
    match document.root:
        case Node(value=tuple() as items) if items:
            seen: dict[str, int] = {}
            for number, item in enumerate(items):
                cases.extend(_read_case(Place(file, item, ("case", number), problems), seen))
        case Node(line=line) if not problems:
            problems.append(Problem(file, line, "expected a list of cases, each beginning with '- case: …'"))
        case _:
            pass
    if problems:
        raise RulesError(sorted(problems, key=lambda problem: problem.line))
    return tuple(cases)


def _read_case(place: Place, seen: dict[str, int]) -> Iterable[Case]:
    """The case at this place, unless something is wrong with it, which is reported."""
    if not fits(place, type_info(CaseShape), CHECKS):
        return
    written = plain(place.node)
    shape = msgspec.convert(written, type=CaseShape)
    if shape.case in seen:
        place.at("case").report(f"the same name as the case in line {seen[shape.case]}")
    seen[shape.case] = place.node.line
    check_case(place, shape)
    yield Case(place.file, place.node.line, shape, written.get("rules", {}))


# running


def run_case(case: Case, rules: Rules) -> tuple[str, ...]:
    """Decide the case under these rules, and say what differs from what it wants. Nothing where it holds."""
    decision = decide(world_of(case, rules), Scope())
    contacts = {action.id: action.contact or _NEW for action in decision.actions}
    actions = [_action_as_row(action, contacts) for action in decision.actions]
    findings = [_finding_as_row(finding) for finding in decision.findings]
    wanted_actions = [_written_action(row) for row in case.shape.actions]
    wanted_findings = [_written_finding(row) for row in case.shape.findings]
    return (
        *_differences("action", wanted_actions, actions, in_order=True),
        *_differences("finding", wanted_findings, findings, in_order=False),
    )


def world_of(case: Case, rules: Rules) -> World:
    """Both sides of a case. As in a run, only the contacts that may be archived have their conversations counted."""
    shape, rules = case.shape, _rules_of(case, rules)
    rows = sorted(map(_member, shape.members), key=lambda row: row[0].number)
    members = [member for member, _ in rows]
    positions = sorted(
        (Position(row.member, row.code, f"positions/{row.member}") for row in shape.positions),
        key=lambda position: (position.member_number, position.code),
    )
    unfit = tuple(Quarantined("members", one.number, one.row, reasons) for one, reasons in rows if reasons)
    source = SourceData(SOURCE, tuple(members), tuple(positions), quarantined=unfit)
    world = build_world(source, index(_contact(row, source, rules) for row in shape.contacts), rules)
    asked = archive_candidates(world)
    counts = {contact: count for contact, count in shape.open_conversations.items() if contact in asked}
    return msgspec.structs.replace(world, open_conversations=counts)


def _rules_of(case: Case, rules: Rules) -> Rules:
    """The rules with the case's own entries in their place."""
    shape = case.shape
    entries: _Row = msgspec.to_builtins(rules.findings)
    findings = {rule: {**entry, **case.rules.get(rule, {})} for rule, entry in entries.items()}
    fields = {path: rule for path, rule in (rules.contacts.fields | shape.fields).items() if path not in shape.not_ours}
    matching = rules.matching
    if shape.identifiers is not None:
        matching = msgspec.structs.replace(matching, identifiers=shape.identifiers)
    return msgspec.structs.replace(
        rules,
        findings=msgspec.convert(findings, type=Findings),
        contacts=msgspec.structs.replace(rules.contacts, who=shape.who or rules.contacts.who, fields=fields),
        matching=matching,
        mappings={**rules.mappings, **shape.mappings},
        regions=shape.regions,
        facilities=shape.facilities,
    )


def _member(row: MemberRow) -> tuple[Member, tuple[Reason, ...]]:
    """The member of a row, cleaned as a source cleans it, and why the row is quarantined, if it is."""

    def text(value: str | None) -> str:
        return clean((value or "").replace("NUMBER", row.number)) or ""

    first, _, last = text(row.name).rpartition(" ")
    written = (row.number, first, last, row.email, row.phone, row.status, row.member_type_id, row.region, row.facility)
    (number, *others), reasons = poison.sane(_MEMBER_COLUMNS, tuple(map(text, written)))
    named = zip(_MEMBER_COLUMNS[1:], others, strict=True)
    return Member(number, **{name: value or None for name, value in named}, row=f"members/{number}"), reasons


def _contact(row: Mapping[str, Scalar], source: SourceData, rules: Rules) -> Contact:
    """The contact of a row: as its member's should be, but for what is written. A lead has no external id."""
    role = row.get("is", "user")
    fields: dict[str, Any] = {}
    if row.get("as") is not None:
        fields = _as_wanted(next(one for one in source.members if one.number == row["as"]), source, rules)
    if role == "lead":
        fields.pop("external_id", None)
    fields |= {field: value for field, value in row.items() if field not in {"id", "is", "as", *DATES}}
    dates = {field: seconds(row.get(field)) for field in DATES}
    return Contact(
        id=str(row["id"]),
        role=str(role),
        **{field: fields.get(field) for field in VALUES},
        custom_attributes={
            field.removeprefix(ATTRIBUTE_PREFIX): value
            for field, value in fields.items()
            if field.startswith(ATTRIBUTE_PREFIX) and value is not None
        },
        created_at=seconds(_BORN) if "created_at" not in row else dates["created_at"],
        last_seen_at=dates["last_seen_at"],
    )


def _as_wanted(member: Member, source: SourceData, rules: Rules) -> dict[str, str | None]:
    """The fields that the contact of this member should have, whether or not the member should be a contact."""
    codes = tuple(position for position in source.positions if position.member_number == member.number)
    phone = parse_phone(member.phone, phone_region(rules)) if member.phone is not None else None
    return dict(ContactBuilder(rules).contact(member, codes=codes, phone=phone).fields)


# comparing


def _action_as_row(action: Action, contacts: Mapping[str, str]) -> _Row:
    """An action as a case would write it, with every optional part."""
    return _without_blanks(
        {
            action.do: action.contact or _NEW,
            "into": action.into,
            "member": action.member,
            "set": dict(action.set),
            "because": sorted({one.rule for one in action.because}),
            "after": sorted(contacts[before] for before in action.after),
            "expect": dict(action.expect),
            "undo": action.undo,
            "because by field": {one.field: one.rule for one in action.because if one.field is not None},
        }
    )


def _finding_as_row(finding: Finding) -> _Row:
    row: _Row = {name: getattr(finding, name) for name in ("rule", "contact", "member", "severity", "says")}
    row["evidence"] = [{"from": one.origin, "field": one.field, "value": one.value} for one in finding.evidence]
    return _without_blanks(row)


def _written_action(action: ActionRow) -> _Row:
    row: _Row = msgspec.to_builtins(action)
    return _without_blanks({name: sorted(value) if isinstance(value, tuple) else value for name, value in row.items()})


def _written_finding(finding: FindingRow) -> _Row:
    row: _Row = msgspec.to_builtins(finding)
    if row["evidence"] is not None:
        row["evidence"] = list(row["evidence"])
    return _without_blanks(row)


def _without_blanks(row: _Row) -> _Row:
    return {name: value for name, value in row.items() if value is not None and value not in ({}, [])}


def _like(found: _Row, wanted: _Row) -> _Row:
    """What was found, with those optional parts only that are wanted, and in that form."""
    optional = {"expect", "undo", "says", "evidence"} - wanted.keys()
    shown = {name: value for name, value in found.items() if name not in optional}
    by_field = shown.pop("because by field", {})
    if isinstance(wanted.get("because"), dict):
        shown["because"] = by_field
    return shown


def _differences(noun: str, wanted: list[_Row], found: list[_Row], *, in_order: bool) -> tuple[str, ...]:
    """What is wanted and was not found, and the other way round, each as it would stand in the case."""
    missing: list[_Row] = []
    left = list(found)
    for row in wanted:
        same = next((other for other in left if _like(other, row) == row), None)
        if same is None:
            missing.append(row)
        else:
            left.remove(same)
    says = [f"{noun} wanted:  - {_flow(row)}" for row in missing]
    says += [f"{noun} found:   - {_flow(_like(row, _counterpart(row, missing)))}" for row in left]
    if in_order and not says and any(_like(other, row) != row for row, other in zip(wanted, found, strict=True)):
        order = "\n".join(f"  - {_flow(_like(row, _counterpart(row, wanted)))}" for row in found)
        says = [f"{noun}s found in another order:\n{order}"]
    return tuple(says)


def _counterpart(row: _Row, candidates: list[_Row]) -> _Row:
    """The row of the case that was meant to be this one, as far as can be told; else one without optional parts."""

    def subject(one: _Row) -> tuple[Any, ...]:
        return (one.get("rule"), one.get("contact"), one.get("member"), *(one.get(verb) for verb in VERBS))

    return next((one for one in candidates if subject(one) == subject(row)), {})


def _flow(value: Any) -> str:
    """A value as YAML in one line, readable and fit to be copied into a case."""
    match value:
        case dict():
            return "{" + ", ".join(f"{name}: {_flow(inner)}" for name, inner in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_flow, value)) + "]"
        case str() if _PLAIN.fullmatch(value) and resolve(value) == value:
            return value
        case _:
            return json.dumps(value, ensure_ascii=False)
