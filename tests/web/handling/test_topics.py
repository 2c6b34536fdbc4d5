"""What is done about a message and about a tag: the right thing, once, and nothing more."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.rules import ClassLimit
from reconciler.errors import Paused, StateError
from reconciler.runs.claims import NIGHT, Claims
from reconciler.simulator import Call
from reconciler.web.events import Event
from reconciler.web.notes import REASONS, TEXTS, marker_of, note
from tests.support.builders import default_rules, make_member
from tests.web.handling.desk import ANN, ANNS, BOB, BOBS, LEAD, MEMBERS, Desk, conversation, message, open_desk, tag

RIGHT = (ANNS, BOBS)
DRIFTED = ANNS | {"phone": "(617) 555-0123", "name": "Ann Old"}


def test_a_message_of_a_member_who_is_right(tmp_path: Path) -> None:
    """Nothing is written, and nothing is stored."""
    desk = open_desk(tmp_path, *RIGHT)
    [handled] = desk.handle(message("a1"))
    assert handled.result == "nothing"
    assert desk.writes() == []
    assert desk.store.list_ids() == []


def test_a_message_brings_the_contact_in_line(tmp_path: Path) -> None:
    """Name and phone in one call; plan and outcome are stored as those of a night; the second message finds nothing."""
    desk = open_desk(tmp_path, DRIFTED, BOBS)
    first, second = desk.handle(message("a1"), message("a1"))
    assert (first.result, second.result) == ("reconciled", "nothing")
    assert desk.contact("a1")["phone"] == "+16175550123"
    assert desk.contact("a1")["name"] == "Ann Lee"
    assert [(call.method, call.path) for call in desk.writes()] == [("PUT", "/contacts/a1")]
    plan = desk.store.get_plan(first.plan)
    assert plan.summary.update == 1
    assert desk.store.get_outcome(first.plan).summary.done == 1


def test_a_plan_for_one_is_not_what_the_next_night_is_measured_against(tmp_path: Path) -> None:
    """One member of 20,000 is no shrunken source."""
    desk = open_desk(tmp_path, DRIFTED)
    [handled] = desk.handle(message("a1"))
    assert desk.store.list_ids() == [handled.plan]
    assert desk.store.last_good() is None


NOTHING: dict[str, tuple[dict[str, Any], ...]] = {
    "no member has the e-mail": (LEAD | {"id": "a1"},),
    "there is no e-mail": ({"id": "a1", "role": "lead", "phone": "+16175550123"},),
    "the contact is archived": (DRIFTED | {"_archived": True},),
    "there is no such contact": (),
}


@pytest.mark.parametrize("lines", NOTHING.values(), ids=NOTHING.keys())
def test_messages_of_nobody(lines: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    """Nothing is done, and that is no error."""
    desk = open_desk(tmp_path, *lines)
    [handled] = desk.handle(message("a1"))
    assert handled.result == "nothing"
    assert desk.writes() == []


def test_a_message_whose_notification_names_no_contact(tmp_path: Path) -> None:
    """The conversation says who takes part in it; where that is one contact, it is the one."""
    desk = open_desk(tmp_path, DRIFTED, conversation("a1", tagged=False))
    [handled] = desk.handle(message(""))
    assert handled.result == "reconciled"
    assert desk.contact("a1")["name"] == "Ann Lee"


@pytest.mark.parametrize("lines", [(), (conversation(["a1", "b1"], tagged=False),)], ids=["gone", "several contacts"])
def test_a_message_of_whom_nobody_can_tell(lines: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    """Nobody's contact is touched, and the event is done with: trying again would find out no more."""
    desk = open_desk(tmp_path, DRIFTED, BOBS, *lines)
    [handled] = desk.handle(message(""))
    assert handled.result == "nothing"
    assert desk.writes() == []


def test_the_e_mail_may_be_spelt_in_any_case(tmp_path: Path) -> None:
    """As Intercom and the membership database like."""
    desk = open_desk(tmp_path, DRIFTED | {"email": "ANN@Example.org"})
    [handled] = desk.handle(message("a1"))
    assert handled.result == "reconciled"
    assert desk.contact("a1")["name"] == "Ann Lee"


def test_a_contact_that_was_merged_is_followed(tmp_path: Path) -> None:
    """The event names the lead; the member's user is put right."""
    desk = open_desk(tmp_path, DRIFTED, LEAD | {"_merged_into": "a1"})
    [handled] = desk.handle(message("l1"))
    assert handled.result == "reconciled"
    assert desk.contact("a1")["name"] == "Ann Lee"


@pytest.mark.parametrize("event", [message("l1"), tag("l1")], ids=["message", "tag"])
def test_a_contact_that_was_merged_is_read_under_its_own_claim(event: Event, tmp_path: Path) -> None:
    """The night writes the survivor after it was first read, and before it is claimed: that is seen, and put right."""
    desk = open_desk(tmp_path, ANNS, LEAD | {"_merged_into": "a1"}, conversation("l1", number="1001"))

    def write_as_the_night(call: Call, phase: object) -> None:
        if call.path == "/contacts/a1" and phase == "after" and not desk.writes():
            desk.simulator.hook = None
            contact = desk.simulator.world.people.get("a1")
            assert contact is not None
            desk.simulator.world.people.put(msgspec.structs.replace(contact, name="Ann Old"), at=desk.clock())

    desk.simulator.hook = write_as_the_night
    [handled] = desk.handle(event)
    assert handled.result == "reconciled"
    assert desk.contact("a1")["name"] == "Ann Lee"


def test_a_twin_is_found_and_archived(tmp_path: Path) -> None:
    """The lead wrote; the member's user is found by its number, and the lead, without a conversation, goes."""
    desk = open_desk(tmp_path, ANNS, LEAD | {"email": "ann@example.org"})
    [handled] = desk.handle(message("l1"))
    assert handled.result == "reconciled"
    assert desk.contact("l1")["_state"] == "archived"


def test_a_twin_in_an_open_conversation_is_left(tmp_path: Path) -> None:
    """As at night: archiving would hide what the member is asking."""
    desk = open_desk(tmp_path, ANNS, LEAD | {"email": "ann@example.org"}, conversation("l1", tagged=False))
    [handled] = desk.handle(message("l1"))
    assert handled.result == "refused"
    assert desk.writes() == []


def test_who_only_looks_alike_is_not_read(tmp_path: Path) -> None:
    """A search by the last digits of a phone finds strangers; they cost no call."""
    stranger = LEAD | {"id": "s1", "phone": "+12025550123", "email": "s@example.net"}
    desk = open_desk(tmp_path, DRIFTED, stranger)
    [handled] = desk.handle(message("a1"))
    assert handled.result == "reconciled"
    assert "/contacts/s1" not in {call.path for call in desk.simulator.calls}


def test_contacts_that_another_has_claimed_are_waited_for(tmp_path: Path) -> None:
    """The one that wrote, its member, and every contact that the plan turns out to write."""
    for name in ("l1", "a1", "member 1001"):
        desk = open_desk(tmp_path / name, DRIFTED, LEAD | {"email": "ann@example.org"})
        night = Claims(desk.database, holder=NIGHT)
        night.take([name])
        with pytest.raises(StateError, match="somebody else is at work"):
            desk.handle(message("l1"))
        assert desk.writes() == []
        night.give_up()
        assert [one.result for one in desk.handle(message("l1"))] == ["reconciled"]


REVIEWED: dict[str, tuple[tuple[Any, ...], tuple[dict[str, Any], ...]]] = {
    "two members share the e-mail": ((ANN, msgspec.structs.replace(BOB, email="Ann@example.org")), (DRIFTED,)),
    "the number is held twice": (
        (ANN, msgspec.structs.replace(ANN, last_name="Other", email="x@example.org", row="members/1001#2")),
        (DRIFTED,),
    ),
    "the contact has another member's number": (MEMBERS, (DRIFTED | {"external_id": "1002"},)),
}


@pytest.mark.parametrize(("members", "lines"), REVIEWED.values(), ids=REVIEWED.keys())
def test_what_a_person_has_to_look_at_is_not_touched(
    members: tuple[Any, ...], lines: tuple[dict[str, Any], ...], tmp_path: Path
) -> None:
    """The findings of the night are those of the message: the world around the contact shows them."""
    desk = open_desk(tmp_path, *lines, members=members)
    [handled] = desk.handle(message("a1"))
    assert handled.result == "refused"
    assert desk.writes() == []


# tags


def test_a_tag_makes_the_lead_the_member(tmp_path: Path) -> None:
    """The agent's word ties a lead with an unknown e-mail to the member; then the tag is taken off."""
    desk = open_desk(tmp_path, BOBS, LEAD, conversation("l1", number="1001"))
    first, second = desk.handle(tag(), tag())
    assert (first.result, second.result) == ("reconciled", "nothing")
    lead = desk.contact("l1")
    assert (lead["role"], lead["external_id"], lead["email"]) == ("user", "1001", "ann@example.org")
    assert desk.tags() == []
    assert desk.notes() == []
    assert [call.method for call in desk.writes()] == ["PUT", "DELETE"]


@pytest.mark.parametrize("number", ["1001", " 1001 ", 1001])
def test_the_number_may_be_typed_as_people_type(number: object, tmp_path: Path) -> None:
    """A number attribute, or a text with blanks around it."""
    desk = open_desk(tmp_path, LEAD, conversation("l1", number=number))
    [handled] = desk.handle(tag())
    assert handled.result == "reconciled"
    assert desk.contact("l1")["external_id"] == "1001"


def test_a_tag_on_a_contact_that_is_right_is_taken_off(tmp_path: Path) -> None:
    """Nothing had to be done to the contact."""
    desk = open_desk(tmp_path, *RIGHT, conversation("a1", number="1001"))
    [handled] = desk.handle(tag("a1"))
    assert handled.result == "reconciled"
    assert desk.tags() == []
    assert [call.method for call in desk.writes()] == ["DELETE"]


def test_the_agents_word_decides_between_spouses(tmp_path: Path) -> None:
    """Two members share the e-mail: nobody else could tell which of them wrote."""
    spouses = (ANN, msgspec.structs.replace(BOB, email="ann@example.org"))
    desk = open_desk(tmp_path, LEAD | {"email": "ann@example.org"}, conversation("l1", number="1001"), members=spouses)
    [handled] = desk.handle(tag())
    assert handled.result == "reconciled"
    assert desk.contact("l1")["external_id"] == "1001"


REFUSED: dict[str, tuple[str, tuple[dict[str, Any], ...]]] = {
    "no number": ("attribute-missing", (LEAD, conversation("l1"))),
    "a blank number": ("attribute-missing", (LEAD, conversation("l1", number="  "))),
    "no such member": ("member-not-found", (LEAD, conversation("l1", number="9999"))),
    "an injection": ("member-not-found", (LEAD, conversation("l1", number="1001' OR '1'='1"))),
    "held twice": ("number-held-twice", (LEAD, conversation("l1", number="1004"))),
    "left the union": ("not-active-or-retired", (LEAD, conversation("l1", number="1003"))),
    "the contact is gone": ("contact-gone", (LEAD | {"_archived": True}, conversation("l1", number="1001"))),
    "nobody is in it": ("contact-gone", (LEAD, conversation([], number="1001"))),
    "two are in it": ("several-contacts", (LEAD, BOBS, conversation(["l1", "b1"], number="1001"))),
    "another's external id": ("belongs-to-another", (BOBS, LEAD, conversation("b1", number="1001"))),
    "another's e-mail": (
        "belongs-to-another",
        (LEAD | {"email": "bob@example.org"}, conversation("l1", number="1001")),
    ),
    "somebody else's key": (
        "belongs-to-another",
        (LEAD | {"role": "user", "external_id": "wp_77"}, conversation("l1", number="1001")),
    ),
    "the member has a user, and the lead is in a conversation": (
        "left-as-it-is",
        (ANNS, LEAD, conversation("l1", number="1001")),
    ),
    "an archived contact has the number": (
        "identifiers-taken",
        (ANNS | {"_archived": True}, LEAD, conversation("l1", number="1001")),
    ),
}


@pytest.mark.parametrize(("reason", "lines"), REFUSED.values(), ids=REFUSED.keys())
def test_a_tag_that_cannot_be_followed(reason: Any, lines: tuple[dict[str, Any], ...], tmp_path: Path) -> None:
    """The tag stays, one note says what to do however often the event comes, and the contact is not written."""
    twice = make_member("1004")
    desk = open_desk(tmp_path, *lines, members=(*MEMBERS, twice, msgspec.structs.replace(twice, row="members/1004#2")))
    before = list(desk.state()["live"])
    event = tag(event_id="notif-x")
    first, again = desk.handle(event, event)
    assert (first.result, again.result) == ("refused", "refused")
    assert desk.tags() == ["7"]
    assert [marker_of(reason, "notif-x") in one for one in desk.notes()] == [True]
    assert desk.state()["live"] == before
    [later] = desk.handle(tag(event_id="notif-y"))
    assert later.result == "refused"
    assert len(desk.notes()) == 2


def test_a_limit_holds_a_tag(tmp_path: Path) -> None:
    """The brakes of the night are on: what is over a limit is not done."""
    rules = default_rules()
    limits = msgspec.structs.replace(rules.limits, promote=ClassLimit(percent=0, floor=0))
    desk = open_desk(
        tmp_path, LEAD, conversation("l1", number="1001"), rules=msgspec.structs.replace(rules, limits=limits)
    )
    [handled] = desk.handle(tag(event_id="notif-x"))
    assert handled.result == "refused"
    assert marker_of("over-a-limit", "notif-x") in desk.notes()[0]
    assert desk.contact("l1")["role"] == "lead"


def test_the_limit_of_a_week_counts_what_events_did(tmp_path: Path) -> None:
    """Each event plans alone; what the ones before it archived stands all the same, in this process and the next."""
    rules = default_rules()
    limits = msgspec.structs.replace(rules.limits, archive=msgspec.structs.replace(rules.limits.archive, per_week=1))
    twins = (LEAD | {"email": "ann@example.org"}, LEAD | {"id": "l2", "email": "bob@example.org"})
    rules = msgspec.structs.replace(rules, limits=limits)
    desk = open_desk(tmp_path, *RIGHT, *twins, rules=rules)
    assert [one.result for one in desk.handle(message("l1"), message("l2"))] == ["reconciled", "refused"]
    assert [one.result for one in desk.handle(message("l2"))] == ["refused"]
    assert desk.contact("l2")["_state"] == "live"


def test_a_tag_that_was_refused_is_not_tried_because_of_another(tmp_path: Path) -> None:
    """Ours still stands in the conversation; the event is about one that an agent set for something else."""
    desk = open_desk(tmp_path, LEAD, conversation("l1", number="1001"))
    [handled] = desk.handle(msgspec.structs.replace(tag(), tag="8"))
    assert handled.result == "nothing"
    assert desk.writes() == []


def test_other_tags_are_none_of_our_business(tmp_path: Path) -> None:
    """The conversation's own tags say whether ours is there."""
    desk = open_desk(tmp_path, LEAD, conversation("l1", number="1001", tagged=False))
    [handled] = desk.handle(tag())
    assert handled.result == "nothing"
    assert desk.writes() == []


def test_a_conversation_that_is_gone(tmp_path: Path) -> None:
    """It was deleted, or its contact blocked."""
    desk = open_desk(tmp_path, LEAD)
    [handled] = desk.handle(tag())
    assert handled.result == "nothing"


def test_giving_up_tells_the_agent_once(tmp_path: Path) -> None:
    """With the reference to ask for; nobody asked for anything by a message, so nobody is told."""
    desk = open_desk(tmp_path, LEAD, conversation("l1", number="1001"))
    event = tag(event_id="notif-x")
    desk.give_up(event, "REF-77")
    desk.give_up(event, "REF-77")
    desk.give_up(message("l1"), "REF-78")
    assert ["REF-77" in one for one in desk.notes()] == [True]
    assert desk.tags() == ["7"]


def test_the_notes(snapshot: SnapshotAssertion) -> None:
    """What support staff read, word for word."""
    fields = {
        "tag": "mynatca-sync",
        "attribute": "member_number_verification",
        "number": "1001",
        "contact": "5ba682d2",
        "detail": "DETAIL",
    }
    assert tuple(TEXTS) == REASONS
    assert {reason: note(reason, "notif-1", **fields) for reason in REASONS} == snapshot


def test_a_note_holds_no_markup_of_others() -> None:
    """A number that an agent typed is text."""
    assert "<b>" not in note("member-not-found", "e", tag="t", attribute="a", number="<b>x</b>")


# pause


@pytest.mark.parametrize("event", [message("a1"), tag()], ids=["message", "tag"])
def test_nothing_is_written_while_paused(event: Any, tmp_path: Path) -> None:
    """By `reconcile pause` as by RECONCILER_PAUSED; the event is tried again later."""
    desk = open_desk(tmp_path, DRIFTED, LEAD, conversation("l1", number="1002"))
    with pytest.raises(Paused):
        desk.handle(event, paused=True)
    desk.pause.pause("a test")
    with pytest.raises(Paused, match="a test"):
        desk.handle(event)
    assert desk.writes() == []
    desk.pause.resume()
    assert [one.result for one in desk.handle(event)] == ["reconciled"]


@pytest.mark.parametrize(
    ("lines", "event"),
    [
        ((LEAD, conversation("l1", number="1001")), tag()),
        ((LEAD, conversation("l1")), tag()),
        ((DRIFTED, LEAD | {"email": "ann@example.org"}), message("a1")),
    ],
    ids=["tag", "note", "twins"],
)
def test_a_pause_at_any_call_stops_the_next_write(lines: Any, event: Any, tmp_path: Path) -> None:
    """Whenever somebody pulls the stop, at most the write under way is done; afterwards it ends as it should."""
    quiet = open_desk(tmp_path / "quiet", *lines)
    quiet.handle(event)
    for number in range(1, len(quiet.simulator.calls) + 1):
        desk = open_desk(tmp_path / str(number), *lines)
        _pause_at(desk, number)
        with suppress(Paused):
            desk.handle(event)
        assert len([call for call in desk.writes() if call.number > number]) <= 1
        desk.pause.resume()
        desk.simulator.hook = None
        desk.handle(event)
        assert _end(desk) == _end(quiet)


def _pause_at(desk: Desk, number: int) -> None:
    def hook(call: Call, phase: object) -> None:
        if call.number == number and phase == "before":
            desk.pause.pause("now")

    desk.simulator.hook = hook


def _end(desk: Desk) -> bytes:
    """Contacts, tags and notes, without times."""
    return re.sub(rb'"\w+_at":[0-9]+', b'""', desk.simulator.state_json())
