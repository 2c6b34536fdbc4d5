from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from reconciler.core.cases import Case, parse_cases, run_case
from reconciler.errors import RulesError
from tests.support.builders import RULES_FOLDER, default_rules

FOLDER = RULES_FOLDER / "tests"
RULES = default_rules()

ONE_CASE = """\
- case: a member who moved
  why: the source is right
  members: [{number: "100"}]
  contacts: [{id: c1, as: "100", custom_attributes.region: NSO}]
  actions:
    - {update: c1, member: "100", set: {custom_attributes.region: NEA}, because: [update-attributes]}
  findings:
    - {rule: update-attributes, severity: fixable, contact: c1, member: "100"}
"""


def edited(old: str, new: str) -> str:
    """ONE_CASE with one edit."""
    assert old in ONE_CASE
    return ONE_CASE.replace(old, new, 1)


def problems_of(text: str) -> list[str]:
    """What is wrong with a file of cases."""
    with pytest.raises(RulesError) as caught:
        parse_cases(text, file="x.yaml")
    return [str(problem) for problem in caught.value.problems]


def mismatches(text: str) -> tuple[str, ...]:
    """How the only case of a file fails under the default rules."""
    (case,) = parse_cases(text, file="x.yaml")
    return run_case(case, RULES)


def with_rows(case: Case, **rows: object) -> Case:
    """The case with other parts."""
    return replace(case, shape=msgspec.structs.replace(case.shape, **rows))


def copied(found: tuple[str, ...]) -> Case:
    """A case whose actions and findings are what was shown, copied by hand."""
    text = "- case: copied\n  why: what was shown is right\n"
    for noun in ("action", "finding"):
        rows = [line.partition("- ")[2] for line in found if line.startswith(noun)]
        text += f"  {noun}s:{'' if rows else ' []'}\n" + "".join(f"    - {row}\n" for row in rows)
    (case,) = parse_cases(text, file="copied.yaml")
    return case


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted(FOLDER.glob("*.yaml"))])
def test_what_was_found_can_be_copied_into_the_case(path: Path) -> None:
    """A person mends an outdated case by copying what is shown, so it must be YAML that means the same."""
    for case in parse_cases(path.read_text(encoding="utf-8"), file=path.name):
        shown = copied(run_case(with_rows(case, actions=(), findings=()), RULES)).shape
        assert run_case(with_rows(case, actions=shown.actions, findings=shown.findings), RULES) == (), case.name


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param(
            "NEA}",
            "SEA}",
            [
                (
                    'action wanted:  - {update: c1, member: "100", set: {custom_attributes.region: SEA}, '
                    "because: [update-attributes]}"
                ),
                (
                    'action found:   - {update: c1, member: "100", set: {custom_attributes.region: NEA}, '
                    "because: [update-attributes]}"
                ),
            ],
            id="another value is sent",
        ),
        pytest.param(
            "severity: fixable",
            "severity: review",
            [
                'finding wanted:  - {rule: update-attributes, severity: review, contact: c1, member: "100"}',
                'finding found:   - {rule: update-attributes, contact: c1, member: "100", severity: fixable}',
            ],
            id="another severity",
        ),
        pytest.param(
            'contacts: [{id: c1, as: "100", custom_attributes.region: NSO}]',
            'contacts: [{id: c1, as: "100"}]',
            [
                (
                    'action wanted:  - {update: c1, member: "100", set: {custom_attributes.region: NEA}, '
                    "because: [update-attributes]}"
                ),
                'finding wanted:  - {rule: update-attributes, severity: fixable, contact: c1, member: "100"}',
            ],
            id="nothing is found where something is wanted",
        ),
        pytest.param(
            "because: [update-attributes]",
            "because: {custom_attributes.region: fix-phone}, undo: none",
            [
                (
                    'action wanted:  - {update: c1, member: "100", set: {custom_attributes.region: NEA}, '
                    "because: {custom_attributes.region: fix-phone}, undo: none}"
                ),
                (
                    'action found:   - {update: c1, member: "100", set: {custom_attributes.region: NEA}, '
                    "because: {custom_attributes.region: update-attributes}, undo: exact}"
                ),
            ],
            id="optional parts are compared and shown where they are written",
        ),
    ],
)
def test_a_mismatch_shows_what_is_wanted_and_what_is_found(old: str, new: str, says: list[str]) -> None:
    """The reader sees both sides in the words of the case, and nothing that fits."""
    assert list(mismatches(edited(old, new))) == says


def test_actions_in_another_order_are_shown_as_they_are_planned() -> None:
    """The order of a plan is part of what a case promises."""
    path = FOLDER / "write-order.yaml"
    case = parse_cases(path.read_text(encoding="utf-8"), file=path.name)[0]
    (says,) = run_case(with_rows(case, actions=case.shape.actions[::-1]), RULES)
    first, *rows = says.splitlines()
    assert first == "actions found in another order:"
    assert [row.split()[1] for row in rows] == ["{archive:", "{update:"]


def test_a_case_is_decided_under_the_rules_it_is_given() -> None:
    """`reconcile rules test` runs the cases under the rules of the folder, so a changed rule shows in them."""
    (case,) = parse_cases(ONE_CASE, file="x.yaml")
    quiet = msgspec.structs.replace(RULES.findings.update_attributes, then="report")
    findings = msgspec.structs.replace(RULES.findings, update_attributes=quiet)
    assert run_case(case, RULES) == ()
    assert len(run_case(case, msgspec.structs.replace(RULES, findings=findings))) == 3


def test_an_entry_of_the_case_changes_only_what_it_says() -> None:
    """The rest of the entry stays as the folder's findings.yaml has it."""
    text = edited("  members:", "  rules: {update-attributes: {}}\n  members:")
    assert mismatches(text) == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("", ["x.yaml:1: expected a list of cases, each beginning with '- case: …'"], id="nothing"),
        pytest.param("case: x", ["x.yaml:1: expected a list of cases, each beginning with '- case: …'"], id="a map"),
        pytest.param(
            edited("contacts:", "contact:"),
            ["x.yaml:4: case #1.contact: unknown key; did you mean 'contacts'?"],
            id="a misspelt key",
        ),
        pytest.param(
            edited("custom_attributes.region: NSO", "regoin: NSO"),
            [
                (
                    "x.yaml:4: case #1.contacts #1.regoin: unknown key; valid: id, is, as, external_id, email, name, "
                    "phone, created_at, last_seen_at, custom_attributes.NAME"
                )
            ],
            id="a misspelt field of a contact",
        ),
        pytest.param(
            edited('number: "100"', "number: 100"),
            ["x.yaml:3: case #1.members #1.number: expected a text, found 100"],
            id="a number without quotes",
        ),
        pytest.param(
            edited('as: "100"', 'as: "101"'),
            ["x.yaml:4: case #1.contacts #1.as: no member of this case; a number is a text in quotes"],
            id="as somebody who is not there",
        ),
        pytest.param(
            edited("{update: c1,", "{update: c1, archive: c1,"),
            [
                (
                    "x.yaml:6: case #1.actions #1: exactly one of create, update, promote, merge, archive must be "
                    "given, with the contact's id"
                )
            ],
            id="two verbs",
        ),
        pytest.param(
            edited("because: [update-attributes]", "because: [update-atributes]"),
            ["x.yaml:6: case #1.actions #1.because: no rule 'update-atributes'; did you mean 'update-attributes'?"],
            id="a misspelt rule",
        ),
        pytest.param(
            edited("  members:", "  open_conversations: {c11: 1}\n  members:"),
            ["x.yaml:3: case #1.open_conversations.c11: no contact of this case; did you mean 'c1'?"],
            id="a conversation of nobody",
        ),
        pytest.param(
            edited("id: c1,", "id: c1, created_at: yesterday, is: admin, phone: 6175550123,"),
            [
                "x.yaml:4: case #1.contacts #1.is: expected 'user' or 'lead'",
                "x.yaml:4: case #1.contacts #1.phone: expected a text; put it in quotes",
                "x.yaml:4: case #1.contacts #1.created_at: expected a day such as 2024-01-31",
            ],
            id="values that no contact has",
        ),
        pytest.param(
            edited("custom_attributes.region: NSO}]", 'name: x}, {id: c1, as: "100"}, {as: "100"}]'),
            [
                "x.yaml:4: case #1.contacts #2.id: an earlier contact of this case has the same id",
                "x.yaml:4: case #1.contacts #3.id: missing, or no text; a contact has an id",
            ],
            id="contacts without an id of their own",
        ),
        pytest.param(
            edited("  why: the source is right\n", ""),
            ["x.yaml:1: case #1.why: missing; it must be a text"],
            id="no reason",
        ),
        pytest.param(
            edited("  members:", "  rules: {archive-duplicates: {keep: [oldest]}}\n  members:"),
            [
                (
                    "x.yaml:3: case #1.rules.archive-duplicates.keep: must end with 'smallest_id': "
                    "the others can leave two contacts equal"
                )
            ],
            id="a rule that findings.yaml would refuse",
        ),
        pytest.param(
            ONE_CASE + ONE_CASE,
            ["x.yaml:9: case #2.case: the same name as the case in line 1"],
            id="two cases of one name",
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_where(text: str, says: list[str]) -> None:
    """Whoever writes a case is told file, line and what was meant, as for any rule file."""
    assert problems_of(text) == says
