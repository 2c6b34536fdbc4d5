"""Live contacts against members: every contact is counted once, and by whose it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.core.cases import parse_cases, world_of
from reconciler.core.census import census_of
from reconciler.core.plan import Census
from tests.support.builders import RULES_FOLDER, default_rules, make_contact, make_member, make_world


def test_each_kind_is_counted() -> None:
    """A member with a duplicate, one without a contact, one who left, one who cannot be one, and what nobody owns."""
    double, new, left = make_member("1001"), make_member("1002"), make_member("1003", status="Resigned")
    members = (double, new, left, make_member("1004", email=None), make_member("1005", status="Retired"))
    contacts = (
        make_contact("c1", double),
        make_contact("c1b", double, role="lead", external_id=None),
        make_contact("c3", left),
        make_contact("c5", members[4], external_id="1002"),
        make_contact("c9", external_id="wp_77", email="zoe@y.org"),
    )
    assert census_of(make_world(members=members, contacts=contacts)) == Census(
        users=4,
        leads=1,
        members={"Active": 3, "Retired": 1},
        wanted=3,
        without=2,
        theirs=2,
        others=1,
        disputed=1,
        strangers=1,
    )


@pytest.mark.parametrize("path", sorted((RULES_FOLDER / "tests").glob("*.yaml")), ids=lambda path: str(path.stem))
def test_the_counts_add_up(path: Path) -> None:
    """Users and leads together are all live contacts, and so are theirs, others', disputed and strangers."""
    for case in parse_cases(path.read_text("utf-8"), file=path.name):
        world = world_of(case, default_rules())
        found = census_of(world)
        live = len(world.snapshot.contacts)
        assert found.users + found.leads == live
        assert found.theirs + found.others + found.disputed + found.strangers == live
        assert found.without <= found.wanted <= sum(found.members.values())
