import time
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.rules.strict_yaml import MAX_BYTES, MAX_DEPTH, MAX_PROBLEMS, Node, parse, plain

VALUES: list[tuple[str, Any, str]] = [
    ("NO", "NO", "YAML 1.1: False"),
    ("no", "no", "YAML 1.1: False"),
    ("off", "off", "YAML 1.1: False; here a word of findings.yaml"),
    ("Yes", "Yes", "YAML 1.1: True"),
    ("True", "True", "only the lower-case word is a boolean"),
    ("true", True, "a boolean"),
    ("false", False, "a boolean"),
    ("0123", "0123", "YAML 1.1: 83, octal"),
    ("0", 0, "a number"),
    ("-7", -7, "a number"),
    ("12345", 12345, "a number"),
    ("+7", "+7", "the start of a phone number"),
    ("+16175550123", "+16175550123", "YAML 1.1: a number"),
    ("12:30", "12:30", "YAML 1.1: 750, base 60"),
    ("1_000", "1_000", "YAML 1.1: 1000"),
    ("1e3", "1e3", "YAML 1.2: 1000.0; YAML 1.1: text"),
    ("1.5", 1.5, "a number"),
    ("1.", "1.", "a number to some readers"),
    (".5", ".5", "a number to some readers"),
    (".inf", ".inf", "YAML: infinity"),
    (".nan", ".nan", "YAML: not a number"),
    ("0x1F", "0x1F", "YAML: 31"),
    ("0o17", "0o17", "YAML 1.2: 15"),
    ("2026-11-23", "2026-11-23", "YAML 1.1: a date"),
    ("9" * 19, "9" * 19, "too long for any count; a float would lose digits"),
    ("9" * 5000, "9" * 5000, "Python refuses to read a number this long"),
    ("", None, "nothing"),
    ("~", None, "nothing"),
    ("null", None, "nothing"),
    ("Null", "Null", "YAML 1.1: nothing"),
    ("=", "=", "YAML 1.1: the default value"),
    ('"true"', "true", "quotes make text"),
    ("'12'", "12", "quotes make text"),
    ('""', "", "quotes make text"),
    ("ü😀", "ü😀", "any language"),
]


@pytest.mark.parametrize(("written", "value", "reason"), VALUES)
def test_a_value_is_what_a_person_reads(written: str, value: Any, reason: str) -> None:
    """Only what cannot be read as text is something else, so that nothing changes its meaning in silence."""
    document = parse(f"key: {written}\n", file="f.yaml")
    assert document.root is not None
    assert (plain(document.root), document.problems) == ({"key": value}, ()), reason
    assert type(plain(document.root)["key"]) is type(value), reason


@pytest.mark.parametrize(
    "key",
    [
        "no",
        "Yes",
        "on",
        "true",
        "0123",
        "12",
        "1.5",
        "12:30",
        "1_000",
        "1e3",
        "0o17",
        "~",
        "null",
        "2026-11-23",
        "<<",
        "=",
    ],
)
def test_a_key_that_others_read_as_no_text_needs_quotes(key: str) -> None:
    """An editor or another program would turn such a key into something else, so it is refused unless quoted."""
    (problem,) = parse(f"# first line\n{key}: x\n", file="f.yaml").problems
    assert str(problem).startswith(f"f.yaml:2: the key {key} is read as ")
    quoted = parse(f"'{key}': x\n", file="f.yaml")
    assert quoted.root is not None
    assert (plain(quoted.root), quoted.problems) == ({key: "x"}, ())


REFUSED: list[tuple[str | bytes, int, str, str]] = [
    ("a: 1\nb: 2\na: 3\n", 3, "'a' stands here twice; first in line 1", "the last one would win in silence"),
    ("a: {b: 1,\n  b: 2}\n", 2, "'b' stands here twice", "flow maps as well"),
    ("a: 1\n'a': 3\n", 2, "'a' stands here twice", "quotes do not make another key"),
    ("a: &x 1\n", 1, "an anchor (&x)", "anchors serve aliases only"),
    ("a: &x [1]\n", 1, "an anchor (&x)", "anchors serve aliases only"),
    ("a: 1\nb: *x\n", 2, "an alias (*x)", "aliases multiply"),
    ("*x : 1\n", 1, "an alias (*x)", "aliases as keys"),
    (
        "a: !!python/object/apply:os.system ['true']\n",
        1,
        "a tag (!!python/object/apply:os.system)",
        "runs code elsewhere",
    ),
    ("a: !!str 1\n", 1, "a tag (!!str)", "even a harmless tag changes a meaning"),
    ("a: ! 1\n", 1, "a tag (!)", "even the empty tag"),
    ("? [a, b]\n: 1\n", 1, "a map or list as a key", "keys are text"),
    ("? {a: b}\n: 1\n", 1, "a map or list as a key", "keys are text"),
    ("a: 1\n---\nb: 2\n", 2, "a second document", "most readers drop it"),
    ("%YAML 1.1\n---\na: 1\n", 1, "a directive", "changes how the rest is read"),
    ("# c\n%TAG !e! tag:x:\n---\na: 1\n", 2, "a directive", "changes how the rest is read"),
    ("a: 1\n b: 2\n", 2, "not YAML: indented otherwise than the lines before it", "a syntax error keeps its line"),
    ("a:\n\t- x\n", 2, "not YAML: a tab; indent with spaces", "a tab as indentation"),
    ("a:\r\n\t- x\r\n", 2, "not YAML: a tab; indent with spaces", "the same as Windows writes it"),
    ("a: [1\n", 1, "not YAML: the list that begins here is not closed", "a bracket never closed, noticed at the end"),
    ("a: [1,\n  2\nb: {c: 1\n", 1, "not YAML: the list that begins here", "noticed lines later, said where it began"),
    ("a: {b: 1\n", 1, "not YAML: the map that begins here is not closed", "the same of a brace"),
    ('a: "x\nb: 1\n', 1, "not YAML: the quote that begins here is not closed", "the same of a quote"),
    ('a: "\\d"\n', 1, "not YAML: a backslash in a text in double quotes", "a regular expression"),
    ("a: x: y\n", 1, "not YAML: a second colon in one line; put a text", "a text with a colon"),
    ("a b\n# c\nd: 1\n", 1, "not YAML: a key without ': '", "a colon forgotten, noticed a line later"),
    ("a: @x\n", 1, "not YAML: no text begins with '@' unless it is in quotes", "a letter that YAML keeps for itself"),
    ("a:\n  - 1\n  -2\n", 3, "not YAML: ", "a dash without its space"),
    ("- a\nb: 1\n", 2, "not YAML: each item of a list begins with '- '", "a line that is no item"),
    ("  a: 1\nb: 2\n", 2, "not YAML: indented otherwise than the lines before it", "a line moved by a space or two"),
    ("a: ,\nb: [, 1]\n", 1, "not YAML: ", "a comma for a value"),
    ("a: 1\nb\nc: 2\n", 2, "not YAML: a key without ': '", "a key without its colon, noticed a line later"),
    (b"a: 1\nb: \xff\n", 2, "not UTF-8: byte 0xff", "Latin-1"),
    ("a: 1\n".encode("utf-16"), 1, "not UTF-8: byte 0xff", "UTF-16, as Windows programs save"),
    (b"a: 1\nb: x\x00y\n", 2, "U+0000", "a control character"),
    ("a: \x1b[31mred\n", 1, "U+001B", "would paint the terminal of who reads the error"),
    ("a: x\u202ey\n", 1, "U+202E", "turns the direction of writing: the line looks other than it is"),
    ("a: x\u2028b: y\n", 1, "U+2028", "a line break to YAML 1.1, none to an editor"),
    ("a: x\ufeffy\n", 1, "U+FEFF", "a byte order mark within the text"),
    ("a: x\ud800y\n", 1, "U+D800", "half a character"),
    ('a: "x\\x07y"\n', 1, "U+0007", "a control character by its code"),
    ("#" * (MAX_BYTES + 1), 0, "longer than 1 MiB", "huge"),
    (b"#" * (MAX_BYTES + 1), 0, "longer than 1 MiB", "huge, as bytes"),
    ("#" + "ü" * (MAX_BYTES // 2), 0, "longer than 1 MiB", "huge in bytes only"),
    ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, "more than 32 maps and lists", "too deep"),
    ("[" * 500_000, 1, "more than 32 maps and lists", "far too deep"),
    ("{a: " * (MAX_DEPTH + 1), 1, "more than 32 maps and lists", "too deep by maps"),
]


@pytest.mark.parametrize(("text", "line", "says", "reason"), REFUSED, ids=[row[3] for row in REFUSED])
def test_what_yaml_allows_and_a_rule_file_does_not(text: str | bytes, line: int, says: str, reason: str) -> None:
    """Each trap is refused with its line and named in plain words."""
    (problem,) = parse(text, file="f.yaml").problems
    assert (problem.file, problem.line) == ("f.yaml", line), reason
    assert says in problem.says, reason


def test_all_problems_are_said_at_once() -> None:
    """Reading goes on after a problem, and a syntax error does not hide those before it."""
    text = "a: 1\na: 2\na: 3\nno: 4\nb: *x\nc: &y !t 1\nd: [\n"
    problems = parse(text, file="f.yaml").problems
    assert [problem.line for problem in problems] == [2, 3, 4, 5, 6, 6, 7]


def test_a_flood_of_problems_ends() -> None:
    """A file that is wrong throughout gives a list that a person can still read, and costs no memory."""
    problems = parse("a: 1\n" * 100_000, file="f.yaml").problems
    assert len(problems) == MAX_PROBLEMS + 1
    assert problems[-1].says == "100 problems; the rest was not read"


def test_an_alias_bomb_is_refused_and_never_unfolded() -> None:
    """332 bytes that would be 10⁹ leaves once walked (failure mode F3)."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{new}: &{new} [{','.join([f'*{old}'] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    started = time.process_time()
    document = parse("\n".join(lines), file="f.yaml")
    assert document.problems
    assert time.process_time() - started < 0.5


def test_every_key_and_item_has_its_line() -> None:
    """Later errors name the line where the key or the list item stands, also where the value is further down."""
    document = parse("# c\na:\n  b: |\n    text\n  c:\n    - x\n    -\n    - {d: 012,\n       e: 7}\n", file="f.yaml")

    def lines(node: Node) -> Any:
        match node.value:
            case dict() as entries:
                return {key: (value.line, lines(value)) for key, value in entries.items()}
            case tuple() as items:
                return [(item.line, lines(item)) for item in items]
            case _:
                return node.written

    assert document.root is not None
    assert lines(document.root) == {
        "a": (2, {"b": (3, "text\n"), "c": (5, [(6, "x"), (7, ""), (8, {"d": (8, "012"), "e": (9, "7")})])})
    }


@pytest.mark.parametrize("text", ["", "# only a comment\n", "---\n", b"", "\ufeff# saved by Notepad\n"])
def test_an_empty_file_is_a_node_without_value(text: str | bytes) -> None:
    """Whether a file may be empty is for its reader to say."""
    document = parse(text, file="f.yaml")
    assert document.problems == ()
    assert document.root is not None
    assert document.root.value is None


@pytest.mark.parametrize("text", ["\ufeffa: 1\nb: x\n", "a: 1\r\nb: x\r\n", "---\na: 1\nb: x\n...\n", b"a: 1\nb: x\n"])
def test_harmless_differences_are_read(text: str | bytes) -> None:
    """A byte order mark in front, Windows line ends and document marks change nothing."""
    document = parse(text, file="f.yaml")
    assert document.root is not None
    assert (plain(document.root), document.problems) == ({"a": 1, "b": "x"}, ())


@given(st.text() | st.binary() | st.text(alphabet="ab:-[]{}\"'&*!%|>#,? \n\t\x00\ufeff~01"))
def test_no_text_breaks_the_reader(text: str | bytes) -> None:
    """Whatever the bytes, there is a tree or a problem, never an exception."""
    document = parse(text, file="f.yaml")
    assert document.root is not None or document.problems


def test_a_quote_that_another_one_seems_to_close() -> None:
    """The parser notices where the next quote begins, thirty lines further down; said is where the first one did."""
    (problem,) = parse(f"a: 'x\n{'# dull' + chr(10) * 30}b: 'y'\n", file="f.yaml").problems
    assert problem.line == 32
    assert problem.says.endswith("; or the quote in line 1 is not closed: it goes on to line 32")


_TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**17), 10**17)
    | st.text(st.characters(min_codepoint=32, max_codepoint=126)),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text("abcxyz_-", min_size=1).map(lambda key: f"k{key}"), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(_TREES)
def test_what_pyyaml_writes_is_read_as_it_was(tree: Any) -> None:
    """Where text is quoted as YAML asks, both readers agree: strictness changes no honest file."""
    document = parse(yaml.safe_dump(tree, default_style=None), file="f.yaml")
    assert document.problems == ()
    assert document.root is not None
    assert plain(document.root) == tree


@pytest.mark.parametrize(
    "text",
    [f"key: {written}\n" for written, _, _ in VALUES]
    + [text for text, _, says, _ in REFUSED if len(text) < 1000 and not says.startswith("not YAML")],
    ids=repr,
)
def test_the_slow_parser_reads_the_same(text: str | bytes) -> None:
    """Where libyaml is missing, PyYAML's own parser gives the same tree, lines and refusals."""
    assert parse(text, file="f.yaml", loader=yaml.SafeLoader) == parse(text, file="f.yaml")
