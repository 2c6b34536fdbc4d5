"""The story of each owned field: from row and column through each transform to the value that is sent, or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.core.actions import Action
from reconciler.core.contact_builder import MEMBER_ATTRIBUTE
from reconciler.core.desired import phone_region
from reconciler.core.diff import same
from reconciler.core.explain.explanation import Column, FieldEnd, FieldStory, Row, Step
from reconciler.core.model import Contact, Member, Position, Scalar
from reconciler.core.phones import parse_phone
from reconciler.core.rules import FieldRule, Rules, Table
from reconciler.core.rules.lines import RuleBook
from reconciler.core.world import World, columns_of


def rows_of(world: World, number: str) -> tuple[Row, ...]:
    """The member's rows and positions, with the columns that they were read from."""
    source = world.source.name
    members, positions = _tables(world.rules, source)
    theirs = {"member_number": members.get("number", "member_number"), **members}
    code = positions.get("code", "positions")
    rows = (
        Row(
            f"{source} {member.row}",
            tuple(
                Column(field, theirs.get(field, field), getattr(member, attribute))
                for field, attribute in MEMBER_ATTRIBUTE.items()
            ),
        )
        for member in world.people.by_number.get(number, ())
    )
    held = (
        Row(f"{source} {position.row}", (Column("positions", code, position.code),))
        for position in world.people.positions.get(number, ())
    )
    return (*rows, *held)


def _tables(rules: Rules, source: str) -> tuple[dict[str, str], dict[str, str]]:
    """Our words → the database's, for members and positions.

    A MySQL database may have either shape of sources.yaml, and the name of the source does not say which: there only
    the columns are named that are called the same in both.
    """
    sql, mysql = rules.sources.sql, rules.sources.mysql
    if source != "mysql":
        return sql.members.columns, sql.positions.columns
    return _common(sql.members, mysql.members), _common(sql.positions, mysql.positions)


def _common(one: Table, other: Table) -> dict[str, str]:
    return {field: column for field, column in one.columns.items() if other.columns.get(field) == column}


def fields_of(
    world: World, book: RuleBook, number: str, *, contact: Contact | None, actions: Iterable[Action], why_not: str
) -> tuple[FieldStory, ...]:
    """The owned fields of the member's contact, in the order of contacts.yaml. `contact` is None where it is created.

    `why_not`: why a difference is not sent, where no action sends it.
    """
    desired = world.people.wanted[number]
    member = desired.member
    action = next((one for one in actions if one.contact == (contact.id if contact is not None else None)), None)
    stories: list[FieldStory] = []
    for field, rule in world.rules.contacts.fields.items():
        found: Scalar = contact.get(field) if contact is not None else None
        wanted, known = desired.fields.get(field), field in desired.fields
        steps = tuple(_steps(world, rule, member, wanted))
        sent = action is not None and field in action.set
        if action is not None and field in action.set:
            value = action.set[field]
            wanted = value if isinstance(value, str) else wanted
            if not known:
                steps = (*steps, Step("the contact's own value, put in form", value))
        end, says = _end(field, rule, found, wanted, sent=sent, known=known, why_not=why_not)
        asked = (one.rule for one in action.because if one.field == field) if action is not None and sent else ()
        line = book.find("contacts.yaml", "fields", field)
        stories.append(FieldStory(field, steps, wanted, found, end, says, line, tuple(dict.fromkeys(asked))))
    return tuple(stories)


def _end(
    field: str, rule: FieldRule, found: Scalar, wanted: str | None, *, sent: bool, known: bool, why_not: str
) -> tuple[FieldEnd, str]:
    if sent:
        return "sent", "is sent" if wanted is not None else "is cleared"
    if not known:
        kept = (
            "the contact's value is left" if rule.on_blank == "leave" else "a value that cannot be used clears nothing"
        )
        return "left", f"the member has no value for it; {kept}"
    if same(field, found, wanted):
        return "same", "is blank, as it should be" if wanted is None else "the contact has it already"
    return "not sent", why_not


def _steps(world: World, rule: FieldRule, member: Member, wanted: str | None) -> Iterator[Step]:
    """The values of the row, and what is done to them one after the other."""
    if rule.is_ is not None:
        yield Step("is the same for everybody", rule.is_)
        return
    source = world.source.name
    positions = world.people.positions.get(member.number, ())
    for column in columns_of(rule):
        if column != "positions":
            yield Step(f"{source} {member.row}, {column}", getattr(member, MEMBER_ATTRIBUTE[column]))
        elif positions:
            yield from (Step(f"{source} {position.row}, positions", position.code) for position in positions)
        else:
            yield Step(f"{source} has no position of member {member.number}")
    if rule.as_ == "e164" and member.phone is not None:
        yield _read_as_phone(member.phone, phone_region(world.rules))
    elif rule.names == "positions.yaml":
        yield from _named(world.rules.positions, positions, rule.join, wanted)
    elif rule.names == "member_types.yaml" and member.member_type_id is not None:
        yield Step("named by member_types.yaml", wanted)
    elif isinstance(rule.from_, str) and "{" in rule.from_:
        yield Step(f"put together as {rule.from_!r}", wanted)


def _read_as_phone(written: str, region: str) -> Step:
    phone = parse_phone(written, region)
    if phone.problem is not None:
        return Step(f"read as a number dialled in {region}: {phone.problem}")
    return Step(f"read as a number dialled in {region}", phone.e164)


def _named(names: Mapping[str, str], positions: tuple[Position, ...], join: str, wanted: str | None) -> Iterator[Step]:
    codes = dict.fromkeys(position.code for position in positions)
    for code in codes:
        yield Step(f"positions.yaml, {code}", names.get(code, code))
    if len(codes) > 1:
        yield Step(f"joined with {join!r}, in the order of positions.yaml", wanted)
