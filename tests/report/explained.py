"""Ten kinds of decisions (and one more), each as a small world: one member or contact, and the plan that came of it.

A converged world, in which one thing is otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from reconciler.core.actions import Outcome
from reconciler.core.history import NO_HISTORY, History
from reconciler.core.outcome import RunOutcome, count
from reconciler.core.plan import Plan, decode, digest_of, encode
from reconciler.core.planner import Scope
from reconciler.core.rules import ClassLimit
from reconciler.core.world import World
from tests.support import builders
from tests.support.builders import default_rules, make_contact, make_member, make_position, make_world

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"

ANN = make_member("1001", first_name="Ann", last_name="Lee", email="ann@example.org", phone="(617) 555-0123")
BEN = make_member("1002", first_name="Ben", last_name="Ray", email="ben@example.org")


@dataclass(frozen=True)
class Explained:
    """A plan, whom to ask about, and what became of it."""

    plan: Plan
    ref: str
    run: RunOutcome | None = None


def planned(world: World, scope: Scope | None = None, history: History = NO_HISTORY) -> Plan:
    """The plan of a world, as it comes back from its file."""
    return decode(encode(builders.planned(world, scope, history)), where="memory")


def create() -> Explained:
    """Ann holds two positions and has no contact."""
    positions = (make_position("1001", "facrep"), make_position("1001", "pres"))
    return Explained(planned(make_world(members=(ANN, BEN), positions=positions)), "1001")


def update() -> Explained:
    """Ann's contact has another region, and her phone in another form."""
    contact = make_contact("c1", ANN, custom_attributes={"member_number": "1001", "region": "NSO", "facility": "ZNY"})
    return Explained(planned(make_world(members=(ANN,), contacts=(contact,))), "1001")


def promote() -> Explained:
    """Ann wrote as a lead, under an old name."""
    lead = make_contact("c1", ANN, role="lead", external_id=None, name="Ann Old", phone=None)
    return Explained(planned(make_world(members=(ANN,), contacts=(lead,))), "1001")


def archive() -> Explained:
    """Ann has a second contact from the WordPress site, seen later than the first; asked about the second."""
    contacts = (
        make_contact("c1", ANN, phone="+16175550123"),
        make_contact("c2", ANN, external_id=UUID, last_seen_at=1_790_000_000, custom_attributes={}),
    )
    return Explained(planned(make_world(members=(ANN,), contacts=contacts)), "c2")


def conflict() -> Explained:
    """A contact has Ann's member number and Ben's e-mail."""
    contacts = (make_contact("c1", ANN, email="ben@example.org", phone=None),)
    return Explained(planned(make_world(members=(ANN, BEN), contacts=contacts)), "c1")


def shared_email() -> Explained:
    """Ann and Ben are both members, and have one e-mail between them."""
    ben = msgspec.structs.replace(BEN, email="ann@example.org")
    contacts = (make_contact("c1", ANN, external_id=None, phone=None, custom_attributes={}),)
    return Explained(planned(make_world(members=(ANN, ben), contacts=contacts)), "1001")


def orphan() -> Explained:
    """Ann resigned, and her contact is still there."""
    resigned = msgspec.structs.replace(ANN, status="Resigned")
    return Explained(planned(make_world(members=(resigned, BEN), contacts=(make_contact("c1", resigned),))), "c1")


def stale() -> Explained:
    """Ann's contact was to be renamed; by the time of the apply somebody had done so by hand."""
    contact = make_contact("c1", ANN, name="Ann Old", phone="+16175550123")
    plan = planned(make_world(members=(ANN,), contacts=(contact,)))
    (action,) = plan.actions
    outcome = Outcome(
        action=action.id,
        do=action.do,
        outcome="stale",
        contact="c1",
        member="1001",
        says="contact c1 no longer has the name that the plan was decided on",
    )
    run = RunOutcome(
        plan=plan.id,
        plan_digest=digest_of(encode(plan)),
        started_at="2026-11-23T02:31:00Z",
        finished_at="2026-11-23T02:31:01Z",
        summary=count((outcome,)),
        outcomes=(outcome,),
    )
    return Explained(plan, "1001", run)


def held() -> Explained:
    """Three members to create where two are allowed."""
    rules = default_rules()
    files = {**rules.files, "limits.yaml": rules.files["limits.yaml"].replace("floor: 100", "floor: 2")}
    limits = msgspec.structs.replace(rules.limits, create=ClassLimit(percent=10, floor=2))
    rules = msgspec.structs.replace(rules, limits=limits, files=files)
    members = (ANN, BEN, make_member("1003"))
    return Explained(planned(make_world(members=members, rules=rules)), "1002")


def unchanged() -> Explained:
    """Ann is in order, and somebody asks for her by name: `plan --only 1001`."""
    contact = make_contact("c1", ANN, phone="+16175550123")
    return Explained(
        planned(make_world(members=(ANN, BEN), contacts=(contact,)), Scope(only=frozenset({"1001"}))), "1001"
    )


def frozen() -> Explained:
    """The name on Ann's contact was written back and forth three times in a week."""
    contact = make_contact("c1", ANN, name="Ann Old", phone="+16175550123")
    history = History(flips={"c1": {"name": 3}})
    return Explained(planned(make_world(members=(ANN,), contacts=(contact,)), history=history), "1001")


KINDS: tuple[Callable[[], Explained], ...] = (
    create,
    update,
    promote,
    archive,
    conflict,
    shared_email,
    orphan,
    stale,
    held,
    unchanged,
    frozen,
)
