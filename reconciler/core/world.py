"""What the rules look at, and the form in which they answer.

A rule is one module of `core/findings/`. It offers `judge(case)`, asked once for each member who should be a
contact, or `survey(world)`, asked once a plan, or both. Either yields rulings: a finding, and what the rule asks
for because of it. The planner puts all that is asked of one contact into one action.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256

import msgspec

from reconciler.core.actions import Do
from reconciler.core.desired import People, gather_people, phone_region
from reconciler.core.diff import Change, changes, own_phone_problem
from reconciler.core.match import Match, Matches, match_all
from reconciler.core.model import (
    ATTRIBUTE_PREFIX,
    Contact,
    DesiredContact,
    Evidence,
    Finding,
    Member,
    Scalar,
    Severity,
    SourceData,
)
from reconciler.core.rules import FieldRule, Rules
from reconciler.core.snapshot import Snapshot
from reconciler.core.text import fold_email


class World(msgspec.Struct, frozen=True, gc=False):
    """Both sides, and which contact is which member."""

    rules: Rules
    source: SourceData
    people: People
    snapshot: Snapshot
    matches: Matches
    open_conversations: Mapping[str, int] = {}
    """Contact id → open conversations, for the contacts that a rule may want to archive."""

    def member_evidence(self, member: Member, column: str) -> Evidence:
        """One value of a member's row. `column` is a word of `from:` in contacts.yaml."""
        value = member.number if column == "member_number" else getattr(member, column, None)
        return Evidence(f"{self.source.name} {member.row}", column, value)


class Case(msgspec.Struct, frozen=True, gc=False):
    """One member who should be a contact, and the contacts that are this member."""

    world: World
    desired: DesiredContact
    survivor: Match | None
    """The contact to keep; None where there is none."""
    duplicates: tuple[Match, ...]
    changes: tuple[Change, ...]
    """What differs between the survivor and what it should be."""
    phone_problem: str | None = None
    """Why the survivor's own phone is no number, where the source has none to put in its place."""

    @property
    def member(self) -> Member:
        """The member this is about."""
        return self.desired.member


class Ask(msgspec.Struct, frozen=True, gc=False):
    """One thing a rule wants done. Without a field it is about the contact as a whole."""

    do: Do
    contact: Contact | None
    field: str | None = None
    value: Scalar = None
    into: str | None = None


class Ruling(msgspec.Struct, frozen=True, gc=False):
    """A finding, what is asked because of it, and the members it is about (for `--only` and `--exclude`)."""

    finding: Finding
    asks: tuple[Ask, ...] = ()
    about: tuple[str, ...] = ()


def build_world(source: SourceData, snapshot: Snapshot, rules: Rules) -> World:
    """Bring both sides together. Pure; linear in rows and contacts."""
    people = gather_people(source, rules)
    return World(rules, source, people, snapshot, match_all(people, snapshot, rules))


def ruling(
    rule: str,
    severity: Severity,
    says: str,
    *,
    contact: str | None = None,
    member: str | None = None,
    evidence: tuple[Evidence, ...] = (),
    asks: tuple[Ask, ...] = (),
    about: tuple[str, ...] | None = None,
) -> Ruling:
    """Make a ruling."""
    finding = make_finding(rule, severity, says, contact=contact, member=member, evidence=evidence)
    return Ruling(finding, asks, about if about is not None else (member,) if member is not None else ())


def make_finding(
    rule: str,
    severity: Severity,
    says: str,
    *,
    contact: str | None = None,
    member: str | None = None,
    evidence: tuple[Evidence, ...] = (),
) -> Finding:
    """Make a finding. Its id is a hash of its content, without the name of the source that it was read from."""
    identity = msgspec.json.encode((rule, contact, member, says, [(one.field, one.value) for one in evidence]))
    return Finding(
        id=f"f-{sha256(identity).hexdigest()[:12]}",
        rule=rule,
        severity=severity,
        contact=contact,
        member=member,
        says=says,
        evidence=evidence,
    )


def change_ruling(case: Case, rule: str, *, acts: bool, do: Do, verb: str) -> Ruling | None:
    """The ruling of a rule that speaks for some of the survivor's changes: all its fields in one finding."""
    if case.survivor is None:
        return None
    mine = tuple(change for change in case.changes if change.rule == rule)
    if not mine:
        return None
    contact = case.survivor.contact
    fields = ", ".join(change.field for change in mine)
    return ruling(
        rule,
        "fixable" if acts else "review",
        f"{verb}: {fields}",
        contact=contact.id,
        member=case.member.number,
        evidence=tuple(line for change in mine for line in _change_evidence(case, contact, change)),
        asks=tuple(Ask(do, contact, change.field, change.wanted) for change in mine) if acts else (),
    )


def _change_evidence(case: Case, contact: Contact, change: Change) -> Iterator[Evidence]:
    """The contact's value, and the source's values that the wanted one is made from."""
    yield Evidence(f"intercom contacts/{contact.id}", change.field, change.found)
    for column in columns_of(case.world.rules.contacts.fields.get(change.field)):
        if column == "positions":
            for position in case.world.people.positions.get(case.member.number, ()):
                yield Evidence(f"{case.world.source.name} {position.row}", column, position.code)
        else:
            yield case.world.member_evidence(case.member, column)


def columns_of(rule: FieldRule | None) -> tuple[str, ...]:
    """The member fields that a contact's field is made from."""
    if rule is None or rule.from_ is None:
        return ()
    if isinstance(rule.from_, tuple):
        return tuple(rule.from_)
    if "{" not in rule.from_:
        return (rule.from_,)
    return tuple(part.split("}")[0] for part in rule.from_.split("{")[1:])


def case_of(world: World, desired: DesiredContact, survivor: Match | None, duplicates: tuple[Match, ...]) -> Case:
    """The case of one member, with the survivor's differences."""
    if survivor is None:
        return Case(world, desired, None, duplicates, ())
    phone = world.rules.contacts.fields.get("phone")
    forms_phone = phone is not None and phone.as_ == "e164"
    found = changes(survivor.contact, desired, region=phone_region(world.rules), forms_phone=forms_phone)
    problem = own_phone_problem(survivor.contact, desired, region=phone_region(world.rules)) if forms_phone else None
    return Case(world, desired, survivor, duplicates, found, problem)


def with_fields(contact: Contact, fields: Mapping[str, Scalar]) -> Contact:
    """The contact once these fields are written."""
    own = {path: value for path, value in fields.items() if not path.startswith(ATTRIBUTE_PREFIX)}
    attributes = {
        path.removeprefix(ATTRIBUTE_PREFIX): value
        for path, value in fields.items()
        if path.startswith(ATTRIBUTE_PREFIX)
    }
    return msgspec.structs.replace(contact, **own, custom_attributes=contact.custom_attributes | attributes)


def may_merge(lead: Contact, user: Contact) -> bool:
    """Whether Intercom takes them for duplicates: a lead and a user of one e-mail or phone (MergeContact; else 400).

    Phones to the letter, because nobody says how Intercom compares two spellings of one number.
    """
    same_email = lead.email and user.email and fold_email(lead.email) == fold_email(user.email)
    return lead.role == "lead" and user.role == "user" and bool(same_email or (lead.phone and lead.phone == user.phone))
