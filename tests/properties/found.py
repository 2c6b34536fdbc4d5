"""Worlds that were found by searching, each shrunk to what mattered, and a few that were thought of.

Each of them once ended in a second plan that was not empty, in a 409, or in a contact written that should not be.
"""

from __future__ import annotations

from typing import Any

import msgspec

from reconciler.core.model import Member
from reconciler.core.rules import Confirm, Identifier, Matching, Rules
from tests.properties.strategies import UUIDS, Union, email_of
from tests.support.builders import default_rules, make_member

ATTRIBUTES = {"region": "NEA", "facility": "ZNY", "member_type": "Current Member"}


def line(contact_id: str, member: Member, **overrides: Any) -> dict[str, Any]:
    """A contact as the shipped rules want it, but for the overrides."""
    name = " ".join(part for part in (member.first_name, member.last_name) if part)
    fields = {"id": contact_id, "role": "user", "external_id": member.number, "email": member.email, "name": name}
    fields |= {"custom_attributes": {"member_number": member.number, **ATTRIBUTES}} | overrides
    return {key: value for key, value in fields.items() if value is not None}


def member(number: str, **overrides: str | None) -> Member:
    """One of several members by the name of Ann Lee."""
    return make_member(number, **({"last_name": "Lee", "email": email_of(number)} | overrides))


def rules(*, mappings: dict[str, str] | None = None, **findings: dict[str, Any]) -> Rules:
    """The shipped rules, with some entries changed."""
    shipped = default_rules()
    changed = {name: msgspec.structs.replace(getattr(shipped.findings, name), **new) for name, new in findings.items()}
    return msgspec.structs.replace(
        shipped, mappings=mappings or {}, findings=msgspec.structs.replace(shipped.findings, **changed)
    )


ANN, NAMESAKE = member("1001"), member("1002", phone="+16175550123")
FATHER = member("1001", phone="+16175550123")
BOTH = (("c1", "1001"), ("c2", "1002"))

SHARED_PHONE = Union(
    members=(FATHER, NAMESAKE),
    contacts=(line("c1", FATHER, phone="+12025550199"), line("c2", FATHER, _open_conversations=1)),
)
"""Father and son: once the father's contact had its phone, it might have been the son's too, and c2 became the one."""

PHONE_OF_A_NAMESAKE = Union(
    members=(ANN, NAMESAKE),
    contacts=(line("c1", ANN, name="Old Name", phone="+16175550123"), line("c2", ANN, _open_conversations=1)),
)
"""Writing the name made the phone count, which is another's: the write itself made the contradiction."""

PHONE_THAT_MAKES_A_DUPLICATE = Union(
    members=(FATHER,),
    contacts=(
        line("c1", FATHER),
        line("c2", FATHER, role="lead", email=None, external_id=None, phone="+16175550123", _open_conversations=1),
    ),
    rules=rules(archive_duplicates={"then": "merge-leads"}),
)
"""Only when the user has its phone are the two duplicates to Intercom, so the merge came a night late."""

UUID_THAT_NOTHING_CONFIRMS = Union(
    members=(FATHER,),
    contacts=(line("c1", FATHER, external_id=UUIDS[0]),),
    rules=rules(replace_uuid_external_id={"confirm": Confirm(any_of=("phone",))}),
)
"""The phone written tonight confirmed the UUID's end tomorrow."""

SHARED_WITH_ONE_WHO_LEFT = Union(
    members=(ANN, member("1002", status="Resigned", email=ANN.email)),
    contacts=(line("c1", member("1002"), email=ANN.email),),
    rules=rules(orphan_contact={"then": "archive"}),
)
"""An orphan whose e-mail is a member's too: nobody knows whose contact it is."""

SWAPPED = Union(
    members=(ANN, NAMESAKE),
    contacts=(line("c1", ANN, email=NAMESAKE.email), line("c2", NAMESAKE, email=ANN.email)),
    rules=rules(mappings=dict(BOTH)),
)
"""Each waits for the other's e-mail."""

SPOUSES = Union(
    members=(ANN, member("1002", email=ANN.email)),
    contacts=(line("c1", ANN, email="a@example.net"), line("c2", NAMESAKE, email="b@example.net")),
    rules=rules(mappings=dict(BOTH)),
)
"""Both were given the one e-mail they share, and the second was refused with a 409."""

RING = Union(
    members=(ANN, NAMESAKE, member("1003")),
    contacts=(
        line("c1", ANN, external_id=NAMESAKE.number, name="Old Name"),
        line("c2", NAMESAKE, external_id="wp_77", email=email_of("1003"), name="Old Name"),
        line("c3", member("1003"), external_id=ANN.number, email="old@example.net", name="Old Name"),
    ),
    rules=rules(mappings={"c1": "1001", "c2": "1002", "c3": "1003"}),
)
"""Two numbers and an e-mail in a ring, once broken at the e-mail: the rest moved on, and tomorrow it was free."""

NOBODY_KNOWS_THEM = Union(
    members=(ANN,),
    rules=msgspec.structs.replace(
        default_rules(), matching=Matching(identifiers=default_rules().matching.identifiers[-1:])
    ),
)
"""Matched by phone alone, a contact without one was created again every night."""

ORPHAN_UNDER_AN_ACTIVE_NUMBER = Union(
    members=(ANN, member("1002", status="Resigned")),
    contacts=(line("c1", ANN),),
    rules=rules(mappings={"c1": "1002"}, orphan_contact={"then": "archive"}),
)
"""Mapped to somebody who left, but under the number of somebody who did not: that is no orphan."""

TWO_BY_A_BLANK = Union(
    members=(ANN,),
    contacts=(line("c0", ANN, external_id=" 1001 "), line("c1", ANN, external_id=" 1001 ", email=None)),
)
"""The archive of c1 was said to be undone whole, though c0 keeps the very external id, blanks and all, that c1 had."""

E_MAIL_OF_A_STRANGER = Union(
    members=(FATHER,),
    contacts=(
        line("c0", FATHER, phone=FATHER.phone),
        line("c1", member("999", first_name="Zoe", last_name="Zed", email="zoe@example.net")),
        line("c2", FATHER, external_id=None, email="zoe@example.net", phone=FATHER.phone, custom_attributes={}),
    ),
)
"""c1 has nothing to do with the father, but it keeps the e-mail that c2 had: archived, c2 does not come back whole."""

PROMOTED_OVER_A_USER = Union(
    members=(ANN,),
    contacts=(line("c0", ANN, role="lead", external_id=None), line("c1", ANN, external_id=None)),
    rules=rules(archive_duplicates={"keep": ("smallest_id",)}),
)
"""The lead that is kept stays a user for good, with the e-mail that c1 had: c1 does not come back whole."""

MET_FROM_ONE_SIDE = Union(
    members=(FATHER, member("1002")),
    contacts=(line("c1", member("1002"), name="Old Name", phone=FATHER.phone),),
)
"""c1 leads to the father by the phone, and the father not to c1: what a plan keeps of the two was apart."""

TOLD_APART_BY_AN_E_MAIL = Union(
    members=(member("1001", first_name=None, last_name=None, phone="+16175550123"), NAMESAKE),
    contacts=(
        {"id": "c1", "role": "user", "external_id": "1001"},
        {"id": "c2", "role": "user", "email": email_of("1001")},
    ),
    rules=msgspec.structs.replace(
        rules(archive_duplicates={"then": "off"}),
        matching=Matching(
            identifiers=(
                *default_rules().matching.identifiers[:-1],
                Identifier(by="phone", is_="phone", confirm=Confirm(any_of=("email", "name"))),
            )
        ),
    ),
)
"""c2 keeps the e-mail, so c1 went without it: but the phone that it got all the same then spoke for another member."""

TAKEN_BUT_FOR_A_BLANK = Union(
    members=(ANN,),
    contacts=(line("c0", ANN, role="lead", external_id=None), line("c1", ANN, external_id=" 1001 ", email=None)),
    rules=rules(archive_duplicates={"keep": ("smallest_id",)}),
)
"""c1 gave up its number for c0, which keeps it as a user; an undo gave it back to nobody, and the plan said exact."""

FOUND = {
    "shared phone": SHARED_PHONE,
    "phone of a namesake": PHONE_OF_A_NAMESAKE,
    "phone that makes a duplicate": PHONE_THAT_MAKES_A_DUPLICATE,
    "uuid that nothing confirms": UUID_THAT_NOTHING_CONFIRMS,
    "shared with one who left": SHARED_WITH_ONE_WHO_LEFT,
    "swapped": SWAPPED,
    "spouses": SPOUSES,
    "ring": RING,
    "nobody knows them": NOBODY_KNOWS_THEM,
    "orphan under an active number": ORPHAN_UNDER_AN_ACTIVE_NUMBER,
    "promoted over a user": PROMOTED_OVER_A_USER,
    "met from one side": MET_FROM_ONE_SIDE,
    "told apart by an e-mail": TOLD_APART_BY_AN_E_MAIL,
    "taken but for a blank": TAKEN_BUT_FOR_A_BLANK,
    "two by a blank": TWO_BY_A_BLANK,
    "e-mail of a stranger": E_MAIL_OF_A_STRANGER,
}

ARCHIVED_TOO_SOON = Union(
    members=(ANN,),
    contacts=(line("c1", ANN, email="old@example.net"), line("c2", ANN, external_id=UUIDS[0])),
)
"""Archived while only archive-duplicates was on, c2 kept the e-mail that c1 was to have the night after."""

TWO_OF_ONE_NUMBER = Union(
    members=(ANN,),
    contacts=(
        line("c0", ANN),
        line("c1", ANN),
        line("c2", ANN, name="Old Name", email=None, last_seen_at=1_760_000_000),
    ),
    rules=msgspec.structs.replace(
        default_rules(),
        matching=Matching(
            identifiers=tuple(one for one in default_rules().matching.identifiers if one.by != "external_id")
        ),
    ),
)
"""While the number tied nobody, c1 went and kept its e-mail, which c0 had as well; tied by it, c2 was to have it."""
