"""A timeline for auditors, as text and as JSON: dates, plans, rules, before → after, and why."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from reconciler.core.timeline import Event, FieldChange
from reconciler.report import facts
from reconciler.report.page import Page

_LOUD = ("archived", "came back", "failed", "unknown")
_CARE = ("stale", "held", "undone")


def timeline_text(subject: str, events: Sequence[Event], *, width: int = 80, colour: bool = False) -> str:
    """All events, oldest first. What came of an action does not repeat what was planned of it, unless it is done."""
    page = Page(width=width, colour=colour)
    if not events:
        page.prose(f"Nothing is recorded of {subject}.")
        return page.text()
    page.line(f"{subject}: {len(events)} event{'s' if len(events) > 1 else ''}", style="bold")
    for event in events:
        page.line()
        page.line(f"{event.at}  {_title(event)}", style=_style(event))
        page.prose(_about(event), lead="  ", hang=4)
        for said in event.says:
            page.prose(said, lead="  ", hang=4)
        for change in event.changes if event.event not in {"stale", "held", "failed", "unknown"} else ():
            page.line(f"    {_changed(change, event)}")
    return page.text()


def timeline_json(subject: str, events: Sequence[Event]) -> bytes:
    """The same for scripts."""
    return msgspec.json.format(msgspec.json.encode({"subject": subject, "events": events}), indent=2) + b"\n"


def _title(event: Event) -> str:
    return event.event if event.do is None or event.event == "archived" else f"{event.event}: {event.do}"


def _style(event: Event) -> str:
    return "loud" if event.event in _LOUD else "care" if event.event in _CARE else "bold"


def _about(event: Event) -> str:
    named = {"member": event.member, "contact": event.contact, "into": event.into, "row": event.row, "plan": event.plan}
    parts = [f"{what} {value}" for what, value in named.items() if value is not None]
    if event.rules:
        parts.append(f"rule{'s' if len(event.rules) > 1 else ''} {', '.join(event.rules)}")
    if event.code is not None:
        parts.append(f"code {event.code}")
    return ", ".join(parts)


def _changed(change: FieldChange, event: Event) -> str:
    name, after = facts.label(change.field), facts.shown(change.after)
    if event.do == "create":
        return f"{name}: {after}"
    return f"{name}: {facts.shown(change.before) if change.read else '(not read)'} → {after}"
