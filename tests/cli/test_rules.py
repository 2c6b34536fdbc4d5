from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from reconciler.core.rules.schema import schemas
from reconciler.errors import ExitCode
from tests.cli.support import REPOSITORY, Place

BROKEN = "create-missing:\n  then: creat\n  when: now\nfix-phon: {then: update}\n"


def test_sound_rules(place: Place) -> None:
    """The rules of the repository are sound, and the digest says which ones were looked at."""
    done = place.run("rules", "check")
    assert (done.code, done.err) == (ExitCode.DONE, "")
    assert done.out.startswith("The rules in rules are sound (sha256 ")
    assert place.run("rules", "check", "--json").out == "[]\n"


def test_every_problem_at_once(place: Place) -> None:
    """Each with file, line and the nearest valid name, on stderr for people and on stdout for programs."""
    folder = place.own_rules()
    (folder / "findings.yaml").write_text(BROKEN)
    (folder / "contacts.yml").write_text("who: {status: [Active]}\n")
    done = place.run("rules", "check")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    asked = place.run("rules", "check", "--json")
    assert (asked.code, asked.err) == (ExitCode.ERROR, "")
    problems = json.loads(asked.out)
    lines = [f"{one['file']}:{one['line']}: {one['says']}" for one in problems if one["line"]]
    assert [line for line in lines if line not in done.err.splitlines()] == []
    assert {(one["file"], one["line"]) for one in problems} >= {
        ("findings.yaml", 2),
        ("findings.yaml", 3),
        ("findings.yaml", 4),
    }
    assert "did you mean 'fix-phone'?" in done.err
    assert done.err.startswith(f"Error: {len(problems)} problems in the rules:\n")


def test_no_setting_is_needed_to_check_rules(place: Place) -> None:
    """A pull request on the rules is checked where there is no token."""
    place.set(INTERCOM_ACCESS_TOKEN=None, RECONCILER_SOURCE=None)
    assert place.run("rules", "check").code == ExitCode.DONE


def test_schema_of_all(place: Place) -> None:
    """One document, by file name, that is JSON Schema."""
    done = place.run("rules", "schema")
    found = json.loads(done.out)
    assert (done.code, done.err) == (ExitCode.DONE, "")
    assert found == json.loads(json.dumps(schemas()))
    for schema in found.values():
        jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("file", sorted(schemas()))
def test_schema_of_one(file: str, place: Place) -> None:
    """The schema that an editor is pointed at accepts the file as shipped."""
    schema = json.loads(place.run("rules", "schema", file).out)
    shipped = yaml.safe_load((REPOSITORY / "rules" / file).read_text("utf-8"))
    jsonschema.validate({} if shipped is None else shipped, schema)


def test_cases(place: Place) -> None:
    """All cases that ship pass, and the last line counts them."""
    done = place.run("rules", "test")
    assert (done.code, done.err) == (ExitCode.DONE, "")
    passed, _, rest = done.out.splitlines()[-1].partition(" passed")
    assert int(passed) > 100
    assert rest == ", 0 failed"


def test_cases_that_fail_say_what_was_found(place: Place) -> None:
    """A rule that is changed shows at once which expectations no longer hold."""
    folder = place.own_rules()
    text = (folder / "findings.yaml").read_text("utf-8")
    (folder / "findings.yaml").write_text(text.replace("  then: promote ", "  then: off "), "utf-8")
    done = place.run("rules", "test")
    assert done.code == ExitCode.ERROR
    assert "promote-lead.yaml: " in done.out
    assert not done.out.endswith(" 0 failed\n")


def test_no_cases(place: Place) -> None:
    """A folder without cases must not look like one whose cases pass."""
    folder = place.own_rules()
    for path in (folder / "tests").iterdir():
        path.unlink()
    done = place.run("rules", "test")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "holds no cases" in done.err


def test_broken_case(place: Place) -> None:
    """A case that cannot be read is an error with file and line, and not one that passes."""
    folder = place.own_rules()
    (folder / "tests" / "promote-lead.yaml").write_text("- nam: a case\n")
    done = place.run("rules", "test")
    assert done.code == ExitCode.ERROR
    assert "promote-lead.yaml:1" in done.err
