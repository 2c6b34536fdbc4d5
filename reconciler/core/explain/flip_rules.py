"""Single changes of the rule files, for `core/explain/flips.py` to try: one entry each, as a person would edit it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec

from reconciler.core.explain.again import Setting
from reconciler.core.explain.trial import Trial
from reconciler.core.model import Member
from reconciler.core.rules import Findings
from reconciler.core.rules.lines import RuleBook, RuleLine


def changes_of_rules(setting: Setting, book: RuleBook, rows: tuple[Member, ...]) -> Iterator[Trial]:
    """The choices of findings.yaml, who is a contact, what ties, and which fields are ours."""
    yield from _of_findings(setting, book)
    yield from _of_who(setting, book, rows)
    yield from _of_matching(setting, book)
    yield from _of_fields(setting, book)


def _with(setting: Setting, **parts: Any) -> Setting:
    return msgspec.structs.replace(setting, rules=msgspec.structs.replace(setting.rules, **parts))


def _of_findings(setting: Setting, book: RuleBook) -> Iterator[Trial]:
    """Every other choice of `then` and `unless`; and of the ways to choose whom to keep, each as the first."""
    findings = setting.rules.findings
    for name, rule in zip(Findings.__struct_fields__, Findings.__struct_encode_fields__, strict=True):
        entry = getattr(findings, name)
        hints = get_type_hints(type(entry))
        for key in ("then", "unless"):
            for choice in get_args(hints.get(key)):
                now = getattr(entry, key)
                if choice != now:
                    changed = msgspec.structs.replace(entry, **{key: choice})
                    line = book.find("findings.yaml", rule, key)
                    yield _finding(setting, name, changed, f"{rule} said {key}: {choice} (now {now})", line)
    archive = findings.archive_duplicates
    for by in archive.keep[1:]:
        first = (by, *(one for one in archive.keep if one != by))
        text = f"archive-duplicates kept by {by} first (now by {archive.keep[0]})"
        changed = msgspec.structs.replace(archive, keep=first)
        line = book.find("findings.yaml", "archive-duplicates", "keep")
        yield _finding(setting, "archive_duplicates", changed, text, line)


def _finding(setting: Setting, name: str, entry: Any, text: str, line: RuleLine) -> Trial:
    findings = msgspec.structs.replace(setting.rules.findings, **{name: entry})
    return Trial(text, _with(setting, findings=findings), line)


def _of_who(setting: Setting, book: RuleBook, rows: tuple[Member, ...]) -> Iterator[Trial]:
    contacts = setting.rules.contacts
    who = contacts.who
    for status in dict.fromkeys(row.status for row in rows if row.status is not None):
        if status in who.status:
            rest = tuple(one for one in who.status if one != status)
            text = f"who.status did not list {status}"
        else:
            rest = (*who.status, status)
            text = f"who.status listed {status}, too"
        changed = msgspec.structs.replace(contacts, who=msgspec.structs.replace(who, status=rest))
        yield Trial(text, _with(setting, contacts=changed), book.find("contacts.yaml", "who", "status"))
    for field in who.require:
        rest = tuple(one for one in who.require if one != field)
        changed = msgspec.structs.replace(contacts, who=msgspec.structs.replace(who, require=rest))
        text = f"who.require did not list {field}"
        yield Trial(text, _with(setting, contacts=changed), book.find("contacts.yaml", "who", "require"))


def _of_matching(setting: Setting, book: RuleBook) -> Iterator[Trial]:
    matching = setting.rules.matching
    for place, identifier in enumerate(matching.identifiers):
        line = book.find("matching.yaml", "identifiers", place)
        rest = tuple(one for one in matching.identifiers if one is not identifier)
        if rest:
            changed = msgspec.structs.replace(matching, identifiers=rest)
            yield Trial(f"{identifier.by} tied nothing", _with(setting, matching=changed), line)
        if identifier.confirm is not None:
            yield _identified(setting, place, {"confirm": None}, "needed no confirmation", line)
            other = "review" if identifier.unconfirmed == "ignore" else "ignore"
            yield _identified(setting, place, {"unconfirmed": other}, f"said unconfirmed: {other}", line)


def _identified(setting: Setting, place: int, edit: dict[str, Any], text: str, line: RuleLine) -> Trial:
    identifiers = list(setting.rules.matching.identifiers)
    identifiers[place] = msgspec.structs.replace(identifiers[place], **edit)
    matching = msgspec.structs.replace(setting.rules.matching, identifiers=tuple(identifiers))
    return Trial(f"{identifiers[place].by} {text}", _with(setting, matching=matching), line)


def _of_fields(setting: Setting, book: RuleBook) -> Iterator[Trial]:
    contacts = setting.rules.contacts
    for field, rule in contacts.fields.items():
        line = book.find("contacts.yaml", "fields", field)
        rest = {path: one for path, one in contacts.fields.items() if path != field}
        changed = _with(setting, contacts=msgspec.structs.replace(contacts, fields=rest))
        yield Trial(f"{field} were not ours", changed, line)
        if field.startswith("custom_attributes.") or field in {"name", "phone"}:
            other = "leave" if rule.on_blank == "clear" else "clear"
            fields = contacts.fields | {field: msgspec.structs.replace(rule, on_blank=other)}
            changed = _with(setting, contacts=msgspec.structs.replace(contacts, fields=fields))
            yield Trial(f"{field} said on_blank: {other}", changed, line)
