"""No personal value of a plan survives its redaction, and two redacted plans compare as the plans do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from unicodedata import normalize

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import plan as plan_file
from reconciler.core.actions import Action, Because, Do, with_id
from reconciler.core.compare import Pair, compare
from reconciler.core.model import Evidence, Finding, Scalar
from reconciler.core.plan import Digest, Inputs, LimitCheck, Plan
from reconciler.core.redact import REDACTED, for_the_eye, redacted
from reconciler.core.seen import Basis
from reconciler.core.world import make_finding as made_finding
from reconciler.report.comparison import comparison_markdown, comparison_text
from reconciler.report.html import plan_html
from reconciler.report.markdown import plan_markdown
from reconciler.report.sheet import plan_csv
from reconciler.report.text import plan_text
from tests.report.plans import hostile, make_action, make_finding, make_plan, over_the_limit

KEY = b"a key of this test"
OTHER = b"another key of it"

FIRST = ["Zoë", "Bartholomäus", "Anne-Marie", "Kwame", "Ng", "O'Neill", "名前山", "DeShawn", "Ame\u0301lie"]
LAST = ["Quimby", "van der Berg", "Ørsted", "Nguyễn", "Xu", "McAllister", "Szczepański"]
DOMAINS = ["example.org", "mail.union.example", "bücher.example"]

PEOPLE = st.builds(
    lambda first, last, local, domain, number: {
        "name": f"{first} {last}",
        "email": f"{local}.{last.split()[-1].lower()}@{domain}",
        "phone": number,
    },
    st.sampled_from(FIRST),
    st.sampled_from(LAST),
    st.text("abcxyz0123456789+", min_size=1, max_size=8),
    st.sampled_from(DOMAINS),
    st.from_regex(
        r"\+1[2-9][0-9]{2}[2-9][0-9]{6}|\([2-9][0-9]{2}\) [2-9][0-9]{2}-[0-9]{4}|[2-9][0-9]{2}-[0-9]{4}", fullmatch=True
    ),
)
SENTENCES = st.sampled_from(
    [
        "the name is {name}",
        "{name} has the phone {phone}, not the e-mail {email}.",
        "e-mail <{email}>; called '{name}' ({phone})",
        "its external_id is '{email}'",
        "{phone}",
        "nothing of anybody, for 3 members of 20123",
    ]
)
FIELDS = (
    "name",
    "email",
    "phone",
    "first_name",
    "custom_attributes.mobile",
    "custom_attributes.facility",
    "external_id",
)


@st.composite
def personal_plans(draw: st.DrawFn) -> tuple[Plan, list[str]]:
    """A plan full of people, in every place that text can stand in, and the values by which one would know them."""
    people = draw(st.lists(PEOPLE, min_size=1, max_size=3))
    seeded = [value for person in people for value in person.values()]

    def values() -> dict[str, Scalar]:
        person = draw(st.sampled_from(people))
        found: dict[str, Scalar] = {field: person[field] for field in ("name", "email", "phone") if draw(st.booleans())}
        for field in draw(st.lists(st.sampled_from(FIELDS), max_size=3)):
            found[field] = draw(st.sampled_from([*person.values(), *seeded]))
        return found

    def says() -> str:
        return draw(SENTENCES).format(**draw(st.sampled_from(people)))

    # Each value stands in a field of its own somewhere; that is how a plan knows that it is one.
    findings = [
        made_finding(
            "invalid-member",
            "review",
            says(),
            member=str(1000 + number),
            evidence=tuple(Evidence(f"sqlite members/{person['email']}", field, person[field]) for field in person),
        )
        for number, person in enumerate(people)
    ]
    actions = []
    for number in range(draw(st.integers(0, 4))):
        do: Do = draw(st.sampled_from(["create", "update", "archive", "merge"]))
        action = make_action(
            number,
            do,
            expect=values(),
            set=values(),
            expect_into=values() if do == "merge" else {},
            member=draw(st.sampled_from(["7", "8", *seeded])),
        )
        actions.append(with_id(action))
    plan = make_plan(
        *actions,
        findings=tuple(findings),
        limits=(LimitCheck("update", 1, 2, ok=False, says=says(), accepted=2, reason=f"asked by {people[0]['name']}"),),
        refused_because=(says(),),
        workspace=says(),
        tool=says(),
    )
    return plan, seeded


def texts(value: Any) -> Iterator[str]:
    """Every text in a JSON document, keys included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)


@settings(max_examples=150)
@given(made=personal_plans())
def test_nothing_personal_survives(made: tuple[Plan, list[str]]) -> None:
    """No name, e-mail or phone is anywhere in the redacted plan: fields, sentences, evidence, origins, limits."""
    plan, seeded = made
    said = list(texts(msgspec.json.decode(plan_file.encode(redacted(plan, KEY)))))
    for value in seeded:
        assert not [text for text in said if value.casefold() in text.casefold()], value


@settings(max_examples=30)
@given(made=personal_plans())
def test_nothing_personal_survives_in_any_format(made: tuple[Plan, list[str]]) -> None:
    """Nor in a report or a table made from it, or in a comparison."""
    plan, seeded = made
    shown = for_the_eye(plan, KEY)
    found = compare(redacted(make_plan(), KEY), shown)
    reports = [plan_text(shown), plan_markdown(shown), plan_html(shown), plan_csv(redacted(plan, KEY))]
    for report in (*reports, comparison_text(found), comparison_markdown(found)):
        for value in seeded:
            assert value not in report


def outline(pairs: tuple[Pair[Any], ...], old: tuple[Any, ...], new: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """What became of each action or finding, which by its place in its plan; and whether its values changed."""

    def place(one: Any, among: tuple[Any, ...]) -> int | None:
        return next((at for at, other in enumerate(among) if other is one), None)

    def values(one: Any) -> Any:
        return (one.expect, one.set) if hasattr(one, "set") else one.evidence

    return [
        (
            pair.status,
            pair.flapping,
            place(pair.old, old),
            place(pair.new, new),
            pair.status == "persistent" and values(pair.old) == values(pair.new),
        )
        for pair in pairs
    ]


def outlines(old: Plan, new: Plan, others: tuple[Plan, ...]) -> tuple[Any, ...]:
    """The whole comparison, without a value in it."""
    found = compare(old, new, others=others)
    return (
        outline(found.actions, old.actions, new.actions),
        outline(found.findings, old.findings, new.findings),
        [msgspec.structs.astuple(line)[1:] for line in found.action_counts()],
        [msgspec.structs.astuple(line)[1:] for line in found.finding_counts()],
    )


@settings(max_examples=60)
@given(one=personal_plans(), two=personal_plans(), three=personal_plans())
def test_redacted_diff_is_the_diff_of_redacted(one: Any, two: Any, three: Any) -> None:
    """Redacting both plans first, or comparing them first, comes to the same: pair by pair and count by count."""
    old, other, new = (
        msgspec.structs.replace(
            made[0], created_at=f"2026-11-0{night}T02:30:00Z", id=f"2026110{night}T023000Z-aa", applyable=True
        )
        for night, made in enumerate((one, two, three), start=1)
    )
    hidden = redacted(old, KEY), redacted(new, KEY), for_the_eye(other, KEY)
    assert outlines(hidden[0], hidden[1], (hidden[2],)) == outlines(old, new, (other,))


def test_what_a_plan_left_out_stays() -> None:
    """Numbers of members and names of rules; a name in the place of a number goes, and so do the rule files."""
    basis = Basis(
        files={"mappings.yaml": "Zoe Quimby"}, off=("fix-phone",), only=("1", "zoe quimby"), exclude=("2",), limit=3
    )
    found = redacted(make_plan(basis=basis), KEY).basis
    assert found is not None
    assert found.only[1] not in basis.only
    assert found == Basis(files={}, off=("fix-phone",), only=("1", found.only[1]), exclude=("2",), limit=3)


@settings(max_examples=30)
@given(made=personal_plans())
def test_every_count_and_kind_stays(made: tuple[Plan, list[str]]) -> None:
    """A redacted plan is a plan: written, read, with the same actions, findings, numbers and ties between them."""
    plan, _ = made
    hidden = redacted(plan, KEY)
    assert plan_file.decode(plan_file.encode(hidden), where="x") == hidden
    assert hidden.summary == plan.summary
    assert [(one.do, one.undo, [*one.set]) for one in hidden.actions] == [
        (one.do, one.undo, [*one.set]) for one in plan.actions
    ]
    assert [one.rule for one in hidden.open_findings()] == [one.rule for one in plan.open_findings()]
    assert len(hidden.held()) == len(plan.held())


def test_what_stays_and_what_goes() -> None:
    """Ids, the union's vocabulary, blanks and booleans stay as they are; every other value becomes a token."""
    fields: dict[str, Scalar] = {
        "role": "user",
        "external_id": "5f0c1d1e-7a8b-4c1d-9e0f-123456789abc",
        "email": "ann@union.example",
        "name": "Ann Lee",
        "phone": None,
        "custom_attributes.member_number": "12345",
        "custom_attributes.region": "Eastern",
        "custom_attributes.positions": "NATCA President",
        "custom_attributes.birthday": "1970-01-01",
        "custom_attributes.age": 56,
        "custom_attributes.vip": True,
        "custom_attributes.nickname": "",
    }
    action = make_action(1, "update", member="12345", expect=fields, set={"external_id": "ann@union.example"})
    hidden = redacted(make_plan(action), KEY).actions[0]
    gone = {"email", "name", "custom_attributes.birthday", "custom_attributes.age"}
    assert {name for name, value in hidden.expect.items() if value != fields[name]} == gone
    assert all(re.fullmatch(r"\[(email|phone|text) [0-9a-f]{16}\]", str(hidden.expect[name])) for name in gone)
    assert hidden.set == {"external_id": hidden.expect["email"]}
    assert (hidden.member, hidden.contact) == (action.member, action.contact)


def test_a_token_is_the_same_in_every_plan_and_place() -> None:
    """One value has one token: before and after, in a field, in evidence and in a sentence, tonight and next year."""
    tonight = make_plan(
        make_action(1, set={"email": "ann@union.example"}),
        findings=(make_finding(1, says="has ann@union.example", evidence=()),),
    )
    next_year = make_plan(findings=(make_finding(9, evidence=(Evidence("x", "email", "ann@union.example"),)),))
    first, second = redacted(tonight, KEY), redacted(next_year, KEY)
    token = first.actions[0].set["email"]
    assert first.findings[0].says == f"has {token}"
    assert second.findings[0].evidence[0].value == token
    assert redacted(tonight, OTHER).actions[0].set["email"] != token


def test_what_is_a_hash_of_values_goes_under_the_key() -> None:
    """Who knows all of an action but the phone could try phones until its id fits; so ids and digests are keyed."""
    finding = made_finding(
        "fix-phone", "fixable", "phone", member="1", evidence=(Evidence("x", "phone", "7654657031"),)
    )
    action = with_id(make_action(1, because=(Because("fix-phone", finding.id),)))
    again = with_id(make_action(2, after=(action.id,)))
    says = f"takes back update {action.id} of plan 20261123T023000Z-8f3a1c5e"
    plan = make_plan(action, again, findings=(finding, make_finding(2, says=says)))
    hidden = redacted(plan, KEY)
    assert hidden.actions[0].id != action.id
    assert hidden.actions[0].id.startswith("u-")
    assert hidden.actions[1].after == (hidden.actions[0].id,)
    assert hidden.actions[0].because[0].finding == hidden.findings[0].id != finding.id
    assert hidden.findings[1].says == says.replace(action.id, hidden.actions[0].id)
    written = plan_file.encode(hidden).decode()
    for digest in (plan.inputs.members.sha256, plan.inputs.actual.sha256, plan.previous or ""):
        assert digest not in written


@pytest.mark.parametrize(
    ("says", "kept"),
    [
        ("2 to archive is 33.33% of 21362 live contacts, over 1% (floor 50)", True),
        ("plan 20261123T023000Z-8f3a1c5e, read at 2026-11-23T02:29:10Z", True),
        ("member number 12345 belongs to nobody who should be a contact", True),
        ("is member 12345 too; 5ba682d23d7cf92bef87bf01 is kept", True),
        ("call (765) 465-7031", False),
        ("call 765-465-7031 or 7654657031", False),
        ("call +44 20 7946 0958", False),
        ("write to somebody@elsewhere.example, please", False),
        ("ANN LEE has it", False),
        ("Lee has it", False),
        ("Leeds has it", True),
    ],
)
def test_sentences_keep_their_words(says: str, kept: bool) -> None:
    """Counts, ids and times stay, so that a reviewer can follow; what looks like a person goes, known or not."""
    known = make_action(1, expect={"name": "Ann Lee"}, set={})
    assert (redacted(make_plan(known, findings=(make_finding(1, says=says),)), KEY).findings[0].says == says) == kept


@pytest.mark.parametrize(
    ("external_id", "kept"),
    [
        ("12345", True),
        ("N12345", True),
        ("5ba682d23d7cf92bef87bf01", True),
        ("5F0C1D1E-7A8B-4C1D-9E0F-123456789ABC", True),
        ("duplicate-64d0c0ffee00000000000207", True),
        ("ann@union.example", False),
        ("zoequimby2", False),
        ("Ann Lee", False),
        ("7654657031", False),
        ("465-7031", False),
    ],
)
def test_an_external_id_is_an_id_or_goes(external_id: str, kept: bool) -> None:
    """Old contacts have e-mails, phones and user names there; a member number or UUID has to stay readable."""
    action = make_action(1, "create", member=external_id, expect={}, set={"external_id": external_id})
    hidden = redacted(make_plan(action), KEY).actions[0]
    assert (hidden.member == external_id, hidden.set["external_id"] == external_id) == (kept, kept)


def test_words_of_other_values_are_words() -> None:
    """An attribute may hold any words of ours; only names are looked for word by word."""
    known = make_action(1, expect={"custom_attributes.note": "is a member of ours"}, set={})
    says = "is member 12345 too; is a member of ours"
    hidden = redacted(make_plan(known, findings=(make_finding(1, says=says),)), KEY)
    assert hidden.findings[0].says == f"is member 12345 too; {hidden.actions[0].expect['custom_attributes.note']}"


@pytest.mark.parametrize(("field", "says"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_an_accent_written_the_other_way(field: Any, says: Any) -> None:
    """Unicode writes é in two ways, and so do a source and a sentence made from it."""
    name = "Amélie Zoë"
    known = make_action(1, expect={"name": normalize(field, name)}, set={})
    finding = make_finding(1, says=f"{normalize(says, name)} has it")
    assert redacted(make_plan(known, findings=(finding,)), KEY).findings[0].says.startswith("[text ")


def test_the_reason_that_a_person_typed_goes_whole() -> None:
    """It may name anybody, in any words."""
    hidden = redacted(over_the_limit(), KEY)
    reason = next(check.reason for check in hidden.limits if check.accepted is not None)
    assert reason is not None
    assert reason.startswith("[text ")


def test_a_redacted_plan_cannot_be_applied() -> None:
    """Its creates would write tokens; only what is shown, and never written, keeps the plan's own state."""
    plan = make_plan(make_action(1))
    assert (redacted(plan, KEY).applyable, redacted(plan, KEY).refused_because) == (False, (REDACTED,))
    assert (for_the_eye(plan, KEY).applyable, for_the_eye(plan, KEY).refused_because) == (True, ())


CONSIDERED = {
    Plan: "id tool target workspace intercom_version created_at expires_at applyable refused_because inputs summary "
    "limits actions findings previous census basis seen",
    Inputs: "rules members positions contacts rows",
    Digest: "sha256 source count read_at blank changed_at",
    LimitCheck: "limit allowed planned ok says accepted reason",
    Action: "id do contact into member expect set because undo after row expect_into",
    Because: "rule finding field",
    Finding: "id rule severity contact member says evidence",
    Evidence: "origin field value",
}


@pytest.mark.parametrize("struct", CONSIDERED, ids=lambda struct: struct.__name__)
def test_every_field_of_a_plan_was_considered(struct: Any) -> None:
    """A new field has to be redacted, or kept on purpose, in redact.py, before it is written down here."""
    assert " ".join(struct.__struct_fields__) == CONSIDERED[struct]


def test_hostile_names() -> None:
    """Names that try to break out are replaced like any other; what is left can be shown in every format."""
    hidden = redacted(hostile(), KEY)
    written = plan_file.encode(hidden)
    for name in ("<script>", "evil.example", "onerror", "Zero", "名前名前"):
        assert name.encode() not in written
    assert plan_html(hidden)
