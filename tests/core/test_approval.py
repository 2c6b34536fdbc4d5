from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import approval as approval_file
from reconciler.core.actions import Do
from reconciler.core.approval import Approval, unapproved
from reconciler.core.plan import Plan, digest_of, encode
from reconciler.errors import PlanRefused, PlanUnreadable
from tests.report.plans import make_action, make_plan
from tests.support.plans import PLANS

PLAN = make_plan(make_action(1, "update"), make_action(2, "archive"), make_action(3, "archive"))
MADE = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)
NEEDED: tuple[Do, ...] = ("archive", "merge")


def approval_of(plan: Plan = PLAN, **overrides: object) -> Approval:
    """An approval of the two archives of a plan."""
    values: dict[str, object] = {
        "plan": plan.id,
        "plan_digest": digest_of(encode(plan)),
        "by": "Ann Lee",
        "approved_at": "2026-11-23T08:00:00Z",
        "expires_at": plan.expires_at,
        "classes": {"archive": 2},
        "reason": "agreed on Monday",
    }
    return Approval(**(values | overrides))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reason", "approvals", "wanting"),
    [
        ("nobody approved", (), ["archive"]),
        ("approved, with its number", (approval_of(),), []),
        ("another number", (approval_of(classes={"archive": 3}),), ["archive"]),
        ("another class", (approval_of(classes={"update": 1}),), ["archive"]),
        ("one of two", (approval_of(classes={"update": 1}), approval_of()), []),
        ("expired before the plan", (approval_of(expires_at="2026-11-23T09:00:00Z"),), ["archive"]),
    ],
)
def test_a_class_is_held_until_its_number_is_approved(
    reason: str, approvals: tuple[Approval, ...], wanting: list[str]
) -> None:
    """Only a class that limits.yaml names and the plan has; the sentence holds the command that approves it."""
    found = unapproved(PLAN, approvals, needed=NEEDED, at=MADE + timedelta(hours=7))
    assert list(found) == wanting, reason
    for says in found.values():
        assert f"reconcile approve {PLAN.id} --by NAME --class archive=2 --reason TEXT" in says


def test_no_class_needs_an_approval_unless_the_rules_say_so() -> None:
    """Nights that are not asked for one run as they did."""
    assert unapproved(PLAN, (), needed=(), at=MADE) == {}


@given(PLANS)
def test_an_approval_is_for_one_plan_and_no_other(other: Plan) -> None:
    """Whatever is changed in an approved plan, also with its id kept, it is refused."""
    edited = msgspec.structs.replace(other, id=PLAN.id)
    with pytest.raises(PlanRefused, match="changed since"):
        unapproved(edited, (approval_of(),), needed=NEEDED, at=MADE)


def test_every_flip_and_every_cut_of_an_approval_is_found() -> None:
    """No edited or torn approval passes for the one that was given."""
    good = approval_file.encode(approval_of())
    assert approval_file.decode(good, where="x") == approval_of()
    flipped = (good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good)))
    cut = (good[:at] for at in range(len(good)))
    for bad in (*flipped, *cut, good + b"\n"):
        with pytest.raises(PlanUnreadable):
            approval_file.decode(bad, where="x")


@given(st.text(max_size=20), st.text(max_size=20))
def test_two_approvals_have_two_names(one: str, other: str) -> None:
    """Two people may approve one plan; the place of an approval in the chain does not change its name."""
    first, second = (approval_file.name_of(approval_of(by=name)) for name in (one, other))
    assert (first == second) == (one == other)
    assert first == approval_file.name_of(approval_of(by=one, previous="sha256:" + "0" * 64))
