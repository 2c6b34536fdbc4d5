"""The desired side: who should be a contact, and what each field is made from."""

from __future__ import annotations

import msgspec
import pytest

from reconciler.core.desired import People, gather_people
from reconciler.core.model import MAX_TEXT, Member, Position, SourceData
from tests.support.builders import default_rules, make_member, make_position

RULES = default_rules()


def people(*members: Member, positions: tuple[Position, ...] = ()) -> People:
    """The people of a source with these rows."""
    return gather_people(SourceData("sqlite", members, positions), RULES)


def fields(member: Member, *codes: str) -> dict[str, str | None]:
    """What the contact of one member must look like."""
    positions = tuple(make_position(member.number, code) for code in codes)
    return dict(people(member, positions=positions).wanted[member.number].fields)


def test_contact_of_a_dull_member() -> None:
    """Every owned field of contacts.yaml, in its order; positions that nobody holds are cleared."""
    member = make_member("12345", phone="(617) 555-0123")
    assert list(fields(member).items()) == [
        ("external_id", "12345"),
        ("role", "user"),
        ("email", "ann12345@example.org"),
        ("name", "Ann Lee12345"),
        ("phone", "+16175550123"),
        ("custom_attributes.member_number", "12345"),
        ("custom_attributes.region", "NEA"),
        ("custom_attributes.facility", "ZNY"),
        ("custom_attributes.positions", None),
        ("custom_attributes.member_type", "Current Member"),
    ]


@pytest.mark.parametrize(
    ("overrides", "field", "value", "reason"),
    [
        ({"first_name": None}, "name", "Lee12345", "half a name is a name, without a blank before it"),
        ({"last_name": None}, "name", "Ann", "nor behind it"),
        ({"status": "Retired"}, "custom_attributes.member_type", "Retired Member", "status and type together"),
        ({"member_type_id": "7"}, "custom_attributes.member_type", "Active, 7", "a pair without a name is shown"),
        ({"member_type_id": None}, "custom_attributes.member_type", "absent", "no type, nothing to say"),
        ({"first_name": None, "last_name": None}, "name", "absent", "a blank never clears a value (design §4.2)"),
        ({"region": None}, "custom_attributes.region", "absent", "the same for an attribute"),
        ({"phone": None}, "phone", "absent", "the same for a phone"),
        ({"phone": "617-555-0123 x1"}, "phone", "absent", "a phone that cannot be E.164 is left"),
        ({"email": "Ann@Example.ORG"}, "email", "Ann@Example.ORG", "the source's own spelling is what is written"),
    ],
)
def test_field(overrides: dict[str, str | None], field: str, value: str, reason: str) -> None:
    """How each field is made, and what a blank means to it."""
    assert fields(make_member("12345", **overrides)).get(field, "absent") == value, reason


@pytest.mark.parametrize(
    ("codes", "shown", "reason"),
    [
        (("facrep", "pres"), "NATCA President, Facility President", "in the order of positions.yaml"),
        (("pres", "pres"), "NATCA President", "a code held twice is shown once"),
        (("zzz", "aaa", "evp"), "Executive Vice President, aaa, zzz", "codes without a name come last, as they are"),
        (("PRES",), "PRES", "codes have case"),
    ],
)
def test_positions(codes: tuple[str, ...], shown: str, reason: str) -> None:
    """Codes become names, joined in an order that does not depend on the order of the rows."""
    assert fields(make_member("12345"), *codes)["custom_attributes.positions"] == shown, reason
    assert fields(make_member("12345"), *reversed(codes))["custom_attributes.positions"] == shown, reason


@pytest.mark.parametrize(
    ("overrides", "kind", "reason"),
    [
        ({"phone": "617-555-0123 x1"}, "phone", "said by fix-phone"),
        ({"member_type_id": "7"}, "member-type", "said by unknown-position-code"),
        ({}, None, "nothing to say"),
    ],
)
def test_oddities(overrides: dict[str, str | None], kind: str | None, reason: str) -> None:
    """What keeps a field from being right is remembered beside the contact; the rest of it goes on."""
    oddities = people(make_member("12345", **overrides)).wanted["12345"].oddities
    assert [oddity.kind for oddity in oddities] == ([kind] if kind else []), reason


@pytest.mark.parametrize(
    ("overrides", "says", "reason"),
    [
        ({"email": None}, "has no email", "contacts.yaml requires one"),
        ({"email": "ann.example.org"}, "e-mail that cannot be one", "no @"),
        ({"email": "ann lee@example.org"}, "e-mail that cannot be one", "a blank within"),
        ({"email": "a@b@example.org"}, "e-mail that cannot be one", "two @"),
        ({"email": "a@"}, "e-mail that cannot be one", "no domain"),
        ({"email": "ann\x00@example.org"}, "e-mail that cannot be one", "a control character"),
        ({"last_name": "x" * MAX_TEXT}, "longer than 255", "Intercom keeps 255 characters"),
        ({"first_name": "An\x00n"}, "control characters", "ASCII with a null in it"),
        ({"first_name": "Ren\u00e9e\x1b"}, "not text", "other text with an escape in it"),
    ],
)
def test_invalid_member(overrides: dict[str, str | None], says: str, reason: str) -> None:
    """Such a member gets no contact and a finding that says why."""
    found = people(make_member("12345", **overrides))
    assert not found.wanted, reason
    ((_, reasons),) = found.invalid
    assert says in "; ".join(one.says for one in reasons), reason


@pytest.mark.parametrize("status", [None, "", "Resigned", "active", "ACTIVE", "Deceased"])
def test_other_status_is_no_contact(status: str | None) -> None:
    """Only the statuses of contacts.yaml, to the letter; such a member is no finding either, but keeps an identity."""
    found = people(make_member("12345", status=status))
    assert not found.wanted
    assert not found.invalid
    assert found.by_email == {"ann12345@example.org": ("12345",)}


def test_member_without_a_number() -> None:
    """Reported, and tied to nothing: a blank number would tie every contact without an external id."""
    found = people(make_member(""))
    assert not found.wanted
    assert not found.by_number
    assert len(found.invalid) == 1


def test_members_who_share() -> None:
    """E-mails are shared across case and normal form, and across statuses: whoever left may still read the mail."""
    found = people(
        make_member("1", email="Ren\u00e9e@x.org"),
        make_member("2", email="rene\u0301e@X.ORG", status="Resigned"),
        make_member("3", email="renee@x.org"),
    )
    assert found.shared == {"ren\u00e9e@x.org": ("1", "2")}
    assert [found.in_review(number) for number in ("1", "2", "3", "4")] == [True, True, False, False]


def test_number_held_twice() -> None:
    """Nobody can say which row is meant; another row's e-mail still counts for that number."""
    found = people(make_member("1", email="a@x.org"), make_member("1", email="b@x.org"))
    assert found.duplicated == ("1",)
    assert found.in_review("1")
    assert found.by_email == {"a@x.org": ("1",), "b@x.org": ("1",)}
    assert not found.shared


def test_numbers_are_text() -> None:
    """0123 and 123 are two members (design §4.1)."""
    assert set(people(make_member("0123"), make_member("123")).wanted) == {"0123", "123"}


def test_phones_tie_by_e164() -> None:
    """Two spellings of one number are one; a text that is no number ties nobody."""
    found = people(
        make_member("1", phone="617.555.0123"), make_member("2", phone="+1 617 555 0123"), make_member("3", phone="n/a")
    )
    assert found.by_phone == {"+16175550123": ("1", "2")}


def test_unlisted_field_is_not_wanted() -> None:
    """Deleting a line of contacts.yaml is how a field is given back."""
    listed = {path: rule for path, rule in RULES.contacts.fields.items() if path != "phone"}
    rules = msgspec.structs.replace(RULES, contacts=msgspec.structs.replace(RULES.contacts, fields=listed))
    member = make_member("12345", phone="617-555-0123 x1")
    wanted = gather_people(SourceData("sqlite", (member,), ()), rules).wanted["12345"]
    assert "phone" not in wanted.fields
    assert not wanted.oddities


def test_a_name_that_two_codes_have_is_shown_once() -> None:
    """An office may have an old and a new code, and whoever holds both holds one office."""
    rules = msgspec.structs.replace(RULES, positions={"facrep": "Facility President", "fp": "Facility President"})
    held = (make_position("12345", "facrep"), make_position("12345", "fp"))
    wanted = gather_people(SourceData("sqlite", (make_member("12345"),), held), rules).wanted["12345"]
    assert wanted.fields["custom_attributes.positions"] == "Facility President"
