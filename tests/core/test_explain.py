"""An explanation says what the plan says, decides the same again, and what it says would flip a decision does so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeAlias

import msgspec
import pytest

from reconciler.core.cases import Case, parse_cases, world_of
from reconciler.core.explain import explain
from reconciler.core.explain.again import Setting, rules_of, setting_of
from reconciler.core.explain.explanation import Explanation, Flip
from reconciler.core.explain.flips import FEWEST_TRIED, SIDES, shown, signature
from reconciler.core.explain.from_plan import Subject, subject_of
from reconciler.core.model import Quarantined, SourceData
from reconciler.core.plan import Plan
from reconciler.core.planner import Scope
from reconciler.core.rules.lines import RuleBook, RuleLine
from reconciler.core.rules.loader import parse_rules
from reconciler.core.snapshot import index
from reconciler.core.world import build_world
from tests.report.explained import ANN, BEN, KINDS, held, planned
from tests.support.builders import RULES_FOLDER, default_rules, make_contact, make_member, make_position, make_world

CASES = [
    case
    for path in sorted((RULES_FOLDER / "tests").glob("*.yaml"))
    for case in parse_cases(path.read_text(encoding="utf-8"), file=f"rules/tests/{path.name}")
]
AS_SHIPPED = [
    case
    for case in CASES
    if not case.rules
    and case.shape.who is None
    and case.shape.identifiers is None
    and not (case.shape.fields or case.shape.not_ours or case.shape.regions or case.shape.facilities)
]


def subjects(plan: Plan) -> Iterator[Subject]:
    """Every member and every contact that a plan knows of."""
    refs = {member.number for seen in plan.seen for member in seen.members}
    refs |= {contact.id for seen in plan.seen for contact in seen.contacts}
    for ref in sorted(refs):
        subject = subject_of(plan, ref)
        assert subject is not None
        yield subject


@pytest.mark.parametrize("case", [pytest.param(case, id=f"{case.file}: {case.name}") for case in AS_SHIPPED])
def test_every_case_is_explained_as_it_was_decided(case: Case) -> None:
    """Whatever the case: what is done stands in the explanation with all it sends, and deciding again agrees."""
    world = world_of(case, default_rules())
    if not world.source.members:
        return  # refused: nothing was decided
    plan = planned(world)
    told = [explain(plan, subject) for subject in subjects(plan)]
    assert [note for one in told for note in one.notes] == []
    deeds = {deed.action for one in told for deed in one.deeds}
    assert deeds == {action.id for action in plan.actions}
    for one in (one for one in told if one.contact is None):
        check_fields(plan, one)


def check_fields(plan: Plan, told: Explanation) -> None:
    """What the fields say is sent is, to the letter, what the action sends; and what they call equal is not sent."""
    written = [action for action in plan.actions if action.member == told.member and action.do not in GONE]
    sent = {story.field: story.wanted for story in told.fields if story.end == "sent"}
    if told.fields:
        assert sent == {field: value for action in written for field, value in action.set.items()}
    for story in told.fields:
        assert story.line.line > 0
        assert story.field in story.line.text


def test_why_nobody_makes_a_contact_from_a_row_that_cannot_be_used() -> None:
    """Ann is active and has an e-mail: what keeps her from being a contact is her row, and not who she is."""
    unfit = Quarantined("members", ANN.number, ANN.row, (("first_name", "holds control characters"),))
    source = SourceData("sqlite", (msgspec.structs.replace(ANN, first_name=None), BEN), (), quarantined=(unfit,))
    told = explain(planned(build_world(source, index(()), default_rules())), Subject(ANN.number))
    assert told.against == (
        "no new contact is made: a row of member 1001 is quarantined, and nobody can say what was meant",
    )


GONE = {"archive", "merge"}

ByHand: TypeAlias = Callable[[Flip, Setting, re.Match[str]], Setting]


# What would flip it


def settings() -> Iterator[tuple[str, Setting, Explanation]]:
    """Each kind of decision, with the setting that it is decided in."""
    for kind in KINDS:
        one = kind()
        subject = subject_of(one.plan, one.ref)
        assert subject is not None
        assert one.plan.basis is not None
        seen = next(seen for seen in one.plan.seen if seen.holds(one.ref))
        yield kind.__name__, setting_of(one.plan, seen, rules_of(one.plan.basis)), explain(one.plan, subject)


SETTINGS = {name: (setting, told) for name, setting, told in settings()}


def edited_rule(flip: Flip, setting: Setting, match: re.Match[str]) -> Setting:
    """findings.yaml edited at the very line that the flip names, and read anew."""
    assert flip.line is not None
    assert flip.line.file == "findings.yaml"
    lines = setting.rules.files["findings.yaml"].split("\n")
    assert f"{match[2]}: {match[4]}" in lines[flip.line.line - 1]
    lines[flip.line.line - 1] = f"  {match[2]}: {match[3]}"
    rules = parse_rules({**setting.rules.files, "findings.yaml": "\n".join(lines)})
    assert getattr(getattr(rules.findings, match[1].replace("-", "_")), match[2]) == match[3]
    return msgspec.structs.replace(setting, rules=msgspec.structs.replace(rules, mappings=setting.rules.mappings))


def edited_who(flip: Flip, setting: Setting, match: re.Match[str]) -> Setting:
    """The list of statuses in contacts.yaml edited at the line that the flip names, and read anew."""
    assert flip.line is not None
    assert flip.line.where == "contacts.yaml:7"
    statuses = setting.rules.contacts.who.status
    wanted = (*statuses, match[2]) if match[1] == "listed" else [one for one in statuses if one != match[2]]
    lines = setting.rules.files["contacts.yaml"].split("\n")
    lines[6] = f"  status: [{', '.join(wanted)}]"
    rules = parse_rules({**setting.rules.files, "contacts.yaml": "\n".join(lines)})
    return msgspec.structs.replace(setting, rules=msgspec.structs.replace(rules, mappings=setting.rules.mappings))


def mapped(_flip: Flip, setting: Setting, match: re.Match[str]) -> Setting:
    """A person's decision."""
    mappings = {**setting.rules.mappings, match[1]: match[2]}
    return msgspec.structs.replace(setting, rules=msgspec.structs.replace(setting.rules, mappings=mappings))


def other_row(_flip: Flip, setting: Setting, match: re.Match[str]) -> Setting:
    """One value of a member's rows replaced; `name` is both names."""
    said = {"blank": None, "none of": "Resigned", "one that": "other@x.example", "another ": "other (other)"}
    value = match[3] if match[4] is None else said[match[4]]
    changes = {"first_name": None, "last_name": value} if match[2] == "name" else {match[2]: value}
    rows = tuple(
        msgspec.structs.replace(row, **changes) if row.number == match[1] else row for row in setting.source.members
    )
    return msgspec.structs.replace(setting, source=msgspec.structs.replace(setting.source, members=rows))


def no_row(_flip: Flip, setting: Setting, match: re.Match[str]) -> Setting:
    """A member who is not in the source."""
    rows = tuple(row for row in setting.source.members if row.number != match[1])
    return msgspec.structs.replace(setting, source=msgspec.structs.replace(setting.source, members=rows))


def other_contact(_flip: Flip, setting: Setting, match: re.Match[str]) -> Setting:
    """One value of a contact replaced, its role, its open conversations; or no such contact."""
    if match[2] == " were not there":
        rest = tuple(one for one in setting.contacts if one.id != match[1])
        return msgspec.structs.replace(setting, contacts=rest)
    if conversation := re.search(r"had (an|no) open", match[2]):
        counts = {match[1]: 1 if conversation[1] == "an" else 0}
        return msgspec.structs.replace(setting, open_conversations=counts)
    found = re.match(r"(?:, (\w+) were (?:'(.*?)'|blank) |( were a )(\w+) )\(now", match[2])
    assert found is not None
    changes = {"role": found[4]} if found[3] else {found[1]: found[2]}
    contacts = tuple(msgspec.structs.replace(one, **changes) if one.id == match[1] else one for one in setting.contacts)
    return msgspec.structs.replace(setting, contacts=contacts)


BY_HAND = (
    (r"(\S+) said (then|unless): (\S+) \(now (\S+)\)", edited_rule),
    (r"who.status (did not list|listed) (\w+)", edited_who),
    (r"mappings.yaml said that contact (\S+) is member (\S+)", mapped),
    (r"sqlite members/(\S+), (\w+) were (?:'(.*?)'|(blank|none of|one that|another ))", other_row),
    (r"sqlite members/(\S+) were not there", no_row),
    (r"contact ([^\s,]+)( were not there|.* open conversation|, \w+ were .*| were a .*)", other_contact),
)
"""The words of a flip → what a person would do."""

FLIPS = [
    pytest.param(name, flip, change, match, id=f"{name}: {flip.change}")
    for name, (_, told) in SETTINGS.items()
    for flip in told.flips
    for pattern, change in BY_HAND
    if (match := re.fullmatch(pattern + ".*", flip.change)) is not None
]


@pytest.mark.parametrize(("kind", "flip", "change", "match"), FLIPS)
def test_what_is_said_to_flip_a_decision_does(kind: str, flip: Flip, change: ByHand, match: re.Match[str]) -> None:
    """The change is made by hand from its words, in the rule files or in the rows, and it is decided anew."""
    setting, told = SETTINGS[kind]
    decision = change(flip, setting, match).decide()
    assert shown(signature(decision, told.member, told.contact)) == flip.becomes


def test_most_flips_are_made_by_hand() -> None:
    """The test above would prove little if it passed over most of what is said."""
    assert len(FLIPS) >= 0.8 * sum(len(told.flips) for _, told in SETTINGS.values())


def test_each_kind_of_decision_can_be_flipped() -> None:
    """No decision is left without a way out, and each was looked for among dozens of changes."""
    for name, (_, told) in SETTINGS.items():
        assert told.flips, name
        assert told.flips_tried > 30, name


def test_a_held_class_is_lifted_by_a_person_alone() -> None:
    """The word for it is the one that `reconcile plan` takes, with the number of this very plan."""
    one = held()
    told = explain(one.plan, Subject("1002"))
    assert "--accept create=3 --reason TEXT" in told.flips[0].change
    assert told.deeds[0].limit is not None
    assert told.deeds[0].limit.where.startswith("limits.yaml:")


# What it cannot say


def test_plan_that_was_cut_says_so() -> None:
    """`--limit 1` leaves the second member out, and not a rule."""
    plan = planned(make_world(members=(ANN, BEN)), Scope(limit=1))
    assert explain(plan, Subject("1001")).notes == ()
    (note,) = explain(plan, Subject("1002")).notes
    assert "--limit" in note


def test_member_out_of_scope_says_so() -> None:
    """A member may be in the file because of somebody else, and not have been decided about."""
    ben = msgspec.structs.replace(BEN, email="ann@example.org")
    contacts = (make_contact("c1", ANN), make_contact("c2", ben, name="Old"))
    rules = msgspec.structs.replace(default_rules(), mappings={"c1": "1001", "c2": "1002"})
    plan = planned(make_world(members=(ANN, ben), contacts=contacts, rules=rules), Scope(exclude=frozenset({"1002"})))
    (note,) = explain(plan, Subject("1002")).notes
    assert "scope" in note


def test_rules_of_another_release_are_not_guessed_at() -> None:
    """What the plan says itself is shown, with the lines, and that no more can be said."""
    plan = planned(make_world(members=(ANN,)))
    assert plan.basis is not None
    files = {**plan.basis.files, "contacts.yaml": "unheard_of: 1\n"}
    plan = msgspec.structs.replace(plan, basis=msgspec.structs.replace(plan.basis, files=files))
    told = explain(plan, Subject("1001"))
    assert "does not read" in told.notes[0]
    assert [deed.do for deed in told.deeds] == ["create"]
    assert told.deeds[0].reasons[0].line.where == "findings.yaml:7"
    assert (told.rows, told.flips) == ((), ())


def test_plan_that_decides_otherwise_than_it_was_decided_is_what_counts() -> None:
    """A row in the file that does not fit its action, as of a release with other rules in its code."""
    plan = planned(make_world(members=(ANN,)))
    (seen,) = plan.seen
    moved = msgspec.structs.replace(seen.members[0], status="Resigned")
    plan = msgspec.structs.replace(plan, seen=(msgspec.structs.replace(seen, members=(moved,)),))
    told = explain(plan, Subject("1001"))
    assert [deed.do for deed in told.deeds] == ["create"]
    assert "the plan is what counts" in told.notes[0]


def test_number_that_no_row_has_any_more_is_explained_by_its_contact() -> None:
    """The member is gone from the source, and the contact is an orphan under the number."""
    contact = make_contact("c1", external_id="4711", email="x@example.org", custom_attributes={})
    plan = planned(make_world(members=(ANN,), contacts=(contact,)))
    told = explain(plan, Subject("4711"))
    assert told.notes == ()
    assert [(story.contact, story.standing) for story in told.contacts] == [("c1", "nobody's")]
    assert [reason.rule for reason in told.review] == ["orphan-contact"]


def test_what_is_said_of_many_is_said_of_each() -> None:
    """An unknown code is one finding for all who have it, and stands in the explanation of every one of them."""
    members = (ANN, BEN, make_member("1003", email="c@example.org"))
    positions = (make_position("1001", "trs"), make_position("1002", "trs"))
    plan = planned(make_world(members=members, positions=positions))
    for number in ("1001", "1002"):
        assert [reason.says for reason in explain(plan, Subject(number)).review] == [
            "position code 'trs' has no name in positions.yaml; 2 members concerned"
        ]
    assert explain(plan, Subject("1003")).review == ()


def test_whom_a_plan_says_nothing_about_is_nobody() -> None:
    """Neither a member in order nor a number that was made up can be explained from a plan."""
    plan = planned(make_world(members=(ANN, BEN), contacts=(make_contact("c1", ANN, phone="+16175550123"),)))
    assert subject_of(plan, "1001") is None
    assert subject_of(plan, "c1") is None
    assert subject_of(plan, "4711") is None
    assert subject_of(plan, "1002") == Subject("1002")


def test_hundreds_who_share_one_address_are_explained_in_seconds() -> None:
    """A union's office address on 300 members: the number of changes tried is bounded."""
    members = tuple(make_member(f"{number}", email="office@example.org") for number in range(1000, 1300))
    told = explain(planned(make_world(members=members)), Subject("1000"))
    assert told.flips_tried <= FEWEST_TRIED + len(SIDES)
    assert any("one that nobody else has" in flip.change for flip in told.flips)


@pytest.mark.parametrize(
    ("source", "email", "region"),
    [("supabase", "mail", "area"), ("mysql", "email", "region"), ("sqlite", "mail", "area")],
)
def test_columns_are_named_as_the_database_names_them(source: str, email: str, region: str) -> None:
    """By sources.yaml; in MySQL, of which nobody knows here which shape it has, only what both shapes agree on."""
    text = default_rules().files["sources.yaml"].replace("email: email", "email: mail", 1)
    rules = parse_rules({**default_rules().files, "sources.yaml": text.replace("region: region", "region: area", 1)})
    world = make_world(members=(ANN,), rules=rules)
    plan = planned(msgspec.structs.replace(world, source=msgspec.structs.replace(world.source, name=source)))
    (row,) = explain(plan, Subject("1001")).rows
    columns = {one.field: one.column for one in row.columns}
    assert row.where == f"{source} members/1001"
    assert (columns["email"], columns["region"], columns["first_name"]) == (email, region, "firstname")


# Lines


@pytest.mark.parametrize(
    ("path", "line", "text"),
    [
        (("first",), 1, "first: 1"),
        (("second", "inner"), 3, "inner: 'a # b'"),
        (("second", "missing"), 2, "second:"),
        (("third", 1), 6, "- two"),
        (("absent", "x"), 0, ""),
    ],
)
def test_line_of_a_rule(path: tuple[str | int, ...], line: int, text: str) -> None:
    """The line of the key or entry without its comment; of the parent where it is not written; none for a default."""
    written = "first: 1   # a comment\nsecond:\n  inner: 'a # b' # another\nthird:\n- one\n- two\n"
    assert RuleBook({"x.yaml": written}).find("x.yaml", *path) == RuleLine("x.yaml", line, text)


def test_file_that_was_not_kept_has_no_line() -> None:
    """A plan that kept no rules still names the file."""
    assert RuleBook({}).find("findings.yaml", "fix-phone").where == "findings.yaml"
