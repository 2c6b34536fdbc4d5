from pathlib import Path

import pytest

from reconciler.core.ceilings import CEILINGS, REQUIRED
from reconciler.core.rules.loader import FILES, parse_rules
from reconciler.errors import RulesError

RULES = Path(__file__).parents[2] / "rules"
DEFAULTS: dict[str, str] = {name: (RULES / name).read_text(encoding="utf-8") for name in FILES}

# file, what stands there, what an edit makes of it, what is said about it
REFUSED: list[tuple[str, str, str, str]] = [
    ("sources.yaml", "      email: email\n      phone", "      phone", "sql.members.columns: no column for email"),
    ("sources.yaml", "      id: id\n", "", "mysql.members.columns: no column for id"),
    ("sources.yaml", "code: positioncode", "kode: positioncode", "did you mean 'code'?"),
    ("sources.yaml", "table: members", "table: public.members", "cannot be the name of a table or column"),
    ("sources.yaml", "firstname", "'first name'", "cannot be the name of a table or column"),
    ("sources.yaml", "firstname", "'a;drop table x'", "cannot be the name of a table or column"),
    ("sources.yaml", "firstname", "1st", "cannot be the name of a table or column"),
    ("contacts.yaml", "[Active, Retired]", "[]", "who.status: no status: nobody would be a contact"),
    ("contacts.yaml", "[Active, Retired]", "[Active, Active]", "'Active' stands here twice"),
    ("contacts.yaml", "[Active, Retired]", "[Active, 'Retired ']", "who.status #2: blank, or with a space around it"),
    ("contacts.yaml", "[Active, Retired]", "[Active Retired]", "who.status #1: two statuses in one text; a comma"),
    ("contacts.yaml", "[Active, Retired]", "[Active, retired]", "'retired' in one place and 'Retired' in member_types"),
    ("contacts.yaml", "[Active, Retired]", "[Active, Retired, Honorary]", ""),
    ("contacts.yaml", "[Active, Retired]", "Active, Retired", "found 'Active, Retired'; write [Active, Retired]"),
    (
        "contacts.yaml",
        "custom_attributes.region: {from: region}",
        "custom_attributes: {region: {from: region}}",
        "maps within a map; write custom_attributes.region: {…}, a line for each",
    ),
    ("contacts.yaml", "{from: region}", "region", "expected a map, found 'region'; its keys: from, is, as, region,"),
    ("contacts.yaml", "{from: region}", "from:region", "found 'from:region'; a colon needs a space behind it"),
    ("contacts.yaml", "{from: region}", "{from:region}", "from:region: unknown key; a colon needs a space behind it"),
    ("contacts.yaml", "{from: region}", "{from region}", "from region: unknown key; a colon is missing after 'from'"),
    (
        "contacts.yaml",
        "custom_attributes.member_number: {from: member_number}",
        "custom_attributes.member_number: {from: facility}",
        "must be 'member_number': custom_attributes.member_number says who the contact is",
    ),
    ("contacts.yaml", "[email]", "[positions]", "who.require: positions cannot be required"),
    ("contacts.yaml", "{from: region}", "{from: region, is: x}", "exactly one of 'from' and 'is' must be given"),
    ("contacts.yaml", "{from: region}", "{}", "exactly one of 'from' and 'is' must be given"),
    ("contacts.yaml", "{from: region}", "{is: ' '}", "custom_attributes.region.is: blank"),
    ("contacts.yaml", "{from: region}", "{from: regoin}", "did you mean 'region'?"),
    ("contacts.yaml", "{from: region}", "{from: [region, positions]}", "positions cannot stand in a list"),
    ("contacts.yaml", "{from: region}", "{from: []}", "an empty list"),
    ("contacts.yaml", "{from: region}", "{from: positions}", "positions need 'names: positions.yaml'"),
    ("contacts.yaml", "{from: region}", "{from: '{region'}", "a brace without its other half"),
    ("contacts.yaml", "{from: region}", "{from: '{{region}}'}", "a brace without its other half"),
    ("contacts.yaml", "{from: region}", "{from: 'x {} y'}", "no field of a member: '{}'"),
    ("contacts.yaml", "{from: region}", "{from: '{region!r:>9}'}", "did you mean 'region'?"),
    ("contacts.yaml", "{from: region}", "{from: '{positions}'}", "no field of a member: '{positions}'"),
    ("contacts.yaml", "{from: region}", "{from: region, names: positions.yaml}", "needs 'from: positions'"),
    ("contacts.yaml", "[status, member_type_id]", "[member_type_id, status]", "needs 'from: [status, member_type_id]'"),
    ("contacts.yaml", "{from: region}", "{from: region, as: e164}", "e164 needs 'from: phone'"),
    ("contacts.yaml", "region: US", "region: us", "did you mean 'US'?"),
    ("contacts.yaml", "region: US", "region: NO", ""),
    ("contacts.yaml", "region: US", "region: USA", "no country by its two letters"),
    ("contacts.yaml", "{from: region}", "{from: phone, as: e164, region: GB}", "must be 'US' as for phone"),
    ("contacts.yaml", "{from: member_number}", "{from: email}", "must be 'member_number'"),
    ("contacts.yaml", "{from: email}", "{from: phone}", "must be 'email'"),
    ("contacts.yaml", "{from: phone, as: e164,", "{from: region,", "must be 'phone'"),
    ("contacts.yaml", "{is: user}", "{is: lead}", "must be 'user'"),
    ("contacts.yaml", "{is: user}", "{from: status}", "must be 'user'"),
    ("contacts.yaml", "{from: email}", "{from: email, on_blank: clear}", "email cannot be cleared in Intercom"),
    ("contacts.yaml", "custom_attributes.region", "custom_attributes.a.b", "no '.' or '$' in it"),
    ("contacts.yaml", "custom_attributes.region", "custom_attributes.a$b", "no '.' or '$' in it"),
    ("contacts.yaml", "custom_attributes.region", "custom_attributes.", "has 1 to 190 characters"),
    ("contacts.yaml", "custom_attributes.region", "custom_attributes." + "x" * 191, "has 1 to 190 characters"),
    ("contacts.yaml", "custom_attributes.region", "custom_attributes." + "x" * 190, ""),
    ("contacts.yaml", "custom_attributes.region", "signed_up_at", "no field of a contact"),
    ("matching.yaml", "is: email", "is: phone", "email can only be 'email', found 'phone'"),
    ("matching.yaml", "by: mapping, is: member_number", "by: mapping, is: email", "can only be 'member_number'"),
    ("matching.yaml", "by: mapping", "by: external_id", "identifiers #2: 'external_id' stands here twice"),
    ("matching.yaml", "any_of: [email, name, phone]", "any_of: []", "an empty list confirms nothing"),
    ("matching.yaml", "any_of: [email, name, phone]", "any_of: [name, name]", "any_of #2: 'name' stands here twice"),
    ("matching.yaml", "any_of: [name]", "any_of: [phone, name]", "phone cannot confirm itself"),
    ("matching.yaml", "{any_of: [name]}", "name", "expected a map, found 'name'; its keys: any_of, or_when_blank"),
    ("findings.yaml", "oldest, smallest_id]", "oldest]", "must end with 'smallest_id'"),
    ("findings.yaml", "oldest, smallest_id]", "oldest, oldest, smallest_id]", "keep #5: 'oldest' stands here twice"),
    (
        "findings.yaml",
        "[external_id_is_member_number, role_user, last_seen, oldest, smallest_id]",
        "[]",
        "must end with",
    ),
    ("findings.yaml", "any_of: [email, name, phone]", "any_of: []", "an empty list confirms nothing"),
    ("findings.yaml", '"[0-9]{3,}"', '"[0-9"', "no regular expression: unterminated character set"),
    ("findings.yaml", '"[0-9]{3,}"', '".*"', "takes an empty text for a member number"),
    ("findings.yaml", '"[0-9]{3,}"', '".+"', "takes a UUID for a member number"),
    ("findings.yaml", "label: Former Member", "label: ''", "must be a text of 1 to 255 characters"),
    ("limits.yaml", "create: {percent: 10, floor: 100}", "create: {floor: 100}", "this class would have no limit"),
    (
        "limits.yaml",
        "create: {percent: 10, floor: 100}",
        "create: {percent: , floor: 1}",
        "this class would have no limit",
    ),
    ("limits.yaml", "create: {percent: 10, floor: 100}", "create: {hard: 100}", ""),
    ("limits.yaml", "percent: 10,", "percent: 101,", "expected a number between 0 and 100, found 101"),
    ("limits.yaml", "percent: 10,", "percent: -1,", "expected a number between 0 and 100, found -1"),
    ("limits.yaml", "floor: 100", "floor: true", "expected a whole number of at least 0, found true"),
    ("limits.yaml", "plan_lifetime_hours: 24", "plan_lifetime_hours: 0", "expected a number above 0, found 0"),
    ("limits.yaml", "[10, 100]", "[100, 10]", "each size must be larger than the one before it"),
    ("limits.yaml", "[10, 100]", "[10, 10]", "each size must be larger than the one before it"),
    ("limits.yaml", "[10, 100]", "[0]", "a canary of 0 tries nothing"),
    ("limits.yaml", "[10, 100]", "[]", ""),
    ("limits.yaml", "[10, 100]", "off", "canary: expected a list, found 'off'; write [] for none"),
    ("limits.yaml", "update: {", "update: {per_week: 9, ", "archives and merges alone are counted over a week"),
    ("limits.yaml", ", per_week: 400", "", ""),
    ("limits.yaml", "{percent: 2, count: 20}", "{percent: 0, count: 0}", ""),
    ("limits.yaml", "count: 20", "cuont: 20", "did you mean 'count'?"),
    ("findings.yaml", "expected_of: []", "expected_of: [X, X]", "'X' stands here twice"),
    ("findings.yaml", "expected_of: []", "expected_of: [Curent Member]", "did you mean 'Current Member'?"),
    ("findings.yaml", "expected_of: []", "expected_of: ['Active,6']", "with a name; write 'Current Member'"),
    ("findings.yaml", "expected_of: []", "expected_of: [Retired Member, 'Active, 7']", ""),
    ("regions.yaml", "# NEA: New", "' NEA': New", "a code that is blank, or has a space around it"),
    ("facilities.yaml", "# ZNY: New York Center", "ZNY: ' '", "a name that is blank, or has a space around it"),
    ("facilities.yaml", "# ZNY: New York Center", "ZNY: ZNY\nZNY: ZNY", "'ZNY' stands here twice"),
    ("positions.yaml", "pres: NATCA", "' pres': NATCA", "a code that is blank, or has a space around it"),
    ("positions.yaml", "NATCA President", "' '", "a name that is blank, or has a space around it"),
    ("positions.yaml", "NATCA President", "x" * 256, "expected a text of 1 to 255 characters"),
    ("positions.yaml", "NATCA President", "", "expected a text of 1 to 255 characters, found nothing"),
    ("member_types.yaml", "Active, 6", "Active 6", "a key here is a status, a comma and a member type id"),
    ("member_types.yaml", "Active, 6", "Active,", "a key here is a status, a comma and a member type id"),
    ("member_types.yaml", "Active, 6", "Retired,6", "the same status and id as in line"),
    ("member_types.yaml", "Active, 6", "6, Active", "the status comes first: 'Active, 6'"),
    ("mappings.yaml", "# For example", "'a b': 1\n#", "no id of a contact"),
    (
        "mappings.yaml",
        "# For example",
        "'1234': 5ba682d23d7cf92bef87bfd4\n#",
        "the id of a contact in place of a member",
    ),
    ("mappings.yaml", "# For example", "https://x.test/a1: 1\n#", "only what stands behind the last /"),
    ("regions.yaml", "# NEA: New", "- NEA: New", "found a list; each line is a key, a colon, a space and a value"),
    ("mappings.yaml", "# For example", "a1: ''\n#", "no member number"),
    ("mappings.yaml", "# For example", "a1: 1 2\n#", "no member number"),
    ("mappings.yaml", "# For example", "a1: 1.5\n#", "expected a text or a whole number, found 1.5"),
    ("mappings.yaml", "# For example", "a1: true\n#", "expected a text or a whole number, found true"),
    ("mappings.yaml", "# For example", "a1:\n#", "expected a text or a whole number, found nothing"),
]


@pytest.mark.parametrize(("name", "old", "new", "says"), REFUSED, ids=[f"{row[0]}: {row[2][:40]}" for row in REFUSED])
def test_one_edit_of_the_default_files(name: str, old: str, new: str, says: str) -> None:
    """What the types cannot say is checked too: each edit gives one problem at its line, or none where it is right."""
    line = DEFAULTS[name][: DEFAULTS[name].index(old)].count("\n") + 1
    try:
        parse_rules({**DEFAULTS, name: DEFAULTS[name].replace(old, new, 1)})
    except RulesError as error:
        (problem,) = error.problems
        assert says, problem
        assert says in problem.says
        assert problem.file == name
        assert abs(problem.line - line) <= 8 if "columns" in problem.says else abs(problem.line - line) <= 1, problem
    else:
        assert not says


@pytest.mark.parametrize(("name", "ceiling"), CEILINGS.items())
def test_no_number_goes_over_its_ceiling(name: str, ceiling: float) -> None:
    """The ceiling itself is allowed; one more is refused, naming the ceiling and where it stands (F4)."""
    part, _, field = name.partition(".")
    hard = "hard: 1, " if f"{part}.hard" in REQUIRED and field != "hard" else ""
    percent = "percent: 1, " if field == "floor" and not hard else ""
    for value, allowed in ((ceiling, True), (ceiling + 1, False)):
        text = f"# limits\n{part}: {{{hard}{percent}{field}: {value}}}\n" if field else f"# limits\n{part}: {value}\n"
        problems = []
        try:
            parse_rules({**DEFAULTS, "limits.yaml": text})
        except RulesError as error:
            problems = [str(problem) for problem in error.problems]
        if allowed:
            assert problems == []
        elif not (field == "percent" and ceiling == 100):  # the type says that already
            stands = "which stands in code (core/ceilings.py) and no rule file can raise"
            assert problems == [f"limits.yaml:2: {name}: {value} is over {ceiling}, {stands}"]
        else:
            assert problems == [f"limits.yaml:2: {name}: expected a number between 0 and 100, found {value}"]


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("written", ["{percent: 1}", "{percent: 1, hard: }", "{}", "{hard: null}"])
def test_archives_and_merges_always_have_a_hard_number(name: str, written: str) -> None:
    """Left out or emptied, it would mean no limit."""
    with pytest.raises(RulesError) as caught:
        parse_rules({**DEFAULTS, "limits.yaml": f"{name.partition('.')[0]}: {written}\n"})
    (problem,) = caught.value.problems
    assert str(problem) == f"limits.yaml:1: {name}: missing; it must be a number of at most {CEILINGS[name]}"


def test_every_ceiling_is_over_its_default() -> None:
    """The ceilings name numbers that exist, and the default files are within them."""
    limits = parse_rules(DEFAULTS).limits
    for name, ceiling in CEILINGS.items():
        value = limits
        for part in name.split("."):
            value = getattr(value, part)
        assert value is None or value <= ceiling  # type: ignore[operator]  # by now a number


def test_a_broken_entry_hides_no_other_entry() -> None:
    """A wrong type in one entry leaves the checks of its neighbours in place."""
    text = (
        "who: {status: Active}\nfields:\n  role: {is: 5}\n  phone: {from: phone, region: xx}\n  emial: {from: email}\n"
    )
    with pytest.raises(RulesError) as caught:
        parse_rules({**DEFAULTS, "contacts.yaml": text})
    assert [problem.line for problem in caught.value.problems] == [1, 3, 4, 5]
