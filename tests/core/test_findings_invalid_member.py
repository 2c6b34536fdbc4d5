import pytest

from reconciler.core.findings import invalid_member
from reconciler.core.planner import Scope, decide
from tests.support.builders import make_contact, make_member, make_world


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("Ann\0Lee", "PostgreSQL and Intercom refuse NUL"),
        ("Ann\x7fLee", "a control character that terminals obey"),
        ("Renée\x1bLee", "an escape beside text that is not ASCII"),
        ("Ann\ud800Lee", "half a character is no text and cannot be sent as UTF-8"),
        ("Ann\r\nLee", "a line break could end a header or a row of a CSV"),
        ("A" * 1_000_000, "a megabyte in one field"),
        ("é" * 256, "one character too many, counted as characters"),
    ],
)
def test_a_value_that_no_yaml_file_can_hold(value: str, why: str) -> None:
    """Such a member is put aside with the field named, the contact is left, and the others go on (failure C9, E5)."""
    good = make_member("200")
    world = make_world(
        members=(make_member("100", first_name=value), good),
        contacts=(make_contact("c1", make_member("100")), make_contact("c2", good, name="Old Name")),
    )
    decision = decide(world, Scope())
    assert [action.contact for action in decision.actions] == ["c2"], why
    (finding,) = [one for one in decision.findings if one.rule == invalid_member.RULE]
    assert finding.member == "100"
    assert finding.says.startswith("cannot be a contact: name ")
    assert all(len(str(line.value)) <= 90 for line in finding.evidence)


@pytest.mark.parametrize("value", ["A" * 251, "é" * 251, "👩‍🚀 Ōta", "\u202eeeL nnA"])
def test_a_value_that_is_odd_and_sound(value: str) -> None:
    """Up to 255 characters of any script are text, kept exactly; whoever prints them has to escape them (E4)."""
    member = make_member("100", first_name=value, last_name="Lee")
    decision = decide(make_world(members=(member,)), Scope())
    (action,) = decision.actions
    assert action.set["name"] == f"{value} Lee"


def test_a_finding_about_an_odd_member_can_be_written() -> None:
    """The evidence goes into the plan file, so it must be text that JSON can hold."""
    world = make_world(members=(make_member("100", first_name="Ann\ud800"),))
    (finding,) = decide(world, Scope()).findings
    assert [str(line.value).encode("utf-8") for line in finding.evidence]
