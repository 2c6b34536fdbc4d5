"""YAML read so that it means what a person sees: text → a tree of plain values, each with its line.

Built on the events of PyYAML's safe parser (libyaml where it is there), not on its loader: PyYAML's loader keeps the
last of two equal keys, reads `NO` as False, `0123` as 83 and `12:30` as 750, and a 332-byte file of aliases holds 10⁹
leaves. Here aliases, anchors, tags and second documents are refused, and a plain value is something other than text
only where nobody can read it as text: see `resolve`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.core.rules.slips import in_words
from reconciler.errors import Problem

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 32
"""Maps and lists inside each other. The rule files need four."""
MAX_PROBLEMS = 100
"""Where reading a file stops: whoever made more than this many mistakes has saved the wrong file."""

PlainScalar: TypeAlias = str | int | float | bool | None

FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The parser in C where PyYAML was built with it: ten times as fast, with the same events."""
_INT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,17}")

# All but tab, line feed and carriage return of the C0 and C1 controls; the separators that YAML 1.1 counts as line
# breaks and editors do not, so that our line numbers are theirs; the marks that change the direction of writing, which
# make a line look other than it is (CVE-2021-42574); half characters, and U+FEFF within the text.
_UNFIT_IN_FILE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff]"
)
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

_OTHER_READERS = {
    "bool": "true or false",
    "int": "a number",
    "float": "a number",
    "null": "nothing",
    "timestamp": "a date",
    "merge": "an order to merge",
    "value": "a default",
}
_NUMBER_OF_YAML_1_2 = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|0o[0-7]+|0x[0-9a-fA-F]+")


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the file.

    `line` is the line of its key or list item, counted from 1. `written` is the text of a scalar as it stands there,
    without quotes: `12345` where the value is the number. A `broken` node was refused already: whoever walks the tree
    says nothing more about it.
    """

    line: int
    value: PlainScalar | tuple[Node, ...] | dict[str, Node]
    written: str = ""
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """What came of reading one file. `root` is None where the text is no YAML at all; `problems` then says why."""

    root: Node | None
    problems: tuple[Problem, ...]


def parse(text: str | bytes, *, file: str, loader: Any = FASTEST) -> Document:
    """Read one file. Never raises for its content: everything wrong with it is in `problems`, by line."""
    problems: list[Problem] = []
    decoded = _decode(text, file, problems)
    root = None if decoded is None else _Reader(yaml.parse(decoded, Loader=loader), decoded, file, problems).read()
    return Document(root, tuple(sorted(problems, key=lambda problem: problem.line)))


def plain(node: Node) -> Any:
    """The values of a tree without their lines."""
    match node.value:
        case dict() as entries:
            return {key: plain(value) for key, value in entries.items()}
        case tuple() as items:
            return [plain(item) for item in items]
        case scalar:
            return scalar


def resolve(written: str) -> PlainScalar:
    """What a value without quotes is: a boolean, a decimal number, nothing, or else text exactly as written.

    A number of more than 18 digits stays text: no count here is so long, and a float would not hold it.
    """
    match written:
        case "true":
            return True
        case "false":
            return False
        case "" | "~" | "null":
            return None
    if _INT.fullmatch(written):
        return int(written)
    if _FLOAT.fullmatch(written):
        return float(written)
    return written


def _decode(text: str | bytes, file: str, problems: list[Problem]) -> str | None:
    """The text, or None where it is too long or no text; the reason is added to `problems`."""
    if len(text) > MAX_BYTES or (isinstance(text, str) and len(text.encode(errors="surrogatepass")) > MAX_BYTES):
        problems.append(Problem(file, 0, f"longer than {MAX_BYTES // 1024 // 1024} MiB: no rule file is"))
        return None
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            byte = error.object[error.start]
            problems.append(Problem(file, line, f"not UTF-8: byte {byte:#04x}; save the file as UTF-8"))
            return None
    text = text.removeprefix("\ufeff")
    unfit = [
        Problem(file, number, f"a character that cannot be seen, U+{ord(match[0]):04X}; delete it")
        for number, line in enumerate(_LINE_BREAK.split(text), start=1)
        if (match := _UNFIT_IN_FILE.search(line))
    ]
    problems.extend(unfit[:MAX_PROBLEMS])
    return None if unfit else text


class _Stop(Exception):
    """Ends the reading of a file from within the recursion; the reason is among the problems."""


class _Reader:
    """Turns the events of one text into nodes. Recursion is bounded by MAX_DEPTH."""

    def __init__(self, events: Iterator[Event], text: str, file: str, problems: list[Problem]) -> None:
        self._events = events
        self._text = text
        self._file = file
        self._problems = problems
        self._long_quote: tuple[int, int] | None = None
        """The first and last line of the last text in quotes that has several."""

    def read(self) -> Node | None:
        """The root of the first document; an empty text is a node without value."""
        try:
            self._directives()
            return self._documents()
        except _Stop:
            return None
        except yaml.MarkedYAMLError as error:
            line, says = in_words(error, self._text)
            # The parser may stop after the last line of the file.
            last = len(_LINE_BREAK.findall(self._text.rstrip())) + 1
            self._problems.append(Problem(self._file, min(line, last), f"not YAML: {says}{self._open_quote()}"))
            return None

    def _open_quote(self) -> str:
        """The last text in quotes that goes on in another line: more likely one that was never closed."""
        if self._long_quote is None:
            return ""
        first, last = self._long_quote
        return f"; or the quote in line {first} is not closed: it goes on to line {last}"

    def _documents(self) -> Node:
        root: Node | None = None
        for event in self._events:
            if not isinstance(event, DocumentStartEvent):
                continue
            if root is not None:
                self._report(_line(event), "a second document begins here; a rule file is one document")
                raise _Stop
            root = self._node(next(self._events), depth=1)
        return root if root is not None else Node(1, None)

    def _directives(self) -> None:
        """Refuse `%YAML` and `%TAG`: they change how the rest is read."""
        for number, line in enumerate(_LINE_BREAK.split(self._text), start=1):
            if line.startswith("%"):
                self._report(number, "a directive (a line that begins with %); rule files have none")
            elif line.strip() and not line.startswith("#"):
                return

    def _node(self, event: Event, *, depth: int, line: int | None = None) -> Node:
        line = line or _line(event)
        if isinstance(event, AliasEvent):
            self._report(line, f"an alias (*{event.anchor}); write the value itself")
            return Node(line, None, broken=True)
        refused = self._refuse_marks(event, line)
        match event:
            case ScalarEvent():
                return self._scalar(event, line, broken=refused)
            case SequenceStartEvent():
                return Node(line, self._sequence(line, depth), broken=refused)
            case MappingStartEvent():
                return Node(line, self._mapping(line, depth), broken=refused)
            case _:
                raise AssertionError(f"no node begins with {event!r}")

    def _refuse_marks(self, event: Event, line: int) -> bool:
        """Report anchor and tag, of which neither has a meaning here; whether there was one."""
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            self._report(line, f"an anchor (&{anchor}); write the value where it is needed")
        if tag is not None:
            self._report(line, f"a tag ({_short(tag.replace('tag:yaml.org,2002:', '!!'))}); write the plain value")
        return anchor is not None or tag is not None

    def _scalar(self, event: ScalarEvent, line: int, *, broken: bool) -> Node:
        written = event.value
        start, end = _line(event), _line(event, at_end=True)
        if event.style in ("'", '"') and end > start:
            self._long_quote = (start, end)
        if match := _UNFIT_IN_FILE.search(written):
            self._report(line, f"a character that cannot be seen, U+{ord(match[0]):04X}, by its code; leave it out")
            broken = True
        return Node(line, written if event.style else resolve(written), written, broken)

    def _sequence(self, line: int, depth: int) -> tuple[Node, ...]:
        self._check_depth(line, depth)
        items: list[Node] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._node(event, depth=depth + 1))
        return tuple(items)

    def _mapping(self, line: int, depth: int) -> dict[str, Node]:
        self._check_depth(line, depth)
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            key = self._key(event, depth)
            value = self._node(next(self._events), depth=depth + 1, line=_line(event))
            if key is None:
                continue
            if key in entries:
                self._report(value.line, f"{_quoted(key)} stands here twice; first in line {entries[key].line}")
            else:
                entries[key] = value
        return entries

    def _key(self, event: Event, depth: int) -> str | None:
        """The text of a key, or None where it is not fit to be one; the reason is reported."""
        node = self._node(event, depth=depth + 1)
        if node.broken:
            return None
        if not isinstance(event, ScalarEvent):
            self._report(node.line, "a map or list as a key; a key is text")
            return None
        other = None if event.style else _read_otherwise(event.value)
        if other is not None:
            shown = f"the key {_short(event.value)}" if event.value else "an empty key"
            self._report(node.line, f"{shown} is read as {other} by other programs; put it in quotes")
            return None
        return event.value

    def _check_depth(self, line: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            self._report(line, f"more than {MAX_DEPTH} maps and lists inside each other")
            raise _Stop

    def _report(self, line: int, says: str) -> None:
        self._problems.append(Problem(self._file, line, says))
        if len(self._problems) >= MAX_PROBLEMS:
            self._problems.append(Problem(self._file, line, f"{MAX_PROBLEMS} problems; the rest was not read"))
            raise _Stop


def _read_otherwise(written: str) -> str | None:
    """What YAML 1.1 or 1.2 takes a plain key for, where that is not text: `no`, `0123`, `12:30`, `1e3`."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers
    for tag, pattern in resolvers.get(written[:1], []):
        if pattern.match(written):
            return _OTHER_READERS[tag.rpartition(":")[2]]
    return "a number" if _NUMBER_OF_YAML_1_2.fullmatch(written) else None


def _line(event: Event, *, at_end: bool = False) -> int:
    mark: Any = event.end_mark if at_end else event.start_mark
    return int(mark.line) + 1


def _short(text: str, limit: int = 40) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _quoted(text: str) -> str:
    return f"'{_short(text)}'"
