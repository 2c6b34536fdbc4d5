"""The actual side, indexed, and the digests over both sides."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Contact
from reconciler.core.snapshot import digest, index
from reconciler.core.text import fold_email
from tests.support.builders import make_contact, make_member

CONTACTS = st.lists(
    st.builds(
        Contact,
        id=st.text("abc", min_size=1, max_size=3),
        role=st.sampled_from(["user", "lead"]),
        external_id=st.none() | st.sampled_from(["", "1", "2"]),
        email=st.none() | st.sampled_from(["", "a@x.org", "A@x.org ", "b@x.org"]),
    ),
    max_size=8,
    unique_by=lambda contact: contact.id,
)


@given(CONTACTS, st.randoms(use_true_random=False))
def test_order_of_arrival_does_not_matter(contacts: list[Contact], random: st.Randoms) -> None:  # type: ignore[name-defined]
    """The pages of Intercom come in no promised order; the snapshot and its digest are the same all the same."""
    shuffled = list(contacts)
    random.shuffle(shuffled)
    assert index(shuffled) == index(contacts)
    assert digest(index(shuffled).contacts) == digest(index(contacts).contacts)


@given(CONTACTS)
def test_indexes_hold_every_contact(contacts: list[Contact]) -> None:
    """Each contact with a value stands under it, and beside all others that have it: never the last one alone."""
    found = index(contacts)
    assert set(found.by_id) == {contact.id for contact in contacts}
    for contact in contacts:
        if contact.external_id:
            assert contact in found.by_external_id[contact.external_id]
        if contact.email:
            assert contact in found.by_email[fold_email(contact.email)]
    assert sum(map(len, found.by_email.values())) == sum(1 for contact in contacts if contact.email)
    assert "" not in found.by_external_id
    assert "" not in found.by_email


@pytest.mark.parametrize(
    ("one", "other", "reason"),
    [
        (make_member("1"), make_member("1", region="NSW"), "one field of one row"),
        (make_member("1"), make_member("1", region=None), "a value gone"),
        (make_contact("c1"), make_contact("c1", updated_at=5), "also a field that no rule looks at"),
        (make_contact("c1"), make_contact("c2"), "another contact"),
    ],
)
def test_digest_tells_rows_apart(one: Contact, other: Contact, reason: str) -> None:
    """Two plans of equal digests were made from the very same rows."""
    assert digest([one]) != digest([other]), reason
    assert digest([one, other]) != digest([other, one]), "and in the same order"
    assert digest([]) != digest([one])


def test_digest_does_not_depend_on_the_order_of_attributes() -> None:
    """Intercom may list a contact's attributes in any order."""
    one = make_contact("c1", custom_attributes={"region": "NEA", "facility": "ZNY"})
    other = make_contact("c1", custom_attributes={"facility": "ZNY", "region": "NEA"})
    assert digest([one]) == digest([other])
