"""Which contact is which member: every identifier is asked, and nobody guesses between two."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reconciler.core.match import Match
from reconciler.core.model import Contact, Member
from reconciler.core.rules import Matching, Rules
from tests.support.builders import default_rules, make_contact, make_member, make_world

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

ANN = make_member("1001", first_name="Ann", last_name="Lee", email="ann@x.org", phone="617-555-0123")
BOB = make_member("1002", first_name="Bob", last_name="Ray", email="bob@x.org", phone="202-555-0199")
GONE = make_member("1003", first_name="Kim", last_name="Fox", email="kim@x.org", status="Resigned")
SON = make_member("1004", first_name="Ann", last_name="Lee", email="son@x.org", phone="617-555-0123")
SPOUSE = make_member("1005", first_name="Ida", last_name="Ray", email="BOB@x.org")


def match(
    contact: Contact, *, members: tuple[Member, ...] = (ANN, BOB, GONE), rules: Rules | None = None
) -> Match | None:
    """What is made of one contact; None for a stranger."""
    matches = make_world(members=members, contacts=(contact,), rules=rules).matches
    found = [*matches.disputed, *(one for tied in matches.tied.values() for one in tied)]
    assert len(found) + len(matches.strangers) == 1
    return found[0] if found else None


def blank(**fields: Any) -> Contact:
    """A contact that has these fields and nothing else."""
    return Contact(**({"id": "c1", "role": "user"} | fields))


@pytest.mark.parametrize(
    ("fields", "number", "by", "reason"),
    [
        ({"external_id": "1001"}, "1001", "external_id", "the member number itself"),
        ({"external_id": " 1001 "}, "1001", "external_id", "white space around it says nothing"),
        ({"email": "ANN@X.ORG"}, "1001", "email", "an address has no case"),
        ({"external_id": UUID, "email": "ann@x.org"}, "1001", "email", "a UUID says nothing"),
        ({"phone": "+16175550123", "name": "ann  LEE"}, "1001", "phone", "a phone that the name confirms"),
        ({"phone": "(617) 555-0123", "name": "Ann Lee"}, "1001", "phone", "in any spelling"),
        (
            {"custom_attributes": {"member_number": "1001"}, "name": "Ann Lee"},
            "1001",
            "custom_attributes.member_number",
            "a typed number that the name confirms",
        ),
        (
            {"custom_attributes": {"member_number": 1001}, "phone": "617.555.0123"},
            "1001",
            "custom_attributes.member_number",
            "an attribute of numbers, confirmed by the phone",
        ),
        (
            {"custom_attributes": {"member_number": "1001"}},
            "1001",
            "custom_attributes.member_number",
            "or by nothing, where the contact says nothing",
        ),
        ({"email": "kim@x.org"}, "1003", "email", "members who left keep their identity"),
    ],
)
def test_tied(fields: dict[str, Any], number: str, by: str, reason: str) -> None:
    """One identifier that points to one member ties, where what it asks to be confirmed is confirmed."""
    found = match(blank(**fields))
    assert found is not None, reason
    assert (found.state, found.number, found.by) == ("tied", number, by), reason


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "it says nothing"),
        ({"external_id": "9999"}, "nobody has that number"),
        ({"external_id": "01001"}, "numbers are text"),
        ({"email": "ann+x@x.org"}, "a plus tag is another address"),
        ({"name": "Ann Lee"}, "a name alone identifies nobody"),
        ({"phone": "+16175550123"}, "nor does a phone without the name"),
        ({"phone": "+16175550123", "name": "Bob Ray"}, "nor with another"),
        ({"phone": "call me", "name": "Ann Lee"}, "nor a text that is no number"),
    ],
)
def test_stranger(fields: dict[str, Any], reason: str) -> None:
    """What ties a contact to nobody leaves it alone."""
    assert match(blank(**fields)) is None, reason


@pytest.mark.parametrize(
    ("fields", "claims", "reason"),
    [
        ({"external_id": "1001", "email": "bob@x.org"}, ("1001", "1002"), "number of one, address of another"),
        ({"external_id": "1001", "email": "kim@x.org"}, ("1001", "1003"), "also of one who left"),
        (
            {"external_id": "1001", "phone": "+12025550199", "name": "Bob Ray"},
            ("1001", "1002"),
            "name and phone of another",
        ),
        (
            {"custom_attributes": {"member_number": "1001"}, "email": "zoe@y.org", "name": "Zoe"},
            ("1001",),
            "a typed number that nothing else agrees with",
        ),
        (
            {"custom_attributes": {"member_number": "1001"}, "email": "bob@x.org"},
            ("1001", "1002"),
            "a typed number against an address",
        ),
        ({"external_id": "wp_77", "email": "ann@x.org"}, ("1001",), "somebody else's key"),
        ({"external_id": "9999", "email": "ann@x.org"}, ("1001",), "the number of nobody we know"),
    ],
)
def test_conflict(fields: dict[str, Any], claims: tuple[str, ...], reason: str) -> None:
    """Whose identifiers contradict each other is left to a person, with the claims named (design §4.3)."""
    found = match(blank(**fields))
    assert found is not None, reason
    assert (found.state, found.number, found.claims()) == ("conflict", None, claims), reason
    assert found.why


@pytest.mark.parametrize(
    ("fields", "state", "number", "reason"),
    [
        ({"email": "bob@x.org"}, "shared", None, "an address of two members ties to neither"),
        ({"email": "bob@x.org", "external_id": "1002"}, "tied", "1002", "unless the number says which"),
        ({"email": "bob@x.org", "external_id": "1001"}, "conflict", None, "and of neither, where it is a third's"),
        ({"phone": "+16175550123", "name": "Ann Lee"}, "shared", None, "a phone and a name of two members"),
        (
            {"phone": "+16175550123", "name": "Ann Lee", "external_id": "1004"},
            "tied",
            "1004",
            "father and son: the number says which of them",
        ),
        ({"phone": "+16175550123", "name": "Ann Lee", "email": "ann@x.org"}, "tied", "1001", "or the address"),
        (
            {"phone": "+16175550123", "name": "Ann Lee", "email": "ann@x.org", "external_id": "wp_77"},
            "conflict",
            None,
            "but never against somebody else's key",
        ),
    ],
)
def test_shared_identifiers(fields: dict[str, Any], state: str, number: str | None, reason: str) -> None:
    """What several members share narrows the choice and never makes it."""
    found = match(blank(**fields), members=(ANN, BOB, SON, SPOUSE))
    assert found is not None, reason
    assert (found.state, found.number) == (state, number), reason


def with_mapping(contact_id: str, number: str) -> Rules:
    """The shipped rules with one decision of a person."""
    return msgspec.structs.replace(default_rules(), mappings={contact_id: number})


def test_mapping_ends_the_matter() -> None:
    """A person's decision is stronger than everything the contact says about itself."""
    found = match(blank(external_id="1001", email="ann@x.org"), rules=with_mapping("c1", "1002"))
    assert found is not None
    assert (found.state, found.number, found.by) == ("tied", "1002", "mapping")


def test_mapping_to_nobody_is_a_conflict() -> None:
    """A typing error in mappings.yaml must not set a contact free."""
    found = match(blank(external_id="1001"), rules=with_mapping("c1", "1O02"))
    assert found is not None
    assert found.state == "conflict"
    assert "whom the source does not have" in found.why


def test_mapping_counts_only_where_matching_lists_it() -> None:
    """matching.yaml decides what ties a contact, mappings included."""
    rules = with_mapping("c1", "1002")
    listed = tuple(one for one in rules.matching.identifiers if one.by != "mapping")
    found = match(
        blank(external_id="1001"), rules=msgspec.structs.replace(rules, matching=Matching(identifiers=listed))
    )
    assert found is not None
    assert found.number == "1001"


@pytest.mark.parametrize("taken_out", ["external_id", "custom_attributes.member_number", "email", "phone"])
def test_identifier_taken_out_says_nothing(taken_out: str) -> None:
    """Each identifier of matching.yaml can be given up without touching code."""
    rules = default_rules()
    listed = tuple(one for one in rules.matching.identifiers if one.by != taken_out)
    fields: dict[str, dict[str, Any]] = {
        "external_id": {"external_id": "1001"},
        "custom_attributes.member_number": {"custom_attributes": {"member_number": "1001"}},
        "email": {"email": "ann@x.org"},
        "phone": {"phone": "+16175550123", "name": "Ann Lee"},
    }
    only = fields[taken_out]
    assert match(blank(**only)) is not None
    without = msgspec.structs.replace(rules, matching=Matching(identifiers=listed))
    assert match(blank(**only), rules=without) is None


def test_world_sorts_every_contact_once() -> None:
    """Tied, disputed or a stranger: each contact stands in one place, and disputed ones under every claim."""
    matches = make_world(
        members=(ANN, BOB),
        contacts=(
            make_contact("c1", ANN),
            make_contact("c2", ANN),
            make_contact("c3", BOB, external_id="1001"),
            blank(id="c4", email="zoe@y.org"),
        ),
    ).matches
    assert {number: [one.contact.id for one in tied] for number, tied in matches.tied.items()} == {"1001": ["c1", "c2"]}
    assert [one.contact.id for one in matches.disputed] == ["c3"]
    assert {number: [one.contact.id for one in claims] for number, claims in matches.claimed.items()} == {
        "1001": ["c3"],
        "1002": ["c3"],
    }
    assert [contact.id for contact in matches.strangers] == ["c4"]
