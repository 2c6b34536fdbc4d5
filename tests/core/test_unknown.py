"""Numbers on the command line that nothing has."""

from __future__ import annotations

import pytest

from reconciler.core.unknown import unknown_numbers
from tests.support.builders import make_contact, make_member, make_world

WORLD = make_world(
    members=(make_member("0123"), make_member("12345"), make_member("777", status="Resigned")),
    contacts=(make_contact("c1", external_id="555"), make_contact("c2", custom_attributes={"member_number": "666"})),
)


@pytest.mark.parametrize("number", ["0123", "12345", "777", "555", "666"])
def test_what_a_row_or_a_contact_has_is_known(number: str) -> None:
    """Whatever the member's status, and also where the contact alone is left."""
    assert unknown_numbers(WORLD, [number]) == {}


@pytest.mark.parametrize(
    ("number", "hints"),
    [
        ("123", ("0123",)),
        ("00123", ("0123",)),
        (" 12345", ("12345",)),
        ("12354", ("12345", "0123")),
        ("9", ()),
        ("", ()),
    ],
)
def test_what_nothing_has_comes_with_what_may_be_meant(number: str, hints: tuple[str, ...]) -> None:
    """Zeros in front are part of a number, and the first thing that a spreadsheet drops."""
    assert unknown_numbers(WORLD, [number, "12345"]) == {number: hints}
