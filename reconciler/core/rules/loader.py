"""YAML → `Rules`: every file read, held against its type and checked, and every problem of every file said at once.

Three steps, each in a module of its own: `strict_yaml` (text → tree with lines), `rules_shape` (tree against type) and
`rules_checks` (what types cannot say). Pure: whoever calls reads the files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta

from reconciler.core.rules import Contacts, Findings, Limits, Matching, RuleFile, Rules, Sources
from reconciler.core.rules.checks import CHECKS, MAP_CHECKS, MAX_NAME, is_id, member_type_key
from reconciler.core.rules.shape import Place, fits, suggest, type_info
from reconciler.core.rules.strict_yaml import Node, parse, plain
from reconciler.errors import Problem, RulesError

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_NAME)]

FILES: Mapping[str, Any] = MappingProxyType(
    {
        "sources.yaml": Sources,
        "contacts.yaml": Contacts,
        "matching.yaml": Matching,
        "findings.yaml": Findings,
        "limits.yaml": Limits,
        "positions.yaml": dict[str, Name],
        "member_types.yaml": dict[str, Name],
        "regions.yaml": dict[str, Name] | None,
        "facilities.yaml": dict[str, Name] | None,
        "mappings.yaml": dict[str, str | int] | None,
    }
)
"""The rule files, and the type that each is written in."""

OPTIONAL = ("regions.yaml", "facilities.yaml", "mappings.yaml")
"""Files that may be absent or empty."""

MAX_JSON_BYTES = 16 * 1024 * 1024
"""For `--mappings FILE`: room for 200,000 entries."""


def parse_rules(files: Mapping[str, str | bytes]) -> Rules:
    """The rules in these files, by file name (`contacts.yaml`, not a path). Other names than YAML ones are ignored.

    Raises RulesError with every problem of every file, in file and line order.
    """
    problems = _misnamed(files)
    read: dict[str, Node] = {}
    for name in FILES:
        if name in files:
            node = _read(name, files[name], problems)
            if node is not None:
                read[name] = node
        elif name not in OPTIONAL:
            problems.append(Problem(name, 0, "the file is missing"))
    if not problems:
        _check_expected_types(read, problems)
        _check_statuses(read, problems)
    if problems:
        raise RulesError(sorted(problems, key=lambda problem: (problem.file, problem.line)))
    texts = {name: _as_text(files[name]) for name in sorted(read) if name != "mappings.yaml"}
    return msgspec.structs.replace(_build(read), files=texts)


def parse_mappings_json(text: str | bytes, *, where: str) -> dict[str, str]:
    """Contact id → member number, from a JSON list of `{"contact_id": "…", "member_number": "…"}` (`--mappings FILE`).

    Both are strings: a number would lose the zeros in front. The same contact may come twice only with the same
    number. Raises RulesError with every problem; `where` is the file's name.
    """
    problems: list[Problem] = []
    mappings: dict[str, str] = {}
    for number, entry in enumerate(_json_list(text, where), start=1):
        says = _json_entry_problem(entry)
        if says is None:
            contact, member = entry["contact_id"], entry["member_number"]
            if mappings.setdefault(contact, member) != member:
                says = f"contact {contact} has another member number in an earlier entry"
        if says is not None:
            problems.append(Problem(where, 0, f"entry {number}: {says}"))
    if problems:
        raise RulesError(problems)
    return mappings


def with_mappings(rules: Rules, extra: Mapping[str, str]) -> Rules:
    """The same rules with these mappings laid over those of mappings.yaml; the digest follows."""
    return _sealed(msgspec.structs.replace(rules, mappings={**rules.mappings, **extra}))


def _as_text(text: str | bytes) -> str:
    """The text that was read, with the line ends of every system as one."""
    text = text if isinstance(text, str) else text.decode("utf-8")
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _misnamed(files: Mapping[str, str | bytes]) -> list[Problem]:
    """YAML files that nobody reads: more likely a slip than a note."""
    return [
        Problem(name, 0, f"not the name of a rule file; {suggest(name, FILES)}")
        for name in files
        if name.endswith((".yaml", ".yml")) and name not in FILES
    ]


def _read(name: str, text: str | bytes, problems: list[Problem]) -> Node | None:
    """The tree of one file, or None where it has problems, which are added to the list."""
    document = parse(text, file=name)
    problems.extend(document.problems)
    if document.root is None:
        return None
    if document.root.value is None and name not in OPTIONAL:
        if not document.problems:
            problems.append(Problem(name, 0, "the file is empty"))
        return None
    place = Place(name, document.root, (), problems)
    fit = fits(place, type_info(FILES[name]), CHECKS)
    if fit and name in MAP_CHECKS:
        before = len(problems)
        MAP_CHECKS[name](place, _entries(document.root))
        fit = len(problems) == before
    return document.root if fit and not document.problems else None


def _check_expected_types(read: Mapping[str, Node], problems: list[Problem]) -> None:
    """A type of findings.yaml that no member can be of would be asked about in vain."""
    entry = Place("findings.yaml", read["findings.yaml"], (), problems).at("missing-positions", "expected_of")
    names = {member_type_key(key): node.written for key, node in _entries(read["member_types.yaml"]).items()}
    for number, item in enumerate(entry.node.value if isinstance(entry.node.value, tuple) else ()):
        pair = member_type_key(item.written)
        if pair in names:
            entry.at(number).report(f"a member type with a name; write {names[pair]!r}")
        elif pair is None and item.written not in names.values():
            entry.at(number).report(f"no name in member_types.yaml; {suggest(item.written, names.values())}")


def _check_statuses(read: Mapping[str, Node], problems: list[Problem]) -> None:
    """A slip in who.status would leave nobody who should be a contact; member_types.yaml has the same words."""
    entry = Place("contacts.yaml", read["contacts.yaml"], (), problems).at("who", "status")
    pairs = filter(None, map(member_type_key, _entries(read["member_types.yaml"])))
    known = tuple(dict.fromkeys(status for status, _ in pairs))
    for number, item in enumerate(entry.node.value if isinstance(entry.node.value, tuple) else ()):
        if item.written in known:
            continue
        close = next((status for status in known if status.casefold() == item.written.casefold()), None)
        if close is not None:
            entry.at(number).report(
                f"{item.written!r} in one place and {close!r} in member_types.yaml; write both alike"
            )
        elif all(word in known for word in item.written.split()):
            entry.at(number).report("two statuses in one text; a comma goes between them")


def _build(read: Mapping[str, Node]) -> Rules:
    def convert(name: str) -> Any:
        return msgspec.convert(plain(read[name]), type=FILES[name])

    def convert_or_none(name: str) -> Any:
        return (convert(name) if name in read else None) or {}

    types = {member_type_key(key): name for key, name in convert("member_types.yaml").items()}
    mappings = _entries(read["mappings.yaml"]) if "mappings.yaml" in read else {}
    return _sealed(
        Rules(
            sources=convert("sources.yaml"),
            contacts=convert("contacts.yaml"),
            matching=convert("matching.yaml"),
            findings=convert("findings.yaml"),
            limits=convert("limits.yaml"),
            positions=convert("positions.yaml"),
            member_types={pair: name for pair, name in types.items() if pair is not None},
            # As written: the number 12345 is the member number "12345".
            mappings={contact: node.written for contact, node in mappings.items()},
            regions=convert_or_none("regions.yaml"),
            facilities=convert_or_none("facilities.yaml"),
            sha256="",
        )
    )


def _entries(node: Node) -> Mapping[str, Node]:
    return node.value if isinstance(node.value, dict) else {}


def _sealed(rules: Rules) -> Rules:
    """The rules with the digest of their meaning.

    Maps are sorted, but for the codes of positions.yaml: names are joined in that order. 10 and 10.0 are one number.
    """
    meaning = {
        **{
            name: _canonical(getattr(rules, name)) for name in ("sources", "contacts", "matching", "findings", "limits")
        },
        "positions": list(rules.positions.items()),
        "member_types": sorted([*pair, name] for pair, name in rules.member_types.items()),
        "regions": rules.regions,
        "facilities": rules.facilities,
        "mappings": rules.mappings,
    }
    encoded = msgspec.json.encode(meaning, order="deterministic")
    return msgspec.structs.replace(rules, sha256=sha256(encoded).hexdigest())


def _canonical(value: Any) -> Any:
    match msgspec.to_builtins(value):
        case dict() as entries:
            return {key: _canonical(inner) for key, inner in entries.items()}
        case list() | tuple() as items:
            return [_canonical(item) for item in items]
        case float() as number if number.is_integer():
            return int(number)
        case scalar:
            return scalar


class _MappingEntry(RuleFile, frozen=True):
    """One entry of a `--mappings` file."""

    contact_id: str
    member_number: str


def _json_list(text: str | bytes, where: str) -> list[Any]:
    if len(text) > MAX_JSON_BYTES:
        raise RulesError([Problem(where, 0, f"longer than {MAX_JSON_BYTES // 1024 // 1024} MiB")])
    try:
        decoded = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise RulesError([Problem(where, error.lineno, f"not JSON: {error.msg}")]) from error
    except (ValueError, RecursionError) as error:
        raise RulesError([Problem(where, 0, f"not JSON that can be read: {error}")]) from error
    if not isinstance(decoded, list):
        raise RulesError([Problem(where, 0, 'expected a list of {"contact_id", "member_number"}')])
    return decoded


def _without_repeats(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for key, value in pairs:
        if key in entries:
            raise ValueError(f"the key {key!r} stands twice in one entry")
        entries[key] = value
    return entries


def _json_entry_problem(entry: Any) -> str | None:
    """What is wrong with one entry, or None."""
    try:
        typed = msgspec.convert(entry, type=_MappingEntry)
    except msgspec.ValidationError as error:
        return f'{error}; expected {{"contact_id": "…", "member_number": "…"}}, both in quotes'
    for name in _MappingEntry.__struct_fields__:
        if not is_id(getattr(typed, name)):
            return f"{name}: blank, too long, or with a space in it"
    return None
