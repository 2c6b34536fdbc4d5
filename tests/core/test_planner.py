"""From a world to a plan: scope, order, counts, limits, and the same bytes for the same world."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.actions import Action
from reconciler.core.findings import RULE_IDS
from reconciler.core.guards import Accepted, LastGood
from reconciler.core.model import Contact, Member
from reconciler.core.plan import Plan, encode
from reconciler.core.planner import Context, Scope, archive_candidates, decide, make_plan, with_rules_only
from reconciler.core.rules import ArchiveDuplicates, ClassLimit, MissingPositions, Rules
from reconciler.core.world import World
from tests.support.builders import default_rules, make_contact, make_member, make_position, make_world

UUID = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
NOW = datetime(2026, 11, 23, 2, 30, tzinfo=UTC)


def planned(world: World, scope: Scope | None = None, **context: Any) -> Plan:
    """The plan of a world."""
    values: dict[str, Any] = {
        "now": NOW,
        "read_at": NOW,
        "tool": "reconciler 0.1.0",
        "target": "contacts",
        "workspace": "abc123",
        "intercom_version": "2.16",
    }
    return make_plan(world, scope or Scope(), Context(**(values | context)))


def drifted(*, rules: Rules | None = None) -> World:
    """One member for each kind of action, one who is in order, and one who left."""
    members = tuple(make_member(number) for number in ("1001", "1002", "1003", "1004", "1005"))
    new, changed, lead, double, right = members
    return make_world(
        members=(*members, make_member("1006", status="Resigned")),
        contacts=(
            make_contact("c2", changed, name="Old"),
            make_contact("c3", lead, role="lead", external_id=None),
            make_contact("c4", double),
            make_contact("c4b", double, external_id=UUID),
            make_contact("c5", right),
            make_contact("c6", make_member("1006")),
            make_contact("c7", external_id="wp_77", email="zoe@y.org"),
        ),
        positions=(make_position(new.number, "pres"),),
        rules=rules,
    )


def done(plan: Plan) -> list[tuple[str, str | None]]:
    """What is done to whom."""
    return [(action.do, action.member) for action in plan.actions]


ALL = [("create", "1001"), ("update", "1002"), ("promote", "1003"), ("archive", "1004")]


def test_counts_add_up() -> None:
    """Every member who should be a contact is in one count, and every action in another; a stranger is in none."""
    plan = planned(drifted())
    assert done(plan) == ALL
    summary = plan.summary
    assert (summary.create, summary.update, summary.promote, summary.archive) == (1, 1, 1, 1)
    assert (summary.merge, summary.held, summary.unchanged) == (0, 0, 1)
    assert summary.report == sum(1 for finding in plan.findings if finding.severity != "fixable") == 1
    assert {finding.contact for finding in plan.findings if finding.severity == "review"} == {"c6"}


def test_header() -> None:
    """The plan says what it was made from, when, and how long it may be applied."""
    plan = planned(drifted(), previous="sha256:00")
    assert plan.id.startswith("20261123T023000Z-")
    assert (plan.created_at, plan.expires_at) == ("2026-11-23T02:30:00Z", "2026-11-24T02:30:00Z")
    assert (plan.inputs.members.count, plan.inputs.positions.count, plan.inputs.actual.count) == (6, 1, 7)
    assert plan.inputs.members.source == "sqlite"
    assert plan.previous == "sha256:00"
    assert plan.applyable
    assert plan.refused_because == ()


def test_times_are_utc() -> None:
    """Whatever zone the clock has, files and ids speak UTC."""
    local = NOW.astimezone(datetime.now(UTC).astimezone().tzinfo)
    assert encode(planned(drifted(), now=local, read_at=local)) == encode(planned(drifted()))


@pytest.mark.parametrize(
    ("scope", "members", "reason"),
    [
        (Scope(), ["1001", "1002", "1003", "1004"], "everybody"),
        (Scope(only=frozenset({"1002"})), ["1002"], "one member"),
        (Scope(only=frozenset({"1002", "1004"})), ["1002", "1004"], "two"),
        (Scope(only=frozenset({"9999"})), [], "somebody we do not know"),
        (Scope(exclude=frozenset({"1002", "1004"})), ["1001", "1003"], "everybody but two"),
        (Scope(only=frozenset({"1002"}), exclude=frozenset({"1002"})), [], "to be left out beats to be named"),
        (Scope(limit=2), ["1001", "1002"], "the first two actions"),
        (Scope(limit=0), [], "none at all"),
        (Scope(limit=99), ["1001", "1002", "1003", "1004"], "more than there are"),
    ],
)
def test_scope(scope: Scope, members: list[str], reason: str) -> None:
    """--only, --exclude and --limit cut the plan, never an action of it."""
    full = {action.member: action for action in planned(drifted()).actions}
    plan = planned(drifted(), scope)
    assert [action.member for action in plan.actions] == members, reason
    assert all(action == full[action.member] for action in plan.actions), reason
    assert plan.inputs == planned(drifted()).inputs, reason


def test_scope_of_findings() -> None:
    """A plan about one member says nothing about others; one about everybody but him nothing about him."""
    only = planned(drifted(), Scope(only=frozenset({"1002"})))
    assert {finding.member for finding in only.findings} == {"1002"}
    without = planned(drifted(), Scope(exclude=frozenset({"1006"})))
    assert "1006" not in {finding.member for finding in without.findings}


def test_limit_keeps_a_member_whole() -> None:
    """A duplicate is not archived without the update that it made way for; a smaller case behind it still fits."""
    one, two = make_member("1001"), make_member("1002")
    world = make_world(
        members=(one, two),
        contacts=(
            make_contact("c1", one, email="old@x.org"),
            make_contact("c1b", one, external_id=UUID),
            make_contact("c2", two, name="Old"),
        ),
    )
    assert done(planned(world)) == [("archive", "1001"), ("update", "1001"), ("update", "1002")]
    assert done(planned(world, Scope(limit=1))) == [("update", "1002")]
    assert done(planned(world, Scope(limit=2))) == [("archive", "1001"), ("update", "1001")]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("create-missing", [("create", "1001")]),
        ("update-attributes", [("update", "1002")]),
        ("promote-lead", [("promote", "1003")]),
        ("archive-duplicates", [("archive", "1004")]),
        ("orphan-contact", []),
        ("shared-email", []),
    ],
)
def test_only_one_rule(rule: str, expected: list[tuple[str, str]]) -> None:
    """--rule plans what that rule asks for, and says nothing of the others."""
    plan = planned(drifted(rules=with_rules_only(default_rules(), [rule])))
    assert done(plan) == expected
    assert {finding.rule for finding in plan.findings} <= {rule}


def test_every_rule_is_every_rule() -> None:
    """Naming all rules changes nothing."""
    assert with_rules_only(default_rules(), RULE_IDS) == default_rules()


def test_open_conversation_keeps_a_duplicate() -> None:
    """Only those contacts are asked about that a rule may want to archive, and one in a conversation stays."""
    world = drifted()
    assert archive_candidates(world) == ("c4b",)
    busy = msgspec.structs.replace(world, open_conversations={"c4b": 1})
    plan = planned(busy)
    assert ("archive", "1004") not in done(plan)
    assert plan.summary.report == 2


# Limits


def tight(**limits: ClassLimit) -> Rules:
    """The shipped rules under tighter limits."""
    rules = default_rules()
    return msgspec.structs.replace(rules, limits=msgspec.structs.replace(rules.limits, **limits))


NONE = ClassLimit(percent=0, floor=0, hard=10)


def test_class_over_its_limit_is_held_and_the_rest_goes_on() -> None:
    """The held actions stay in the plan and in its counts, and are told apart by `held`."""
    plan = planned(drifted(rules=tight(create=NONE)))
    assert done(plan) == ALL
    assert [plan.actions[0].id] == list(plan.held())
    assert (plan.summary.create, plan.summary.held) == (1, 1)
    assert plan.applyable
    assert next(one for one in plan.limits if one.limit == "create").ok is False


def test_who_waits_for_a_held_action_is_held() -> None:
    """An update must not run into a 409 because the archive before it was held; nor what waits for the update."""
    one = make_member("1001")
    world = make_world(
        members=(one,),
        contacts=(make_contact("c1", one, email="old@x.org"), make_contact("c1b", one, external_id=UUID)),
        rules=tight(archive=NONE),
    )
    plan = planned(world)
    archive, update = plan.actions
    assert plan.held() == {archive.id: plan.limits[-1].says, update.id: f"waits for {archive.id}, which is held"}
    assert plan.summary.held == 2


def test_a_users_archive_waits_with_the_promotion_of_the_lead_that_is_kept() -> None:
    """Over the limit of promotions, the member keeps its user: the lead that should take its number may not have it.

    The archive of somebody else's user, which the promotion waits for too, goes on.
    """
    one, two = make_member("1001"), make_member("1002")
    lead = {"role": "lead", "external_id": None, "last_seen_at": 1_720_000_000}
    world = make_world(
        members=(one, two),
        contacts=(
            make_contact("c1", one, **lead),
            make_contact("c1b", one),
            make_contact("c2", two),
            make_contact("c2b", two, email=one.email, external_id=None, last_seen_at=None),
        ),
        rules=msgspec.structs.replace(
            tight(promote=NONE),
            mappings={"c2b": "1002"},
            findings=msgspec.structs.replace(
                default_rules().findings,
                archive_duplicates=ArchiveDuplicates(keep=("last_seen", "smallest_id")),
            ),
        ),
    )
    plan = planned(world)
    promotion = next(action for action in plan.actions if action.do == "promote")
    users = {action.contact: action for action in plan.actions if action.do == "archive"}
    assert set(users) == {"c1b", "c2b"}
    assert set(promotion.after) == {action.id for action in users.values()}
    assert plan.held() == {
        promotion.id: next(limit.says for limit in plan.limits if limit.limit == "promote"),
        users["c1b"].id: f"would leave its member without a user, as {promotion.id} is held",
    }


def chain(plan: Plan, links: Iterable[tuple[str, tuple[str, ...]]]) -> Plan:
    """A plan of updates that wait for each other as given, an archive `x` before them."""
    updates = (Action(id=key, do="update", contact=key, set={"name": "x"}, after=after) for key, after in links)
    return msgspec.structs.replace(plan, actions=(*updates, Action(id="x", do="archive", contact="x")))


@pytest.mark.parametrize(
    ("links", "held"),
    [
        ([("a", ("x",)), ("b", ("a",)), ("c", ("b",))], ["a", "b", "c", "x"]),
        ([("c", ("b",)), ("b", ("a",)), ("a", ("x",))], ["a", "b", "c", "x"]),
        ([("a", ()), ("b", ("a",)), ("c", ("b", "x"))], ["c", "x"]),
    ],
)
def test_held_follows_chains(links: list[tuple[str, tuple[str, ...]]], held: list[str]) -> None:
    """Whatever the order of the list, everything behind a held action is held."""
    plan = planned(make_world(members=(make_member("1001"),), rules=tight(archive=NONE)))
    over = tuple(msgspec.structs.replace(one, ok=one.limit != "archive", says="too many") for one in plan.limits)
    assert sorted(chain(msgspec.structs.replace(plan, limits=over), links).held()) == held


@pytest.mark.parametrize(("then", "applyable"), [("clear", False), ("report", True)])
def test_a_first_night_without_positions_clears_nobodys(then: str, *, applyable: bool) -> None:
    """21 contacts show positions and the source has none: refused, unless nothing would be cleared anyway."""
    members = tuple(make_member(f"{number}") for number in range(1000, 1021))
    contacts = tuple(
        make_contact(f"c{one.number}", one, custom_attributes={"positions": "NATCA President"}) for one in members
    )
    findings = msgspec.structs.replace(default_rules().findings, missing_positions=MissingPositions(then=then))  # type: ignore[arg-type]
    rules = msgspec.structs.replace(default_rules(), findings=findings)
    plan = planned(make_world(members=members, contacts=contacts, rules=rules))
    assert plan.applyable is applyable
    assert bool(plan.actions) is applyable
    joined = planned(
        make_world(members=members, contacts=contacts, rules=rules, positions=(make_position("1000", "evp"),))
    )
    assert joined.applyable


def test_accepted_limit_lets_the_class_through() -> None:
    """--accept names class and number, and both stand in the plan with the reason."""
    world = drifted(rules=tight(create=NONE))
    plan = planned(world, accepted=Accepted({"create": 1}, "new local"))
    assert plan.held() == {}
    check = next(one for one in plan.limits if one.limit == "create")
    assert (check.ok, check.accepted, check.reason) == (True, 1, "new local")


def test_refused_plan_decides_nothing() -> None:
    """From a source that is not believed nothing is concluded, not even findings."""
    plan = planned(drifted(), last_good=LastGood("20261122T023000Z-00000000", 1000, 10))
    assert not plan.applyable
    assert plan.actions == ()
    assert plan.findings == ()
    assert "of the 1000 of plan 20261122T023000Z-00000000" in plan.refused_because[0]


# The same world, the same plan


@given(st.randoms(use_true_random=False))
def test_order_of_rows_and_contacts_does_not_matter(random: Any) -> None:
    """Whatever order Intercom's pages come in, the plan is the same to the byte."""
    world = drifted()
    contacts = list(world.snapshot.contacts)
    random.shuffle(contacts)
    again = make_world(members=world.source.members, contacts=tuple(contacts), positions=world.source.positions)
    assert encode(planned(again)) == encode(planned(world))


def test_another_time_changes_only_times() -> None:
    """Two nights over the same world have the same actions and findings, ids included (for `diff` and `history`)."""
    tonight, tomorrow = planned(drifted()), planned(drifted(), now=NOW + timedelta(days=1))
    assert tonight.actions == tomorrow.actions
    assert tonight.findings == tomorrow.findings
    assert tonight.id != tomorrow.id


@pytest.mark.parametrize(
    ("scope", "context", "reason"),
    [
        (Scope(only=frozenset({"1002"})), {}, "other actions"),
        (Scope(exclude=frozenset({"1006"})), {}, "the same actions and other findings"),
        (Scope(), {"previous": "sha256:00"}, "the same content behind another record"),
        (Scope(), {"accepted": Accepted({"create": 1}, "x")}, "the same content, although it is accepted needlessly"),
    ],
)
def test_two_plans_of_one_second_have_two_ids(scope: Scope, context: dict[str, Any], reason: str) -> None:
    """A store keeps each plan under its own id for good, so other bytes need another id, and the same bytes none."""
    one, other = planned(drifted()), planned(drifted(), scope, **context)
    assert (one.id == other.id) == (encode(one) == encode(other)), reason


# Looking ahead


def contacts_of(*contacts: Contact) -> tuple[Contact, ...]:
    """Contacts, for a table."""
    return contacts


FATHER = make_member("1001", first_name="Ann", last_name="Lee", phone=None)
SON = make_member("1002", first_name="Ann", last_name="Lee", phone="+16175550123")


@pytest.mark.parametrize(
    ("members", "contacts", "reason"),
    [
        (
            (FATHER, SON),
            contacts_of(make_contact("c1", FATHER, name="Old", phone="+16175550123"), make_contact("c2", SON)),
            "with the name of two, the phone of one would contradict the number of the other",
        ),
        (
            (make_member("1001"),),
            contacts_of(make_contact("c1", make_member("1001"), external_id=UUID, name="Old", email="old@x.org")),
            "nothing but a typed number says who it is, and its UUID should go",
        ),
    ],
)
def test_nothing_is_written_that_would_make_a_contradiction(
    members: tuple[Member, ...], contacts: tuple[Contact, ...], reason: str
) -> None:
    """A write must not make the evidence, nor the contradiction, that the next plan is decided on."""
    decision = decide(make_world(members=members, contacts=contacts), Scope())
    assert decision.actions == (), reason
    assert any(one.contact == "c1" and one.severity == "review" for one in decision.findings), reason


def test_uuid_that_nothing_confirms_stays_with_everything_else() -> None:
    """To write name and e-mail first would be to write the confirmation, and the UUID would go the night after."""
    member = make_member("1001", phone="+16175550123")
    rules = default_rules()
    entry = rules.findings.replace_uuid_external_id
    entry = msgspec.structs.replace(
        entry, confirm=msgspec.structs.replace(entry.confirm, any_of=("phone",), or_when_blank=())
    )
    strict = msgspec.structs.replace(
        rules, findings=msgspec.structs.replace(rules.findings, replace_uuid_external_id=entry)
    )
    world = make_world(
        members=(member,), contacts=(make_contact("c1", member, external_id=UUID, phone=None),), rules=strict
    )
    decision = decide(world, Scope())
    assert decision.actions == ()
    assert {(one.rule, one.severity) for one in decision.findings} == {
        ("replace-uuid-external-id", "review"),
        ("update-attributes", "review"),
    }


def test_member_that_the_rules_could_not_recognise_is_not_created() -> None:
    """Without number, attribute and e-mail among the identifiers, each night would create the same contact again."""
    rules = default_rules()
    phone_alone = msgspec.structs.replace(rules.matching, identifiers=rules.matching.identifiers[-1:])
    world = make_world(members=(FATHER,), rules=msgspec.structs.replace(rules, matching=phone_alone))
    decision = decide(world, Scope())
    assert decision.actions == ()
    assert any("would tie it to nobody" in finding.says for finding in decision.findings)


def test_merge_says_whose_user_the_lead_goes_into() -> None:
    """The number that the user has by then is compared with the one it had: a merge is for ever."""
    member = make_member("1001")
    lead = make_contact("c2", member, role="lead", external_id=None)
    world = make_world(
        members=(member,), contacts=(make_contact("c1", member, external_id=UUID), lead), rules=merging_leads()
    )
    (merge,) = [action for action in planned(world).actions if action.do == "merge"]
    assert (merge.contact, merge.into, merge.expect_into) == ("c2", "c1", {"external_id": UUID})


def merging_leads() -> Rules:
    """The shipped rules, with leads merged rather than archived."""
    rules = default_rules()
    findings = msgspec.structs.replace(rules.findings, archive_duplicates=ArchiveDuplicates(then="merge-leads"))
    return msgspec.structs.replace(rules, findings=findings)
