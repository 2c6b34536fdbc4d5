"""What a plan for the positions table does: a table that is right, and one thing changed."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.actions import Action, Outcome, with_id
from reconciler.core.assembly import Scope
from reconciler.core.guards import Accepted, LastGood
from reconciler.core.model import Position, PositionRow, Quarantined
from reconciler.core.plan import Plan, decode, encode
from reconciler.core.positions import RULES
from reconciler.core.row_actions import Change, change_of, inverse
from tests.support.builders import make_member
from tests.support.positions import Pair, applied, plan_of, rows_of, source_of

HELD = [("100", "pres"), ("101", "evp"), ("101", "facrep"), ("0102", "pres")]
"""The positions of the union in every test here, but for what a test changes."""


@dataclass(frozen=True)
class Case:
    """The rows of the table in place of those that are right, and what the plan does: kind, row, expect, set."""

    reason: str
    rows: list[Pair]
    does: list[tuple[str, str, dict[str, object], dict[str, object]]]
    with_ids: bool = False
    rules: list[str] = field(default_factory=list)


OTHERS: list[Pair] = [("0102", "pres"), ("101", "evp"), ("101", "facrep")]
"""All rows but that of 100/pres, as they should be."""

CASES = [
    Case("a table that is right needs nothing", [*OTHERS, ("100", "pres")], []),
    Case(
        "a position without a row is created",
        [*OTHERS],
        [("create", "100/pres", {}, {"member_number": "100", "code": "pres"})],
        rules=["position-missing"],
    ),
    Case(
        "a row that is no position is deleted, whoever the member is",
        [*OTHERS, ("100", "pres"), ("999", "pres")],
        [("delete", "999/pres", {"member_number": "999", "code": "pres"}, {})],
        rules=["position-surplus"],
    ),
    Case(
        "a member whose position changed gets the new row before the old one goes",
        [*OTHERS, ("100", "facrep")],
        [
            ("create", "100/pres", {}, {"member_number": "100", "code": "pres"}),
            ("delete", "100/facrep", {"member_number": "100", "code": "facrep"}, {}),
        ],
        rules=["position-missing", "position-surplus"],
    ),
    Case(
        "zeros in front make another member",
        [*OTHERS, ("0100", "pres")],
        [
            ("create", "100/pres", {}, {"member_number": "100", "code": "pres"}),
            ("delete", "0100/pres", {"member_number": "0100", "code": "pres"}, {}),
        ],
    ),
    Case(
        "a code in other letters is another code",
        [*OTHERS, ("100", "PRES")],
        [
            ("create", "100/pres", {}, {"member_number": "100", "code": "pres"}),
            ("delete", "100/PRES", {"member_number": "100", "code": "PRES"}, {}),
        ],
    ),
    Case(
        "white space is put right in the row",
        [*OTHERS, (" 100", "pres ")],
        [
            (
                "update",
                "100/pres",
                {"member_number": " 100", "code": "pres "},
                {"member_number": "100", "code": "pres"},
            )
        ],
        rules=["position-spelling"],
    ),
    Case(
        "and only where it is",
        [*OTHERS, ("100", "pres ")],
        [("update", "100/pres", {"member_number": "100", "code": "pres "}, {"code": "pres"})],
    ),
    Case(
        "of several rows that look alike one stays: how many there are is expected and set",
        [*OTHERS, ("100", "pres"), ("100", "pres"), ("100", "pres")],
        [("delete", "100/pres", {"member_number": "100", "code": "pres", "rows": 3}, {"rows": 1})],
        rules=["position-twice"],
    ),
    Case(
        "of rows with ids the smallest stays, and each of the others is an action of its own",
        [*OTHERS, ("100", "pres"), ("100", "pres"), ("100", "pres")],
        [
            ("delete", "100/pres", {"member_number": "100", "code": "pres", "id": "5"}, {}),
            ("delete", "100/pres", {"member_number": "100", "code": "pres", "id": "6"}, {}),
        ],
        with_ids=True,
    ),
    Case(
        "the row that is spelt right stays, the other goes",
        [*OTHERS, (" 100", "pres"), ("100", "pres")],
        [("delete", "100/pres", {"member_number": " 100", "code": "pres"}, {})],
    ),
    Case(
        "of two that are spelt wrong one is put right and one goes",
        [*OTHERS, (" 100", "pres"), ("100 ", "pres")],
        [
            ("update", "100/pres", {"member_number": " 100", "code": "pres"}, {"member_number": "100"}),
            ("delete", "100/pres", {"member_number": "100 ", "code": "pres"}, {}),
        ],
    ),
    Case(
        "several that are spelt wrong and look alike cannot be told apart: all go, one comes",
        [*OTHERS, (" 100", "pres"), (" 100", "pres")],
        [
            ("create", "100/pres", {}, {"member_number": "100", "code": "pres"}),
            ("delete", "100/pres", {"member_number": " 100", "code": "pres", "rows": 2}, {}),
        ],
    ),
    Case(
        "rows without a member or a code are no positions",
        [*OTHERS, ("100", "pres"), (None, "pres"), ("100", None), ("", " ")],
        [
            ("delete", "/", {"member_number": "", "code": " "}, {}),
            ("delete", "/pres", {"member_number": None, "code": "pres"}, {}),
            ("delete", "100/", {"member_number": "100", "code": None}, {}),
        ],
    ),
]


def does(plan: Plan) -> list[tuple[str, str | None, dict[str, object], dict[str, object]]]:
    """What a plan does, as the cases say it; actions of one row in the order of what they expect."""
    said: list[tuple[str, str | None, dict[str, object], dict[str, object]]] = [
        (one.do, one.row, {**one.expect}, {**one.set}) for one in plan.actions
    ]
    return sorted(said, key=lambda one: (["create", "update", "delete"].index(one[0]), str(one[1]), str(one[2])))


@pytest.mark.parametrize("case", CASES, ids=[case.reason for case in CASES])
def test_what_is_done(case: Case) -> None:
    """A table that is right, with one thing changed: the plan mends that and nothing else, and then all is right."""
    rows = rows_of(case.rows, with_ids=case.with_ids)
    plan = plan_of(source_of(HELD), rows)
    assert does(plan) == case.does, case.reason
    assert {action.undo for action in plan.actions} <= {"exact"}
    assert not case.rules or [one.rule for one in plan.findings] == case.rules
    assert plan_of(source_of(HELD), applied(plan, rows)).actions == ()


def test_everything_is_counted() -> None:
    """Counts of actions by kind, rows that are right, and the digests of both sides."""
    plan = plan_of(
        source_of(HELD), rows_of([("101", "evp"), ("101", "facrep"), (" 0102", "pres"), ("9", "x"), ("9", "y")])
    )
    summary = plan.summary
    assert (summary.create, summary.update, summary.delete, summary.unchanged) == (1, 1, 2, 2)
    assert (plan.inputs.positions.count, plan.inputs.actual.count, plan.inputs.actual.source) == (4, 5, "supabase")
    assert plan.inputs.contacts is None


def test_the_file_is_the_same_for_every_order_of_rows() -> None:
    """Same inputs, same bytes, and they are read back as they were written."""
    rows = rows_of([("9", "x"), ("100", "pres"), (" 101", "evp"), ("9", "y")])
    one, other = (encode(plan_of(source_of(HELD), some)) for some in (rows, rows[::-1]))
    assert one == other
    assert encode(decode(one, where="here")) == one


def test_every_action_has_a_finding_that_names_its_rule() -> None:
    """Nothing is done without a reason, with evidence; every rule is one of those that are documented."""
    plan = plan_of(source_of(HELD), rows_of([(" 100", "pres"), ("9", "x"), ("101", "evp"), ("101", "evp")]))
    known = {finding.id: finding for finding in plan.findings}
    for action in plan.actions:
        (because,) = action.because
        assert known[because.finding].rule == because.rule
        assert known[because.finding].evidence
    assert {finding.rule for finding in plan.findings} <= set(RULES)


# members that nobody can be sure of


def test_a_member_that_is_there_twice_is_left_alone() -> None:
    """Neither gets a row nor loses one: never guess between two (design §4.3)."""
    source = source_of(HELD)
    twice = msgspec.structs.replace(source, members=(*source.members, make_member("100", last_name="Other")))
    plan = plan_of(twice, rows_of([*OTHERS, ("100", "evp")]))
    assert plan.actions == ()
    (finding,) = plan.findings
    assert (finding.rule, finding.severity, finding.member) == ("position-holder", "review", "100")


def test_a_member_that_is_there_twice_without_a_position_keeps_its_rows() -> None:
    """Which of the two the row belongs to nobody knows; where there is neither position nor row nothing is said."""
    source = source_of(HELD, members=["100", "101", "0102", "200", "300"])
    twice = msgspec.structs.replace(source, members=(*source.members, make_member("200"), make_member("300")))
    plan = plan_of(twice, rows_of([*OTHERS, ("100", "pres"), ("200", "evp")]))
    assert plan.actions == ()
    assert [(one.rule, one.member) for one in plan.findings] == [("position-holder", "200")]


def test_positions_of_nobody_are_left_alone() -> None:
    """A position whose member is not among the members may be one that could not be read: its rows stay as they are."""
    source = source_of(HELD, members=["101", "0102"])
    blank = msgspec.structs.replace(source, positions=(Position("", "pres", "positions/#1"), *source.positions))
    plan = plan_of(blank, rows_of([*OTHERS, ("100", "evp"), (None, "pres")]))
    assert plan.actions == ()
    assert [one.member for one in plan.findings] == [None, "100"]
    assert {one.severity for one in plan.findings} == {"review"}


def test_a_position_without_a_code_is_said_and_not_written() -> None:
    """A row without a code would mean nothing to anybody."""
    plan = plan_of(source_of([*HELD, ("100", "")]), rows_of([*OTHERS, ("100", "pres")]))
    assert plan.actions == ()
    assert [(one.rule, one.severity, one.member) for one in plan.findings] == [("position-code", "review", "100")]


def test_a_position_that_the_source_has_twice_is_one_row() -> None:
    """The key is what counts."""
    source = source_of([*HELD, ("100", "pres")])
    assert plan_of(source, rows_of([*OTHERS, ("100", "pres")])).actions == ()


# scope


@pytest.mark.parametrize(
    ("scope", "rows", "reason"),
    [
        (Scope(), ["100/pres", "101/evp", "/x", "9/x"], "all of it"),
        (Scope(only=frozenset({"101"})), ["101/evp"], "one member, and nothing that is nobody's"),
        (Scope(exclude=frozenset({"101", "9"})), ["100/pres", "/x"], "all but these"),
        (Scope(limit=2), ["/x", "100/pres"], "so many, the smallest keys first"),
    ],
)
def test_scope(scope: Scope, rows: list[str], reason: str) -> None:
    """--only, --exclude and --limit mean what they mean for contacts."""
    plan = plan_of(
        source_of(HELD), rows_of([("0102", "pres"), ("101", "facrep"), (None, "x"), ("9", "x")]), scope=scope
    )
    assert sorted(str(action.row) for action in plan.actions) == sorted(rows), reason


def test_a_limit_does_not_tear_a_member_apart() -> None:
    """Of a member whose position changed, both rows or none."""
    plan = plan_of(source_of(HELD), rows_of([*OTHERS, ("100", "evp"), ("9", "x")]), scope=Scope(limit=1))
    assert [action.row for action in plan.actions] == ["9/x"]
    assert [one.severity for one in plan.findings if one.member == "100"] == ["review", "review"]


# brakes

MANY = [(str(number), "pres") for number in range(1000, 1400)]


@dataclass(frozen=True)
class Guard:
    """How many of 400 positions the source still has, and why nothing is planned then; None where all is well."""

    left: int
    before: int | None
    refused: str | None
    reason: str


GUARDS = [
    Guard(400, 400, None, "as many as the last time"),
    Guard(380, 400, None, "5% fewer is what is believed"),
    Guard(379, 400, "94.8% of the 400 of plan p1", "and one less is not"),
    Guard(379, None, "94.8% of the 400 rows of the table", "without a run before, the table says how many there were"),
    Guard(0, 400, "no positions at all", "an empty source deletes nothing"),
    Guard(0, None, "no positions at all", "nor where nobody knows how many there were"),
    Guard(30, 40, None, "a few fewer are believed, whatever they are in percent"),
    Guard(19, 40, "47.5% of the 40 of plan p1", "but not half of a small union"),
]


@pytest.mark.parametrize("guard", GUARDS, ids=[guard.reason for guard in GUARDS])
def test_an_empty_or_shrunk_source_deletes_nothing(guard: Guard) -> None:
    """Held against the last good run for this target, else against the table; what is refused is the whole plan."""
    members = [number for number, _ in MANY]
    last_good = None if guard.before is None else LastGood("p1", members=400, positions=guard.before)
    plan = plan_of(source_of(MANY[: guard.left], members), rows_of(MANY), last_good=last_good)
    assert plan.applyable is (guard.refused is None), guard.reason
    if guard.refused is not None:
        assert guard.refused in plan.refused_because[0]
        assert plan.actions == ()
        assert f"--accept positions={guard.left} --reason TEXT" in plan.refused_because[0]


def test_a_person_may_say_that_it_is_true() -> None:
    """--accept positions=N lifts the guard, for this number and no other; the limit of deletions still stands."""
    members = [number for number, _ in MANY]
    last_good = LastGood("p1", members=400, positions=400)
    for number, applyable in ((300, True), (301, False)):
        accepted = Accepted({"positions": number}, "an election")
        plan = plan_of(source_of(MANY[:300], members), rows_of(MANY), last_good=last_good, accepted=accepted)
        assert plan.applyable is applyable
    plan = plan_of(source_of(MANY[:300], members), rows_of(MANY), accepted=Accepted({"positions": 300}, "an election"))
    assert len(plan.held()) == 100
    (lifted,) = [check for check in plan.limits if check.limit == "positions"]
    assert (lifted.allowed, lifted.planned, lifted.accepted, lifted.reason) == (380, 300, 300, "an election")
    assert "75.0% of the 400 rows of the table" in lifted.says


def test_members_that_cannot_be_believed_refuse_positions_too() -> None:
    """A source that lost its members is not believed when it speaks of positions."""
    source = msgspec.structs.replace(source_of(HELD), members=())
    plan = plan_of(source, rows_of([*OTHERS, ("100", "pres")]), last_good=LastGood("p1", members=4, positions=4))
    assert not plan.applyable
    assert any("no members at all" in reason for reason in plan.refused_because)


UNFIT = [
    ("a code that cannot be used keeps all rows of its member", "100", [("100", "pres"), ("100", "facrep")]),
    ("so does a member number with a character too many", "100", [("100\x07", "pres"), ("100", "pres")]),
    ("and one that is too long for any", "", [("9" * 65, "pres"), (None, "pres")]),
]


@pytest.mark.parametrize(("number", "rows"), [case[1:] for case in UNFIT], ids=[case[0] for case in UNFIT])
def test_rows_of_a_quarantined_position_are_left_alone(number: str, rows: list[Pair]) -> None:
    """A position that cannot be read is not one that is gone: nothing of its member is deleted, and that is said."""
    unfit = Quarantined("positions", number, f"positions/{number}/x", (("code", "holds control characters"),))
    source = msgspec.structs.replace(source_of([("101", "evp")], ["100", "101"]), quarantined=(unfit,))
    plan = plan_of(source, rows_of([("101", "evp"), *rows]))
    assert (plan.applyable, plan.actions) == (True, ())
    (finding,) = [one for one in plan.findings if one.rule == "position-quarantined"]
    assert (finding.member, finding.severity) == (number or None, "review")
    assert plan_of(msgspec.structs.replace(source, quarantined=()), rows_of([("101", "evp"), *rows])).actions != ()


def test_many_quarantined_rows_refuse_the_plan_and_are_named() -> None:
    """No number lifts it, and whoever has to correct the rows is told which."""
    why = (("code", "is longer than 64 characters"),)
    unfit = tuple(Quarantined("positions", number, f"positions/{number}/x", why) for number in ("100", "101"))
    source = msgspec.structs.replace(source_of([("0102", "pres")], ["100", "101", "0102"]), quarantined=unfit)
    plan = plan_of(source, rows_of([("0102", "pres"), ("100", "pres")]), accepted=Accepted({"positions": 1}, "so"))
    assert "2 of 3 rows of positions cannot be used" in plan.refused_because[0]
    assert plan.actions == ()
    assert [one.member for one in plan.findings] == ["100", "101"]


def test_what_the_plan_was_decided_under() -> None:
    """The rule files that are about rows, and the scope; no member, contact or row is kept besides."""
    plan = plan_of(source_of(HELD), rows_of(OTHERS), scope=Scope(only=frozenset(["100"])))
    assert plan.basis is not None
    assert (sorted(plan.basis.files), plan.basis.only) == (["limits.yaml", "sources.yaml"], ("100",))
    assert (plan.census, plan.seen) == (None, ())


@pytest.mark.parametrize(
    ("kind", "allowed", "entry"),
    [("create", 100, "create_position"), ("update", 100, "update_position"), ("delete", 50, "delete")],
)
def test_limits_of_rows(kind: str, allowed: int, entry: str) -> None:
    """More of one kind than its entry of limits.yaml allows is held, and the sentence names rows, entry and way out."""
    pairs: list[Pair] = [(str(number), "pres") for number in range(1000, 1000 + allowed + 1)]
    right: list[Pair] = [(str(number), "evp") for number in range(3000, 3500)]
    wanted = [(str(number), str(code)) for number, code in right]
    mended = [(str(number), str(code)) for number, code in pairs]
    spoilt: list[Pair] = [(f" {number}", code) for number, code in pairs]
    source, rows = {
        "create": (source_of([*wanted, *mended]), rows_of(right)),
        "update": (source_of([*wanted, *mended]), rows_of([*right, *spoilt])),
        "delete": (source_of(wanted), rows_of([*right, *pairs])),
    }[kind]
    plan = plan_of(source, rows, accepted=Accepted({"positions": len(source.positions)}, "of no matter here"))
    (over,) = [check for check in plan.limits if not check.ok]
    assert (over.limit, over.planned, over.allowed) == (kind, allowed + 1, allowed)
    assert f"of {len(rows)} rows" in over.says
    assert f"limits.yaml, {entry}." in over.says
    assert f"--accept {kind}={allowed + 1} --reason TEXT" in over.says
    assert len(plan.held()) == allowed + 1


# taking back

CHANGES = st.sampled_from(["100", " 100", "100 ", "101"])
WORLD_ROWS = st.lists(st.tuples(CHANGES | st.none(), st.sampled_from(["pres", "evp", "pres "]) | st.none()), max_size=8)


@given(pairs=WORLD_ROWS, with_ids=st.booleans())
def test_the_way_back_leads_to_the_very_rows(pairs: list[Pair], *, with_ids: bool) -> None:
    """Every action taken back in reverse order: the table is what it was, to the spelling and the number of rows."""
    rows = rows_of(pairs, with_ids=with_ids)
    plan = plan_of(source_of(HELD), rows)
    backwards = [back for action in reversed(plan.actions) if (back := inverse(action, done(action))) is not None]
    assert len(backwards) == len(plan.actions)
    undone = msgspec.structs.replace(plan, actions=tuple(backwards))
    assert applied(undone, applied(plan, rows)) == tuple(sorted(rows, key=str))


@given(pairs=WORLD_ROWS, with_ids=st.booleans())
def test_one_plan_is_enough(pairs: list[Pair], *, with_ids: bool) -> None:
    """Whatever the table holds: once the plan is applied, no action is left."""
    rows = rows_of(pairs, with_ids=with_ids)
    after = applied(plan_of(source_of(HELD), rows), rows)
    assert plan_of(source_of(HELD), after).actions == ()


def done(action: Action) -> Outcome:
    """The outcome of an action that was carried out."""
    return Outcome(action.id, action.do, "done", row=action.row, sent=dict(action.set or action.expect))


def test_a_row_that_the_database_gave_an_id_is_taken_back_by_it() -> None:
    """Of two rows of one key the undo deletes the one that the run made."""
    action = with_id(Action(id="", do="create", member="1", row="1/p", set={"member_number": "1", "code": "p"}))
    outcome = msgspec.structs.replace(done(action), read_back={"member_number": "1", "code": "p", "id": "77"})
    back = inverse(action, outcome)
    assert back is not None
    assert change_of(back) == Change(PositionRow("1", "p", "77"), 1, 0)


def test_what_was_found_done_is_not_ours_to_take_back() -> None:
    """A row that was there, or gone, before anything was sent is somebody else's doing."""
    action = with_id(Action(id="", do="create", member="1", row="1/p", set={"member_number": "1", "code": "p"}))
    assert inverse(action, msgspec.structs.replace(done(action), sent={})) is None


def test_nothing_else_is_done_to_a_row() -> None:
    """An action of another kind, or on a contact, is no action of this target."""
    with pytest.raises(ValueError, match="created, updated or deleted"):
        Action(id="a", do="archive", row="1/p")
    with pytest.raises(ValueError, match="created, updated or deleted"):
        Action(id="d", do="delete", contact="c1", row="1/p")
    with pytest.raises(ValueError, match="archive is nothing"):
        change_of(Action(id="a", do="archive", contact="c1"))
