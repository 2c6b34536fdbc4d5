"""Identifiers in the way of each other: what is given out, in which order, and what is left to a person.

A 409 at night is a plan that was wrong by day: among users Intercom keeps external ids and e-mails unique.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from reconciler.core.actions import Action
from reconciler.core.model import Contact, Member
from reconciler.core.planner import Decision, Scope, decide
from reconciler.core.rules import Rules
from tests.support.builders import default_rules, make_contact, make_member, make_world

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

ONE = make_member("1001")
TWO = make_member("1002")
THREE = make_member("1003")


def rules(*, mappings: dict[str, str] | None = None, **findings: dict[str, Any]) -> Rules:
    """The shipped rules with decisions of a person, and with some entries of findings.yaml changed."""
    shipped = default_rules()
    changed = {name: msgspec.structs.replace(getattr(shipped.findings, name), **new) for name, new in findings.items()}
    return msgspec.structs.replace(
        shipped, mappings=mappings or {}, findings=msgspec.structs.replace(shipped.findings, **changed)
    )


def short(decision: Decision) -> list[tuple[str, str | None, dict[str, Any]]]:
    """Each action as what, on which contact, and the identifiers that it sets."""
    return [
        (
            action.do,
            action.contact,
            {key: value for key, value in action.set.items() if key in {"external_id", "email"}},
        )
        for action in decision.actions
    ]


def order(decision: Decision) -> dict[str | None, list[str | None]]:
    """Contact → the contacts whose actions must be done before."""
    by_id = {action.id: action for action in decision.actions}
    return {action.contact: [by_id[before].contact for before in action.after] for action in decision.actions}


def held_up(decision: Decision) -> list[tuple[str | None, str]]:
    """Contact and sentence of each finding about an identifier that cannot be had."""
    return [(one.contact, one.says) for one in decision.findings if one.says.startswith("cannot have")]


def test_duplicate_gives_up_before_its_survivor_takes() -> None:
    """The archived contact keeps its identifiers from everybody, so it changes them first (design §4.5)."""
    world = make_world(
        members=(ONE,),
        contacts=(make_contact("c1", ONE, email="old@x.org"), make_contact("c2", ONE, external_id=UUID)),
    )
    decision = decide(world, Scope())
    assert short(decision) == [
        ("archive", "c2", {"email": "duplicate-c2@duplicate.invalid"}),
        ("update", "c1", {"email": ONE.email}),
    ]
    assert order(decision) == {"c2": [], "c1": ["c2"]}
    archive = decision.actions[0]
    assert archive.expect["email"] == ONE.email
    assert archive.undo == "exact"


def test_twin_gives_up_what_the_survivor_has_as_well() -> None:
    """Two records of history with the very same identifiers: tomorrow a third contact may be the one to keep."""
    world = make_world(members=(ONE,), contacts=(make_contact("c1", ONE), make_contact("c2", ONE)))
    released = {"external_id": "duplicate-c2", "email": "duplicate-c2@duplicate.invalid"}
    assert short(decide(world, Scope())) == [("archive", "c2", released)]


def test_duplicate_keeps_what_nobody_needs() -> None:
    """An e-mail that is no member's stays with the contact that is archived, for the day it is brought back."""
    world = make_world(
        members=(ONE,), contacts=(make_contact("c1", ONE), make_contact("c2", ONE, external_id=UUID, email="own@x.org"))
    )
    assert short(decide(world, Scope())) == [("archive", "c2", {})]


def test_duplicate_gives_up_although_nothing_is_written_yet() -> None:
    """Rules are switched on one by one: what is archived tonight must not refuse tomorrow's update with a 409."""
    world = make_world(
        members=(ONE,),
        contacts=(make_contact("c1", ONE, email="old@x.org"), make_contact("c2", ONE, external_id=UUID)),
        rules=rules(update_attributes={"then": "report"}),
    )
    assert short(decide(world, Scope())) == [("archive", "c2", {"email": "duplicate-c2@duplicate.invalid"})]


def test_user_gives_up_for_a_lead_that_is_kept() -> None:
    """A lead has its e-mail beside a user's; promoted it may not, so the archived user lets go of both."""
    world = make_world(
        members=(ONE,),
        contacts=(make_contact("c1", ONE, role="lead", external_id=None, last_seen_at=9), make_contact("c2", ONE)),
        rules=rules(archive_duplicates={"keep": ("last_seen", "smallest_id")}),
    )
    decision = decide(world, Scope())
    assert short(decision) == [
        ("archive", "c2", {"external_id": "duplicate-c2", "email": "duplicate-c2@duplicate.invalid"}),
        ("promote", "c1", {"external_id": "1001"}),
    ]


def test_holder_that_changes_goes_first() -> None:
    """A contact that a person mapped elsewhere frees the number before it is given to its owner."""
    world = make_world(members=(ONE, TWO), contacts=(make_contact("c1", ONE),), rules=rules(mappings={"c1": "1002"}))
    decision = decide(world, Scope())
    assert [(one.do, one.member, one.set["external_id"]) for one in decision.actions] == [
        ("create", "1001", "1001"),
        ("update", "1002", "1002"),
    ]
    create, update = decision.actions
    assert create.after == (update.id,)


def test_held_email_is_left_out_of_an_update() -> None:
    """The rest of the contact goes on; the e-mail is for a person to look at."""
    stranger = make_contact("c9", external_id="wp_77", email=ONE.email)
    world = make_world(members=(ONE,), contacts=(make_contact("c1", ONE, email="old@x.org", name="Old"), stranger))
    decision = decide(world, Scope())
    assert [(one.contact, dict(one.set)) for one in decision.actions] == [("c1", {"name": "Ann Lee1001"})]
    assert held_up(decision) == [("c1", "cannot have its email: contact c9 holds it and keeps it")]


def test_email_alone_that_is_held_is_no_action() -> None:
    """An action that would set nothing is none, and its finding is for a person."""
    stranger = make_contact("c9", external_id="wp_77", email=ONE.email)
    world = make_world(members=(ONE,), contacts=(make_contact("c1", ONE, email="old@x.org"), stranger))
    decision = decide(world, Scope())
    assert decision.actions == ()
    assert {one.severity for one in decision.findings if one.contact == "c1"} == {"review"}


def test_held_external_id_stops_the_update() -> None:
    """Without its number a contact is not this member's yet, so nothing else is written either."""
    world = make_world(
        members=(ONE, TWO),
        contacts=(make_contact("c1", ONE, external_id=UUID, name="Old"), make_contact("c9", TWO, external_id="1001")),
    )
    decision = decide(world, Scope())
    assert [action.contact for action in decision.actions] == []
    assert ("c1", "cannot have its external_id: contact c9 holds it and keeps it") in held_up(decision)


def test_promotion_is_stopped_by_an_email_that_it_keeps() -> None:
    """A lead may share its e-mail with a user; the moment it becomes one it may not."""
    lead = make_contact("c1", ONE, role="lead", external_id=None)
    stranger = make_contact("c9", external_id="wp_77", email=ONE.email)
    decision = decide(make_world(members=(ONE,), contacts=(lead, stranger)), Scope())
    assert decision.actions == ()
    assert held_up(decision) == [("c1", "cannot have its email: contact c9 holds it and keeps it")]


def test_lead_is_in_nobodys_way() -> None:
    """Leads are exempt from uniqueness: one that keeps the e-mail does not stop a user from taking it."""
    lead = make_contact("c9", TWO, role="lead", external_id=None, email=ONE.email)
    world = make_world(members=(ONE, TWO), contacts=(make_contact("c1", ONE, email="old@x.org"), lead))
    assert ("update", "c1", {"email": ONE.email}) in short(decide(world, Scope()))


SWAP = {"c1": "1001", "c2": "1002"}


def swapped(first: str | None, second: str | None, **fields: Any) -> tuple[Contact, Contact]:
    """Two contacts with these e-mails, which a person mapped to members 1001 and 1002."""
    return make_contact("c1", ONE, email=first, **fields), make_contact("c2", TWO, email=second, **fields)


def test_swapped_emails_are_left_to_a_person() -> None:
    """Neither can take its own before the other lets go, and a contact is written once: both keep what they have.

    The first of the two must not wait in vain for the second either, which would be refused with a 409.
    """
    world = make_world(members=(ONE, TWO), contacts=swapped(TWO.email, ONE.email), rules=rules(mappings=SWAP))
    decision = decide(world, Scope())
    assert decision.actions == ()
    assert [contact for contact, _ in held_up(decision)] == ["c1", "c2"]


def test_swapped_contacts_still_get_the_rest() -> None:
    """Only the e-mails wait for a person."""
    contacts = swapped(TWO.email, ONE.email, name="Old")
    decision = decide(make_world(members=(ONE, TWO), contacts=contacts, rules=rules(mappings=SWAP)), Scope())
    assert [sorted(action.set) for action in decision.actions] == [["name"], ["name"]]
    assert order(decision) == {"c1": [], "c2": []}


def test_ring_of_emails_and_numbers_is_left_alone_as_a_whole() -> None:
    """c1 needs the number of c3, c3 the e-mail of c2, c2 the number of c1: none moves, or a second night would be due.

    Found by searching: the ring was broken at the e-mail, the others moved on, and the e-mail was free tomorrow.
    """
    contacts = (
        make_contact("c1", ONE, external_id="1002", name="Old"),
        make_contact("c2", TWO, external_id="wp_2", email=THREE.email, name="Old"),
        make_contact("c3", THREE, external_id="1001", email="old@x.org", name="Old"),
    )
    mappings = {"c1": "1001", "c2": "1002", "c3": "1003"}
    decision = decide(make_world(members=(ONE, TWO, THREE), contacts=contacts, rules=rules(mappings=mappings)), Scope())
    assert decision.actions == ()
    why = "members 1001 and 1002 and 1003 hold what each other should have"
    assert held_up(decision) == [
        ("c1", f"cannot have its external_id: {why}"),
        ("c2", f"cannot have its external_id: {why}"),
        ("c3", f"cannot have its email: {why}"),
    ]


def test_ring_of_three_is_left_to_a_person() -> None:
    """The same for longer rings, whatever their order."""
    contacts = (
        make_contact("c1", ONE, email=TWO.email),
        make_contact("c2", TWO, email=THREE.email),
        make_contact("c3", THREE, email=ONE.email),
    )
    mappings = {"c1": "1001", "c2": "1002", "c3": "1003"}
    decision = decide(make_world(members=(ONE, TWO, THREE), contacts=contacts, rules=rules(mappings=mappings)), Scope())
    assert decision.actions == ()
    assert len(held_up(decision)) == 3


def test_chain_runs_from_its_free_end() -> None:
    """c3 moves to a free address, then c2 takes what c3 had, then c1 what c2 had."""
    contacts = (
        make_contact("c1", ONE, email="old@x.org"),
        make_contact("c2", TWO, email=ONE.email),
        make_contact("c3", THREE, email=TWO.email),
    )
    mappings = {"c1": "1001", "c2": "1002", "c3": "1003"}
    decision = decide(make_world(members=(ONE, TWO, THREE), contacts=contacts, rules=rules(mappings=mappings)), Scope())
    assert order(decision) == {"c1": ["c2"], "c2": ["c3"], "c3": []}
    assert held_up(decision) == []


def test_chain_whose_end_is_stuck_is_stuck() -> None:
    """A stranger keeps what c3 needs; so c3 keeps what c2 needs, and c2 what c1 needs."""
    contacts = (
        make_contact("c1", ONE, email="old@x.org"),
        make_contact("c2", TWO, email=ONE.email),
        make_contact("c3", THREE, email=TWO.email),
        make_contact("c9", external_id="wp_77", email=THREE.email),
    )
    mappings = {"c1": "1001", "c2": "1002", "c3": "1003"}
    decision = decide(make_world(members=(ONE, TWO, THREE), contacts=contacts, rules=rules(mappings=mappings)), Scope())
    assert decision.actions == ()
    assert [contact for contact, _ in held_up(decision)] == ["c1", "c2", "c3"]


def test_two_who_share_an_email_do_not_both_get_it() -> None:
    """A person may map both spouses; Intercom gives the address to one user only, and the other one is told."""
    spouse = make_member("1002", email=ONE.email)
    contacts = (make_contact("c1", ONE, email="a@x.org"), make_contact("c2", spouse, email="b@x.org"))
    decision = decide(make_world(members=(ONE, spouse), contacts=contacts, rules=rules(mappings=SWAP)), Scope())
    assert short(decision) == [("update", "c1", {"email": ONE.email})]
    assert held_up(decision) == [("c2", "cannot have its email: member 1001 gets it in this plan")]


@pytest.mark.parametrize(("first", "second"), [(ONE, TWO), (TWO, ONE)])
def test_order_in_the_list_does_not_matter(first: Member, second: Member) -> None:
    """Who needs an identifier may be decided before or after who gives it up."""
    contacts = (make_contact("c1", first, email="old@x.org"), make_contact("c2", second, email=first.email))
    mappings = {"c1": first.number, "c2": second.number}
    decision = decide(make_world(members=(ONE, TWO), contacts=contacts, rules=rules(mappings=mappings)), Scope())
    assert order(decision)["c1"] == ["c2"]


def test_merge_waits_for_the_email_that_makes_it_a_duplicate() -> None:
    """A lead and a user are duplicates to Intercom by e-mail or phone; here only once the user has its new address."""
    lead = make_contact("c2", ONE, role="lead", external_id=None)
    world = make_world(
        members=(ONE,),
        contacts=(make_contact("c1", ONE, email="old@x.org"), lead),
        rules=rules(archive_duplicates={"then": "merge-leads"}),
    )
    decision = decide(world, Scope())
    assert [(one.do, one.contact, one.into) for one in decision.actions] == [
        ("update", "c1", None),
        ("merge", "c2", "c1"),
    ]
    assert order(decision) == {"c1": [], "c2": ["c1"]}


def test_merge_is_dropped_with_the_email_that_it_needs() -> None:
    """Where a stranger keeps the address, the merge would be refused with a 400."""
    lead = make_contact("c2", ONE, role="lead", external_id=None)
    stranger = make_contact("c9", external_id="wp_77", email=ONE.email)
    world = make_world(
        members=(ONE,),
        contacts=(make_contact("c1", ONE, email="old@x.org", name="Old"), lead, stranger),
        rules=rules(archive_duplicates={"then": "merge-leads"}),
    )
    decision = decide(world, Scope())
    assert [(one.do, one.contact) for one in decision.actions] == [("update", "c1")]


def test_long_chain_is_worked_out() -> None:
    """Two hundred contacts, each waiting for the next: no recursion, and quick enough."""
    members = tuple(make_member(f"{number:04}") for number in range(200))
    emails = [*(member.email for member in members[1:]), "free@x.org"]
    contacts = tuple(
        make_contact(f"c{member.number}", member, email=email) for member, email in zip(members, emails, strict=True)
    )
    mappings = {f"c{member.number}": member.number for member in members}
    decision = decide(make_world(members=members, contacts=contacts, rules=rules(mappings=mappings)), Scope())
    assert len(decision.actions) == 200
    waits: dict[str, Action] = {action.id: action for action in decision.actions}
    assert sum(len(action.after) for action in waits.values()) == 199
