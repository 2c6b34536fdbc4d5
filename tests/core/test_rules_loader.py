import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion

from reconciler.core.rules import Findings, Limits, Rules, SourceGuards
from reconciler.core.rules.loader import FILES, OPTIONAL, parse_mappings_json, parse_rules, with_mappings
from reconciler.core.rules.strict_yaml import Node, parse
from reconciler.errors import Problem, RulesError

RULES = Path(__file__).parents[2] / "rules"
DEFAULTS: dict[str, str] = {name: (RULES / name).read_text(encoding="utf-8") for name in FILES}


def problems_of(**changed: str | bytes | None) -> list[Problem]:
    """The problems of the default files with these in their place (`limits="…"`; None leaves the file out)."""
    files: dict[str, str | bytes] = dict(DEFAULTS)
    for stem, text in changed.items():
        if text is None:
            del files[f"{stem}.yaml"]
        else:
            files[f"{stem}.yaml"] = text
    try:
        parse_rules(files)
    except RulesError as error:
        return list(error.problems)
    return []


def edited(name: str, old: str, new: str) -> Rules:
    """The default rules with one edit."""
    assert old in DEFAULTS[name]
    return parse_rules({**DEFAULTS, name: DEFAULTS[name].replace(old, new, 1)})


def test_the_default_files_say_what_the_types_default_to() -> None:
    """Whoever deletes an entry gets what was written there, so the files and the code tell one story."""
    rules = parse_rules(DEFAULTS)
    assert (rules.findings, rules.limits) == (Findings(), Limits())


def test_the_default_files_say_what_the_design_says() -> None:
    """Names, orders and numbers of design §5, read through the loader."""
    rules = parse_rules(DEFAULTS)
    assert list(rules.positions) == ["pres", "evp", "facrep", "arearep"]
    assert rules.member_types == {("Active", "6"): "Current Member", ("Retired", "6"): "Retired Member"}
    assert rules.mappings == {}
    assert rules.contacts.who.status == ("Active", "Retired")
    assert rules.contacts.fields["name"].from_ == "{first_name} {last_name}"
    assert rules.contacts.fields["custom_attributes.member_type"].from_ == ("status", "member_type_id")
    assert [identifier.by for identifier in rules.matching.identifiers] == [
        "mapping",
        "external_id",
        "custom_attributes.member_number",
        "email",
        "phone",
    ]
    assert (rules.sources.sql.members.table, rules.sources.mysql.emails.table) == ("members", "emailinformation")


def test_the_default_files_write_every_rule_and_limit_out() -> None:
    """A reader of findings.yaml and limits.yaml sees everything there is to set."""
    for name, struct in (("findings.yaml", Findings), ("limits.yaml", Limits)):
        root = parse(DEFAULTS[name], file=name).root
        assert root is not None
        assert isinstance(root.value, dict)
        assert tuple(root.value) == struct.__struct_encode_fields__


def test_reading_is_deterministic_and_ignores_other_files() -> None:
    """The order of files, Windows line ends and a README beside them change nothing."""
    rules = parse_rules(DEFAULTS)
    backwards: dict[str, str | bytes] = dict(reversed(DEFAULTS.items()))
    windows = {name: text.replace("\n", "\r\n").encode() for name, text in DEFAULTS.items()}
    assert parse_rules({**backwards, "README.md": "no: yes: no"}) == rules == parse_rules(windows)


PARTS = ("sources", "contacts", "matching", "findings", "limits", "positions", "mappings")


@settings(max_examples=50)
@given(
    st.dictionaries(st.from_regex(r"[a-z]{2,8}", fullmatch=True), st.text("aé 0:#'\"", min_size=1), max_size=3),
    st.dictionaries(st.from_regex(r"[a-f0-9]{24}", fullmatch=True), st.from_regex(r"[0-9]{1,9}", fullmatch=True)),
    st.floats(0, 20),
)
def test_rules_written_out_are_read_as_they_were(
    codes: dict[str, str], mappings: dict[str, str], shrink: float
) -> None:
    """Nothing is lost or changed on the way from text to types: other names, numbers and decisions included."""
    default = parse_rules(DEFAULTS)
    rules = msgspec.structs.replace(
        default,
        positions={code: f"x{name}x" for code, name in codes.items()},
        mappings=mappings,
        limits=msgspec.structs.replace(default.limits, source=SourceGuards(shrink_percent=round(shrink, 2))),
    )
    trees = {f"{part}.yaml": msgspec.to_builtins(getattr(rules, part)) for part in PARTS}
    trees["member_types.yaml"] = {", ".join(pair): name for pair, name in rules.member_types.items()}
    written = {name: json.dumps(tree, ensure_ascii=False) for name, tree in trees.items()}
    read = parse_rules(written)
    assert msgspec.structs.replace(read, sha256=default.sha256, files=default.files) == rules
    assert read == parse_rules(written)


def test_loading_is_quick() -> None:
    """50 ms of CPU at most for all default files: `reconcile rules check` and the webhook read them at every start."""
    parse_rules(DEFAULTS)
    started = time.process_time()
    parse_rules(DEFAULTS)
    assert time.process_time() - started < 0.05


# Every key, one edit away from right


FREE_NAMES = {"positions.yaml": "codes are free", "member_types.yaml": "statuses and ids are free"}


def keys_of(node: Node) -> Iterator[tuple[str, int]]:
    """Every key of a tree with its line."""
    match node.value:
        case dict() as entries:
            for key, value in entries.items():
                yield key, value.line
                yield from keys_of(value)
        case tuple() as items:
            for item in items:
                yield from keys_of(item)
        case _:
            pass


def mutations() -> Iterator[Any]:
    """(file, line, text, mutated text): each key with one letter lost, doubled, or changed to upper case."""
    for name in FILES.keys() - FREE_NAMES.keys():
        lines = DEFAULTS[name].split("\n")
        root = parse(DEFAULTS[name], file=name).root
        assert root is not None
        for key, line in keys_of(root):
            # The name of a custom attribute is free; the words before it are not.
            fixed = len("custom_attributes") if key.startswith("custom_attributes.") else len(key)
            for place in range(fixed):
                for letter in ("", key[place] * 2, key[place].upper()):
                    mutated = key[:place] + letter + key[place + 1 :]
                    if mutated not in (key, ""):
                        changed = lines[line - 1].replace(f"{key}:", f"{mutated}:", 1)
                        assert changed != lines[line - 1]
                        yield name, line, "\n".join([*lines[: line - 1], changed, *lines[line:]]), mutated


def test_every_key_one_edit_away_is_refused_with_file_and_line() -> None:
    """A slip in any key of any default file is an error at its line, never a rule silently left at its default (F1)."""
    count = 0
    for name, line, text, mutated in mutations():
        with pytest.raises(RulesError) as caught:
            parse_rules({name: text})
        said = [problem for problem in caught.value.problems if problem.file == name]
        assert said, f"{name}:{line}: {mutated} passed"
        assert line in [problem.line for problem in said], f"{name}:{line}: {mutated}: {said}"
        count += 1
    assert count > 1000


def test_every_key_one_letter_short_gets_the_right_name_suggested() -> None:
    """The nearest valid name is the one that was meant, for every rule of findings.yaml."""
    for name in Findings.__struct_encode_fields__:
        (problem,) = problems_of(findings=DEFAULTS["findings.yaml"].replace(f"{name}:", f"{name[:3]}{name[4:]}:", 1))
        assert problem.says == f"{name[:3]}{name[4:]}: unknown key; did you mean '{name}'?"


# Everything at once


BROKEN: dict[str, str | bytes | None] = {
    "sources": "sql:\n  members: {table: members; drop, columns: {number: membernumber, nmae: x}}\nmysql: []\n",
    "contacts": (
        "who: {status: Active, require: [emial]}\n"
        "fields:\n"
        "  external_id: {from: email}\n"
        "  emial: {from: email}\n"
        "  name: {from: '{first_nam} {last_name'}\n"
        "  phone: {from: phone, as: E164, region: us}\n"
        "  custom_attributes.region: {form: region}\n"
        "  custom_attributes.region: {from: region}\n"
    ),
    "matching": "identifiers:\n  - {by: email, is: phone}\n  - {by: emails, is: email}\nwhen_they_disagree: guess\n",
    "findings": (
        "archve-duplicates: {then: archive}\norphan-contact:\n  then: archve\n  looks_like: '[0-9'\nfix-phone: off\n"
    ),
    "limits": (
        "archive:\n  percent: lots\n  floor: 2.5\n  hard: 1000\nmerge: {hard: yes}\nunarchive: {hard: 100000}\n"
        "source: {shrink_percent: 50}\ncanary: 10\n"
    ),
    "positions": "pres: NATCA President\npres: Other\nno: Nobody\nevp: 12\n",
    "member_types": None,
    "mappings": "5ba682d2: *a\n5ba682d3: [1]\n",
    "mapings": "a: 1\n",
}


def test_all_problems_of_all_files_are_said_at_once(snapshot: SnapshotAssertion) -> None:
    """Whoever corrects the files sees the whole list, in file and line order, as it is printed."""
    assert "\n".join(map(str, problems_of(**BROKEN))) == snapshot


@pytest.mark.parametrize("name", [name for name in FILES if name not in OPTIONAL])
def test_a_missing_or_empty_file_is_a_problem(name: str) -> None:
    """An absent file is more likely a failed copy than a wish for the defaults."""
    stem = name.removesuffix(".yaml")
    assert [str(problem) for problem in problems_of(**{stem: None})] == [f"{name}: the file is missing"]
    assert [str(problem) for problem in problems_of(**{stem: "# nothing\n"})] == [f"{name}: the file is empty"]


@pytest.mark.parametrize("text", [None, "", "# nothing\n", "{}\n"])
def test_mappings_may_be_absent_or_empty(text: str | None) -> None:
    """Nobody needs to have decided anything."""
    assert problems_of(mappings=text) == []


@pytest.mark.parametrize(
    ("name", "meant"),
    [("finding.yaml", "findings.yaml"), ("Limits.yaml", "limits.yaml"), ("mappings.yml", "mappings.yaml")],
)
def test_a_misnamed_file_is_a_problem(name: str, meant: str) -> None:
    """A file that nobody reads must not look as if it ruled."""
    with pytest.raises(RulesError) as caught:
        parse_rules({**DEFAULTS, name: ""})
    assert str(caught.value.problems[0]) == f"{name}: not the name of a rule file; did you mean '{meant}'?"


def test_the_error_says_what_to_do_next() -> None:
    """The text counts the problems and every refusal ends with the next step (design §6)."""
    with pytest.raises(RulesError, match=r"^1 problem in the rules:\nlimits\.yaml: the file is empty$") as caught:
        parse_rules({**DEFAULTS, "limits.yaml": ""})
    assert "reconcile rules check" in caught.value.next_step


@settings(max_examples=50)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_no_damage_to_a_file_is_a_crash(name: str, data: st.DataObject) -> None:
    """A cut, a stray character or a lost line gives rules or a list of problems with lines within the file."""
    text = DEFAULTS[name]
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    damaged = text[:start] + data.draw(st.text(alphabet="ab:-[]{}\"' \n\t#*&!0", max_size=4)) + text[end:]
    for problem in problems_of(**{name.removesuffix(".yaml"): damaged}):
        assert problem.file == name
        assert 0 <= problem.line <= damaged.count("\n") + 1


# The digest


def swapped(two_lines: str) -> str:
    """The same two lines, the second one first."""
    first, second = two_lines.split("\n")
    return f"{second}\n{first}"


COLUMNS = "      member_id: memberid\n      email: email"
TYPES = "Active, 6: Current Member\nRetired, 6: Retired Member"
CODES = "pres: NATCA President\nevp: Executive Vice President"

SAME_MEANING = [
    ("limits.yaml", "merge: {hard: 25, per_week: 75}", "# a comment\n\nmerge:\n  per_week: 75\n  hard: 25", "layout"),
    ("limits.yaml", "percent: 10,", "percent: 10.0,", "10 and 10.0 are one number"),
    ("limits.yaml", "create: {percent: 10, floor: 100}", "", "left out is the same as its default"),
    ("contacts.yaml", "{from: region}", '{"from": "region", join: ", "}', "quotes, and a default written out"),
    ("sources.yaml", COLUMNS, swapped(COLUMNS), "columns have no order"),
    ("member_types.yaml", TYPES, swapped(TYPES), "pairs have no order"),
    ("member_types.yaml", "Active, 6", "Active,6", "the space after the comma"),
    ("mappings.yaml", "# For example", "{}\n# For example", "empty in two ways"),
]
OTHER_MEANING = [
    ("limits.yaml", "hard: 25", "hard: 26", "a limit"),
    ("findings.yaml", "then: create", "then: report", "what a rule does"),
    ("findings.yaml", "last_seen, oldest", "oldest, last_seen", "which contact is kept"),
    ("contacts.yaml", "[Active, Retired]", "[Active]", "who is a contact"),
    ("contacts.yaml", "  custom_attributes.region: {from: region}\n", "", "what is owned"),
    ("matching.yaml", "  - {by: external_id, is: member_number}\n", "", "what ties"),
    ("positions.yaml", "evp: Executive", "vp: Executive", "a code"),
    ("positions.yaml", CODES, swapped(CODES), "the order in which names are joined"),
    ("member_types.yaml", "Active, 6", "Active, 7", "a pair"),
    ("mappings.yaml", "# For example", "5ba682d2: 0123\n# For example", "a decision"),
    ("sources.yaml", "table: members", "table: people", "where members are read"),
    ("findings.yaml", "expected_of: []", "expected_of: [Retired Member]", "who is expected to hold a position"),
    ("regions.yaml", "# NEA", "NEA", "a region"),
    ("facilities.yaml", "# ZNY", "ZNY", "a facility"),
]


@pytest.mark.parametrize(("name", "old", "new", "reason"), SAME_MEANING, ids=[row[3] for row in SAME_MEANING])
def test_the_digest_stays_where_the_meaning_does(name: str, old: str, new: str, reason: str) -> None:
    """A stored plan names its rules by this digest: a comment must not make two rule sets of one."""
    assert edited(name, old, new).sha256 == parse_rules(DEFAULTS).sha256, reason


@pytest.mark.parametrize(("name", "old", "new", "reason"), OTHER_MEANING, ids=[row[3] for row in OTHER_MEANING])
def test_the_digest_changes_with_the_meaning(name: str, old: str, new: str, reason: str) -> None:
    """Two rule sets that decide differently never share a digest."""
    assert edited(name, old, new).sha256 != parse_rules(DEFAULTS).sha256, reason


# Mappings


def test_member_numbers_of_mappings_are_kept_as_written() -> None:
    """Member numbers are strings: zeros in front are part of them, and quotes are not needed."""
    text = '5ba682d2: 0123\n5ba682d3: 12345\n5ba682d4: "007"\n"507199": A-1_000\n5ba682d5: 1_000\n'
    rules = parse_rules({**DEFAULTS, "mappings.yaml": text})
    assert rules.mappings == {
        "5ba682d2": "0123",
        "5ba682d3": "12345",
        "5ba682d4": "007",
        "507199": "A-1_000",
        "5ba682d5": "1_000",
    }


def test_mappings_from_json() -> None:
    """The form of `--mappings FILE`; the same decision twice is no contradiction."""
    text = '[{"contact_id": "a1", "member_number": "0123"}, {"member_number": "0123", "contact_id": "a1"}]'
    assert parse_mappings_json(text, where="m.json") == {"a1": "0123"} == parse_mappings_json(text.encode(), where="m")
    assert parse_mappings_json("[]", where="m.json") == {}


def entry(contact: str, number: str, more: str = "") -> str:
    """One entry of a mappings file; `number` is JSON already."""
    return f'{{"contact_id": "{contact}", "member_number": {number}{more}}}'


ONE = entry("a1", '"1"')
UNREADABLE = "m.json: not JSON that can be read: "

JSON_REFUSED: list[tuple[str | bytes, list[str], str]] = [
    ('{"a1": "1"}', ["m.json: expected a list of"], "a map"),
    (f"[{entry('a1', '123')}]", ["m.json: entry 1: Expected `str`, got `int`"], "a number loses zeros"),
    ("[{}, " + entry("a1", '"1"', ', "x": 1') + "]", ["m.json: entry 1: ", "m.json: entry 2: "], "all at once"),
    ("[" + ONE + "," + entry("a1", '"2"') + "]", ["m.json: entry 2: contact a1 has another"], "a contradiction"),
    ("[" + entry("a1", '"1"', ', "contact_id": "a2"') + "]", [f"{UNREADABLE}the key"], "the last one would win"),
    ("[" + entry(" a1", '"1"') + "]", ["m.json: entry 1: contact_id: blank"], "no id"),
    ("[" + entry("a1", '""') + "]", ["m.json: entry 1: member_number: blank"], "no member number"),
    ('[\n{"contact_id": }]', ["m.json:2: not JSON: "], "a slip"),
    ("[" * 100_000, [UNREADABLE], "too deep"),
    (b"\xff\xfe\xfa", [UNREADABLE], "no text"),
    ("", ["m.json:1: not JSON: "], "an empty file"),
]


@pytest.mark.parametrize(("text", "said", "reason"), JSON_REFUSED, ids=[row[2] for row in JSON_REFUSED])
def test_mappings_from_json_that_are_refused(text: str | bytes, said: list[str], reason: str) -> None:
    """A mapping outranks everything a contact says about itself, so nothing about it is guessed."""
    with pytest.raises(RulesError) as caught:
        parse_mappings_json(text, where="m.json")
    problems = [str(problem) for problem in caught.value.problems]
    assert len(problems) == len(said), reason
    assert all(problem.startswith(start) for problem, start in zip(problems, said, strict=True)), problems


def test_mappings_of_the_command_line_lie_over_those_of_the_file() -> None:
    """The digest is that of the same mappings in the file: it speaks of meaning, not of where it was written."""
    rules = parse_rules({**DEFAULTS, "mappings.yaml": "a1: 1\na2: 2\n"})
    both = with_mappings(rules, {"a2": "3", "a3": "4"})
    assert both.mappings == {"a1": "1", "a2": "3", "a3": "4"}
    assert both.sha256 != rules.sha256
    assert both == parse_rules({**DEFAULTS, "mappings.yaml": "a3: 4\na2: 3\na1: 1\n"})
    assert with_mappings(rules, {}) == rules
