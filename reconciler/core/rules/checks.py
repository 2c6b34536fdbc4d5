"""What the types of `core/rules/` cannot say about the rule files, check by check.

A check is called with a value that has its shape already, and the place where it stands; it reports and goes on.
A new check is a function here and an entry in `CHECKS` or `MAP_CHECKS`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import get_args

import phonenumbers

from reconciler.core.actions import CANNOT_BE_BLANKED
from reconciler.core.ceilings import CEILINGS, REQUIRED
from reconciler.core.model import ATTRIBUTE_PREFIX
from reconciler.core.rules import (
    ArchiveDuplicates,
    ClassLimit,
    Confirm,
    Contacts,
    ErrorBudget,
    FieldRule,
    Identifier,
    Limits,
    Matching,
    MemberField,
    MissingPositions,
    OrphanContact,
    SourceGuards,
    Table,
    Who,
)
from reconciler.core.rules.shape import Check, Place, nearest, show_path, suggest
from reconciler.core.rules.strict_yaml import Node

STANDARD_FIELDS = ("external_id", "role", "email", "name", "phone")
"""The fields of a contact that may be owned, besides custom attributes."""

MAX_ATTRIBUTE_NAME = 190
"""Intercom's limit on the name of a custom attribute; it also refuses `.` and `$` in one."""

MAX_NAME = 255
"""The longest string Intercom keeps in a custom attribute."""

SQL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
"""Table and column names go into SQL and URLs as they are, so they are held to this."""

_MEMBER = ("number", "first_name", "last_name", "email", "phone", "status", "member_type_id", "region", "facility")

COLUMNS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "sql": {"members": _MEMBER, "positions": ("member_number", "code")},
    "mysql": {
        "members": ("id", *(field for field in _MEMBER if field != "email")),
        "emails": ("member_id", "email", "is_primary"),
        "positions": ("member_id", "code"),
    },
}
"""The columns that each table of sources.yaml has to name: shape → table → fields."""

OPTIONAL_COLUMNS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("sql", "members"): ("updated_at",),
    ("sql", "positions"): ("id",),
    ("mysql", "members"): ("updated_at",),
}
"""Those that it may name as well: (shape, table) → fields."""

MEMBER_COLUMNS = tuple(field for field in get_args(MemberField) if field != "positions")
"""The member fields that hold one text each."""

_ONLY_FROM = {
    "external_id": "member_number",
    "email": "email",
    "phone": "phone",
    "custom_attributes.member_number": "member_number",
}
_SAME_AS = {
    "mapping": "member_number",
    "external_id": "member_number",
    "custom_attributes.member_number": "member_number",
    "email": "email",
    "phone": "phone",
}
_MEMBER_TYPE_KEY = ("status", "member_type_id")
_CONTACT_ID = re.compile(r"[0-9a-f]{24}")
"""What Intercom's ids of contacts look like (examples of the description 2.16)."""
_A_UUID = "9b2f0d5e-6c1a-4e1b-8f57-2d3c4b5a6978"
_BRACES = re.compile(r"\{([^{}]*)\}")


# sources.yaml


def _check_table(place: Place, table: Table) -> None:
    shape, name = map(str, place.path)
    fields, columns = COLUMNS[shape][name], place.at("columns")
    known = (*fields, *OPTIONAL_COLUMNS.get((shape, name), ()))
    _check_sql_name(place.at("table"), table.table)
    for field, column in table.columns.items():
        if field not in known:
            columns.at(field).report(f"unknown field; {suggest(field, known)}")
        _check_sql_name(columns.at(field), column)
    meant = [nearest(field, fields) for field in table.columns if field not in known]
    missing = [field for field in fields if field not in table.columns and field not in meant]
    if missing:
        columns.report(f"no column for {', '.join(missing)}")


def _check_sql_name(place: Place, name: str) -> None:
    if not SQL_NAME.fullmatch(name):
        place.report(f"{_shown(name)} cannot be the name of a table or column: letters, digits and _ only")


# contacts.yaml


def _check_who(place: Place, who: Who) -> None:
    if not who.status:
        place.at("status").report("no status: nobody would be a contact, and every contact nobody's")
    for number, status in enumerate(who.status):
        if not _is_trimmed(status):
            place.at("status", number).report("blank, or with a space around it: no member has such a status")
    if "positions" in who.require:
        place.at("require").report(f"positions cannot be required; valid: {', '.join(MEMBER_COLUMNS)}")
    _check_repeats(place.at("status"), who.status)
    _check_repeats(place.at("require"), who.require)


def _check_field(place: Place, rule: FieldRule) -> None:
    path = str(place.path[-1])
    _check_field_path(place, path)
    if (rule.from_ is None) == (rule.is_ is None):
        place.report("exactly one of 'from' and 'is' must be given")
        return
    if rule.is_ is not None and not _is_trimmed(rule.is_):
        place.at("is").report("blank, or with a space around it")
    _check_origin(place, path, rule)
    _check_from(place, rule)
    _check_names(place, rule)
    _check_phone(place, rule)
    if rule.on_blank == "clear" and path in (*CANNOT_BE_BLANKED, "role"):
        place.at("on_blank").report(f"{path} cannot be cleared in Intercom; write 'leave'")


def _check_field_path(place: Place, path: str) -> None:
    name = path.removeprefix(ATTRIBUTE_PREFIX)
    if path in STANDARD_FIELDS:
        return
    if name == path:
        place.report(f"no field of a contact; {suggest(path, (*STANDARD_FIELDS, ATTRIBUTE_PREFIX + 'NAME'))}")
    elif not _is_trimmed(name) or "." in name or "$" in name or len(name) > MAX_ATTRIBUTE_NAME:
        place.report(f"the name of an attribute has 1 to {MAX_ATTRIBUTE_NAME} characters, and no '.' or '$' in it")


def _check_origin(place: Place, path: str, rule: FieldRule) -> None:
    """Identity comes from one place only: anything else would tie contacts to the wrong member."""
    if path == "role" and rule.is_ != "user":
        place.at("is").report("must be 'user': a contact of a member is a user, never a lead")
    if path in _ONLY_FROM and rule.from_ != _ONLY_FROM[path]:
        place.at("from").report(f"must be {_ONLY_FROM[path]!r}: {path} says who the contact is")


def _check_from(place: Place, rule: FieldRule) -> None:
    origin = rule.from_
    if isinstance(origin, tuple):
        if not origin:
            place.at("from").report("an empty list")
        if "positions" in origin:
            place.at("from").report("positions cannot stand in a list: a member has several")
    elif origin is not None:
        _check_text_from(place.at("from"), origin)
        if origin == "positions" and rule.names is None:
            place.report("positions need 'names: positions.yaml'")


def _check_text_from(place: Place, origin: str) -> None:
    if "{" not in origin and "}" not in origin:
        valid: tuple[str, ...] = get_args(MemberField)
        if origin not in valid:
            place.report(f"no field of a member: {_shown(origin)}; {suggest(origin, valid)}")
        return
    for name in _BRACES.findall(origin):
        if name not in MEMBER_COLUMNS:
            place.report(f"no field of a member: {_shown('{' + name + '}')}; {suggest(name, MEMBER_COLUMNS)}")
    if re.search(r"[{}]", _BRACES.sub("", origin)):
        place.report(f"a brace without its other half in {_shown(origin)}")


def _check_names(place: Place, rule: FieldRule) -> None:
    match rule.names:
        case "member_types.yaml" if rule.from_ != _MEMBER_TYPE_KEY:
            place.at("names").report(f"member_types.yaml needs 'from: [{', '.join(_MEMBER_TYPE_KEY)}]'")
        case "positions.yaml" if rule.from_ != "positions":
            place.at("names").report("positions.yaml needs 'from: positions'")
        case _:
            pass


def _check_phone(place: Place, rule: FieldRule) -> None:
    if rule.as_ == "e164" and rule.from_ != "phone":
        place.at("as").report("e164 needs 'from: phone'")
    if rule.region not in phonenumbers.SUPPORTED_REGIONS:
        hint = rule.region.upper()
        hint = f"; did you mean {hint!r}?" if hint in phonenumbers.SUPPORTED_REGIONS else ""
        place.at("region").report(f"no country by its two letters (ISO 3166-1): {_shown(rule.region)}{hint}")


def _check_contacts(place: Place, contacts: Contacts) -> None:
    if not contacts.fields:
        place.at("fields").report("no field: there would be nothing to compare or write")
    phone = contacts.fields.get("phone")
    for path, rule in contacts.fields.items():
        if phone is not None and rule.as_ == "e164" and rule.region != phone.region:
            says = f"must be {phone.region!r} as for phone: a member's phone is read once"
            place.at("fields", path, "region").report(says)


# matching.yaml


def _check_identifier(place: Place, identifier: Identifier) -> None:
    wanted = _SAME_AS[identifier.by]
    if identifier.is_ != wanted:
        place.at("is").report(f"{identifier.by} can only be {wanted!r}, found {identifier.is_!r}")
    if identifier.confirm is not None and identifier.by in identifier.confirm.any_of:
        place.at("confirm", "any_of").report(f"{identifier.by} cannot confirm itself")


def _check_confirm(place: Place, confirm: Confirm) -> None:
    if not confirm.any_of:
        place.at("any_of").report("an empty list confirms nothing; leave 'confirm' out to need none")
    _check_repeats(place.at("any_of"), confirm.any_of)
    _check_repeats(place.at("or_when_blank"), confirm.or_when_blank)


def _check_matching(place: Place, matching: Matching) -> None:
    identifiers = place.at("identifiers")
    if not matching.identifiers:
        identifiers.report("at least one identifier is needed: without one every member would get a second contact")
    _check_repeats(identifiers, [identifier.by for identifier in matching.identifiers])


# findings.yaml


def _check_duplicates(place: Place, rule: ArchiveDuplicates) -> None:
    _check_repeats(place.at("keep"), rule.keep)
    if not rule.keep or rule.keep[-1] != "smallest_id":
        place.at("keep").report("must end with 'smallest_id': the others can leave two contacts equal")


def _check_positions_expected(place: Place, rule: MissingPositions) -> None:
    _check_repeats(place.at("expected_of"), rule.expected_of)


def _check_orphan(place: Place, rule: OrphanContact) -> None:
    if not _is_trimmed(rule.label) or len(rule.label) > MAX_NAME:
        place.at("label").report(f"must be a text of 1 to {MAX_NAME} characters without spaces around it")
    try:
        pattern = re.compile(rule.looks_like)
    except (re.error, OverflowError, RecursionError) as error:
        place.at("looks_like").report(f"no regular expression: {error}")
        return
    for text, words in (("", "an empty text"), (_A_UUID, "a UUID")):
        if pattern.fullmatch(text):
            place.at("looks_like").report(f"takes {words} for a member number; be narrower, e.g. '[0-9]{{3,}}'")
            return


# limits.yaml


def _check_class(place: Place, limit: ClassLimit) -> None:
    name = str(place.path[-1])
    _check_ceilings(place, limit)
    if limit.per_week is not None and name not in {"archive", "merge"}:
        place.at("per_week").report("archives and merges alone are counted over a week")
    if f"{name}.hard" in REQUIRED:
        if limit.hard is None:
            place.at("hard").report(f"missing; it must be a number of at most {CEILINGS[f'{name}.hard']:g}")
    elif limit.percent is None and limit.hard is None:
        place.report("neither 'percent' nor 'hard': this class would have no limit")


def _check_limits(place: Place, limits: Limits) -> None:
    _check_ceilings(place, limits)
    _check_canary(place.at("canary"), limits.canary)


def _check_ceilings(place: Place, part: SourceGuards | ClassLimit | ErrorBudget | Limits) -> None:
    """Hold the numbers of one part of limits.yaml against core/ceilings.py."""
    for field in part.__struct_fields__:
        value, ceiling = getattr(part, field), CEILINGS.get(show_path((*place.path, field)))
        if value is not None and ceiling is not None and value > ceiling:
            says = f"{value:g} is over {ceiling:g}, which stands in code (core/ceilings.py) and no rule file can raise"
            place.at(field).report(says)


def _check_canary(place: Place, sizes: tuple[int, ...]) -> None:
    if 0 in sizes:
        place.report("a canary of 0 tries nothing")
    if any(later <= size for size, later in pairwise(sizes)):
        place.report("each size must be larger than the one before it")


# positions.yaml, member_types.yaml, mappings.yaml


def member_type_key(written: str) -> tuple[str, str] | None:
    """`Active, 6` → ("Active", "6"); None for anything but a status, a comma and an id."""
    status, comma, type_id = written.rpartition(",")
    pair = (status.strip(), type_id.strip())
    return pair if comma and all(pair) else None


def _check_codes(place: Place, entries: Mapping[str, Node]) -> None:
    for code in entries:
        if not _is_trimmed(code):
            place.at(code).report("a code that is blank, or has a space around it")
    _check_values(place, entries)


def _check_member_types(place: Place, entries: Mapping[str, Node]) -> None:
    seen: dict[tuple[str, str], Node] = {}
    for written, node in entries.items():
        pair = member_type_key(written)
        if pair is None:
            place.at(written).report("a key here is a status, a comma and a member type id, e.g. 'Active, 6'")
        elif pair[0].isdecimal() and not pair[1].isdecimal():
            place.at(written).report(f"the status comes first: '{pair[1]}, {pair[0]}'")
        elif pair in seen:
            place.at(written).report(f"the same status and id as in line {seen[pair].line}")
        else:
            seen[pair] = node
    _check_values(place, entries)


def _check_mappings(place: Place, entries: Mapping[str, Node]) -> None:
    for contact, node in entries.items():
        if not is_id(contact):
            place.at(contact).report("no id of a contact: blank, too long, or with a space in it")
        elif "/" in contact:
            place.at(contact).report("no id of a contact: of an address, only what stands behind the last /")
        if not is_id(node.written):
            place.at(contact).report("no member number: blank, too long, or with a space in it")
        elif _CONTACT_ID.fullmatch(node.written):
            place.at(contact).report("the id of a contact in place of a member number: write CONTACT ID: member number")


def _check_values(place: Place, entries: Mapping[str, Node]) -> None:
    for key, node in entries.items():
        if not _is_trimmed(node.written):
            place.at(key).report("a name that is blank, or has a space around it")


def is_id(text: str) -> bool:
    """Whether a text can be a contact's id or a member number: 1 to 255 characters without white space."""
    return 0 < len(text) <= MAX_NAME and len(text.split()) == 1 and _is_trimmed(text)


# all of them


def _check_repeats(place: Place, values: Iterable[str]) -> None:
    seen: list[str] = []
    for number, value in enumerate(values):
        if value in seen:
            place.at(number).report(f"{_shown(value)} stands here twice")
        seen.append(value)


def _is_trimmed(text: str) -> bool:
    return bool(text) and text == text.strip()


def _shown(text: str) -> str:
    return repr(text if len(text) <= MAX_ATTRIBUTE_NAME else text[:MAX_ATTRIBUTE_NAME] + "…")


CHECKS: Mapping[type, Check] = {
    Table: _check_table,
    Who: _check_who,
    FieldRule: _check_field,
    Contacts: _check_contacts,
    Identifier: _check_identifier,
    Confirm: _check_confirm,
    Matching: _check_matching,
    ArchiveDuplicates: _check_duplicates,
    MissingPositions: _check_positions_expected,
    OrphanContact: _check_orphan,
    SourceGuards: _check_ceilings,
    ErrorBudget: _check_ceilings,
    ClassLimit: _check_class,
    Limits: _check_limits,
}
"""By type: called for every value of that type, once its parts have no problem."""

MAP_CHECKS: Mapping[str, Callable[[Place, Mapping[str, Node]], None]] = {
    "positions.yaml": _check_codes,
    "member_types.yaml": _check_member_types,
    "regions.yaml": _check_codes,
    "facilities.yaml": _check_codes,
    "mappings.yaml": _check_mappings,
}
"""By file, for the files that are one flat map."""
