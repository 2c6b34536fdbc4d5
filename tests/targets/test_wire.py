"""Bodies: what is read of them, and what is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from reconciler.core.model import Scalar
from reconciler.targets.intercom import wire
from tests.targets.support import contact

OWNED = frozenset({"region", "positions"})


def decode(**fields: Any) -> wire.WireContact:
    """One contact, by way of JSON."""
    return wire.CONTACT.decode(msgspec.json.encode(contact(**fields)))


def test_only_owned_attributes_are_kept() -> None:
    """Design §4.2: what we do not own is never read, so it cannot be compared or written by mistake."""
    found = wire.to_contact(decode(custom_attributes={"region": "Eastern", "shoe_size": 43, "positions": ""}), OWNED)
    assert found.custom_attributes == {"region": "Eastern", "positions": ""}


@pytest.mark.parametrize("field", ["email", "phone", "name", "external_id"])
def test_a_blank_standard_field_is_none(field: str) -> None:
    """Intercom shows an absent e-mail as null or as a blank text; the rules see one of the two."""
    assert wire.to_contact(decode(**{field: ""}), OWNED).get(field) is None


def test_unknown_fields_are_skipped() -> None:
    """Intercom adds fields without notice; that must not stop a run."""
    assert decode(a_field_of_2027={"x": [1]}).id == "c1"


@pytest.mark.parametrize("field", ["id", "role"])
@pytest.mark.parametrize("broken", [None, "", 5], ids=["null", "blank", "number"])
def test_a_contact_without_id_or_role_is_refused(field: str, broken: object) -> None:
    """A contact that cannot be named or judged must not slip into a snapshot."""
    with pytest.raises(msgspec.ValidationError):
        decode(**{field: broken})


def test_owner_id_is_a_string_since_2_16() -> None:
    """A number would be an answer in another version."""
    assert decode(owner_id="321").get("owner_id") == "321"
    with pytest.raises(msgspec.ValidationError):
        decode(owner_id=321)


def test_a_reference_to_a_custom_object_is_no_value() -> None:
    """Custom objects stand among the attributes as JSON objects; we could neither compare nor write them."""
    found = decode(custom_attributes={"region": {"type": "order.list", "instances": []}})
    assert found.get("custom_attributes.region") is None
    assert wire.to_contact(found, OWNED).custom_attributes == {"region": None}


def test_paths_become_nested_json() -> None:
    """Flat paths are ours; Intercom wants attributes in an object of their own. Null stays, as it clears."""
    fields: dict[str, Scalar] = {
        "phone": "+17654657031",
        "custom_attributes.region": "Eastern",
        "custom_attributes.positions": None,
    }
    assert wire.to_body(fields) == {
        "phone": "+17654657031",
        "custom_attributes": {"region": "Eastern", "positions": None},
    }
    assert wire.to_body({}) == {}


CONFLICTS = [
    (
        "A contact matching those details already exists with id=5ba682d23d7cf92bef87bfd4",
        "5ba682d23d7cf92bef87bfd4",
        False,
    ),
    ("An archived contact matching those details already exists with id=5ba6", "5ba6", True),
    ("Multiple existing users match this email address - must be more specific using user_id", None, False),
    ("A contact matching those details already exists with id=", None, False),
    ("", None, False),
    (None, None, False),
]


@pytest.mark.parametrize(("message", "contact_id", "archived"), CONFLICTS)
def test_conflict_texts(message: str | None, contact_id: str | None, archived: bool) -> None:
    """The two attested texts name the contact; a third one names nobody rather than somebody wrong."""
    assert wire.parse_conflict(message) == (contact_id, archived)


def test_pages_end_with_null() -> None:
    """`pages.next` is null on the last page, and `pages` itself may be."""
    body: dict[str, Any] = {"type": "list", "data": [], "total_count": 0}
    for pages in (None, {"type": "pages"}, {"next": None}, {"next": {"per_page": 150, "starting_after": None}}):
        assert wire.CONTACT_PAGE.decode(msgspec.json.encode(body | {"pages": pages})).cursor is None
    more = {"next": {"per_page": 150, "starting_after": "abc"}}
    assert wire.CONTACT_PAGE.decode(msgspec.json.encode(body | {"pages": more})).cursor == "abc"


def test_a_page_without_its_count_is_refused() -> None:
    """Without `total_count` nobody could tell whether a snapshot is complete."""
    with pytest.raises(msgspec.ValidationError):
        wire.CONTACT_PAGE.decode(b'{"data": []}')


def test_the_room_holds_no_version_but_one() -> None:
    """The version is named in wire.py and nowhere else, so that a new one starts there."""
    folder = Path(wire.__file__).parent
    naming = [path.name for path in sorted(folder.glob("*.py")) if '"2.16"' in path.read_text("utf-8")]
    assert naming == ["wire.py"]
