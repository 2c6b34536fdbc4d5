"""What counts as equal, and which rule speaks for what differs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.contact_builder import ContactBuilder
from reconciler.core.diff import Change, as_text, changes, is_uuid, same
from reconciler.core.model import Contact, DesiredContact, Member, Scalar
from reconciler.core.phones import parse_phone
from tests.support.builders import default_rules, make_contact, make_member

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

SCALARS = st.none() | st.booleans() | st.integers(-99, 99) | st.sampled_from(["", " ", "a", "A", "é", "e\u0301", "1"])


@pytest.mark.parametrize(
    ("field", "found", "wanted", "reason"),
    [
        ("name", None, "", "null and blank are one nothing"),
        ("name", None, "  ", "white space is blank"),
        ("custom_attributes.region", "", None, "a blank attribute is a missing one"),
        ("name", "Ann", " Ann ", "white space around a text says nothing"),
        ("name", "Rene\u0301e", "Ren\u00e9e", "the same letters in another normal form"),
        ("email", "Ann@Example.ORG", "ann@example.org", "e-mail has no case"),
        ("email", "rene\u0301e@x.org", "REN\u00c9E@x.org", "nor a normal form"),
        ("custom_attributes.member_number", 12345, "12345", "an attribute typed as a number"),
        ("custom_attributes.member_number", 12345.0, "12345", "or as one with a fraction, which has none"),
        ("custom_attributes.member_type", True, "true", "an attribute typed as a boolean"),
        ("custom_attributes.member_type", 1.5, "1.5", "an attribute typed as a float"),
    ],
)
def test_same(field: str, found: Scalar, wanted: Scalar, reason: str) -> None:
    """What only looks different is no difference, in either direction; else a plan never gets empty."""
    assert same(field, found, wanted), reason
    assert same(field, wanted, found), reason


@pytest.mark.parametrize(
    ("field", "found", "wanted", "reason"),
    [
        ("name", "ann", "Ann", "names have case"),
        ("name", "Ann  Lee", "Ann Lee", "white space within a text is part of it"),
        ("external_id", "0123", "123", "member numbers are text"),
        ("custom_attributes.member_number", 123, "0123", "also where the attribute is a number"),
        ("email", "ann+x@example.org", "ann@example.org", "a plus tag is another address"),
        ("email", "a.nn@example.org", "ann@example.org", "so is a dot"),
        ("email", "stra\u00dfe@x.org", "strasse@x.org", "lower case folds no letters away"),
        ("name", "Ren\u00e9e", "Renee", "accents stay"),
        ("name", "\U0001f600", "\U0001f601", "emoji are told apart, which some databases do not"),
        ("name", None, "Ann", "nothing is not something"),
        ("name", "0", None, "a zero is something"),
        ("custom_attributes.member_type", False, None, "so is a no"),
        ("custom_attributes.member_type", True, 1, "a yes is no number"),
    ],
)
def test_not_same(field: str, found: Scalar, wanted: Scalar, reason: str) -> None:
    """What differs to a person differs here, in either direction."""
    assert not same(field, found, wanted), reason
    assert not same(field, wanted, found), reason


@given(st.lists(SCALARS, min_size=3, max_size=3), st.sampled_from(("name", "email")))
def test_same_is_an_equivalence(values: list[Scalar], field: str) -> None:
    """Equal to itself, both ways round, and in chains: else the order of writing would matter."""
    one, two, three = values
    assert same(field, one, as_text(one))
    assert same(field, one, two) == same(field, two, one)
    if same(field, one, two) and same(field, two, three):
        # A number and its text are equal, while 1 and True are equal to Python alone.
        assert same(field, as_text(one), as_text(three))


@pytest.mark.parametrize(
    ("text", "yes"),
    [(UUID, True), (UUID.upper(), True), (f" {UUID} ", True), (UUID[:-1], False), ("12345", False), ("", False)],
)
def test_is_uuid(text: str, *, yes: bool) -> None:
    """The form of the old WordPress ids, in either case, and nothing else."""
    assert is_uuid(text) is yes
    assert not is_uuid(None)


def desired_of(member: Member) -> DesiredContact:
    """What the default rules want of a member without positions."""
    phone = parse_phone(member.phone, "US") if member.phone else None
    return ContactBuilder(default_rules()).contact(member, codes=(), phone=phone)


@pytest.mark.parametrize(
    ("member", "contact", "field", "rule", "reason"),
    [
        ({}, {"role": "lead"}, "role", "promote-lead", "only a promotion changes a role"),
        ({}, {"role": "lead", "external_id": None}, "external_id", "promote-lead", "and gives a lead its number"),
        ({}, {"external_id": UUID}, "external_id", "replace-uuid-external-id", "a UUID has a rule of its own"),
        ({}, {"external_id": None}, "external_id", "update-attributes", "nothing is no UUID"),
        ({}, {"name": "Anne"}, "name", "update-attributes", "an ordinary field"),
        ({"phone": "6175550123"}, {"phone": "(617) 555-0123"}, "phone", "fix-phone", "the same number, put in form"),
        ({"phone": "6175550123"}, {"phone": "call me"}, "phone", "fix-phone", "a text that is no number"),
        ({"phone": "6175550123"}, {"phone": "+12025550100"}, "phone", "update-attributes", "another number"),
        ({"phone": "6175550123"}, {"phone": None}, "phone", "update-attributes", "a number where there was none"),
        ({"phone": None}, {"phone": "617 555 0123"}, "phone", "fix-phone", "the source has none: the contact's own"),
    ],
)
def test_who_speaks(
    member: dict[str, str | None], contact: dict[str, str | None], field: str, rule: str, reason: str
) -> None:
    """Each change is asked for by the narrowest rule that knows it, so that each can be stopped on its own."""
    person = make_member("12345", **member)
    found = make_contact("c1", person, **contact)
    by_field = {change.field: change.rule for change in changes(found, desired_of(person), region="US")}
    assert by_field[field] == rule, reason


def test_positions_that_nobody_holds_are_missing_positions() -> None:
    """Clearing positions is asked for by a rule of its own; a name in another spelling is an ordinary update."""
    person = make_member("12345")
    contact = make_contact("c1", person)
    contact.custom_attributes["positions"] = "Facility President"
    assert changes(contact, desired_of(person), region="US") == (
        Change("custom_attributes.positions", "Facility President", None, "missing-positions"),
    )


@pytest.mark.parametrize(
    ("member_phone", "contact_phone", "reason"),
    [
        ("617-555-0123 x9", "617 555 0123", "the source's own phone is no number, so nobody knows what is right"),
        (None, "call me", "the contact's text is no number either"),
        (None, "+16175550123", "it is in form"),
        (None, None, "there is none"),
    ],
)
def test_phone_is_left(member_phone: str | None, contact_phone: str | None, reason: str) -> None:
    """A phone is changed only to a number that is known to be one."""
    person = make_member("12345", phone=member_phone)
    contact = make_contact("c1", person, phone=contact_phone)
    assert changes(contact, desired_of(person), region="US") == (), reason


def test_only_owned_fields_are_compared() -> None:
    """What contacts.yaml does not list is neither read nor written (design §4.2)."""
    person = make_member("12345")
    contact = make_contact("c1", person)
    contact.custom_attributes["favourite_colour"] = "blue"
    assert changes(contact, desired_of(person), region="US") == ()


@given(st.sampled_from(["name", "phone", "email", "custom_attributes.region", "custom_attributes.facility"]), SCALARS)
def test_changed_fields_no_longer_differ(field: str, value: Scalar) -> None:
    """Writing what the diff wants leaves nothing to want, whatever stood there before."""
    person = make_member("12345", phone="617.555.0123")
    name, attributes = field.removeprefix("custom_attributes."), make_contact("c1", person).custom_attributes
    overrides = {"custom_attributes": attributes | {name: value}} if name != field else {field: as_text(value)}
    contact = make_contact("c1", person, **overrides)
    wanted = {change.field: change.wanted for change in changes(contact, desired_of(person), region="US")}
    assert [field for field in wanted if not same(field, contact.get(field), wanted[field])] == [*wanted]
    after: dict[str, object] = {key: wanted.get(key, contact.get(key)) for key in ("name", "email", "phone")}
    inner = {name: wanted.get(f"custom_attributes.{name}", old) for name, old in contact.custom_attributes.items()}
    written = Contact(id="c1", role="user", external_id="12345", custom_attributes=inner, **after)  # type: ignore[arg-type]
    assert changes(written, desired_of(person), region="US") == ()
