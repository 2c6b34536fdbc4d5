"""Everything that ever happened to one subject, in the order in which it happened.

Fed run by run, oldest first, so that no more than one run has to be in memory. What mentions neither the subject nor a
contact that was archived on its behalf cannot be about it: such records are not even decoded (`may_mention`).

Events are what a plan said (`found`, `planned`), what became of it (`done`, `archived`, `stale`, `held`, `failed`,
`unknown`, and `undone` for what takes back an earlier run), and `came back`: a contact that was archived and is live
again, brought back by us or by somebody in Intercom. A finding that stays the same is told on the first night only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Literal, TypeAlias

import msgspec

from reconciler.core.actions import Action, Do, Outcome
from reconciler.core.model import Finding, Scalar
from reconciler.core.outcome import RunOutcome
from reconciler.core.past import ends, read_at, restored, seen_live
from reconciler.core.plan import Plan
from reconciler.core.undo import takes_back

Happening: TypeAlias = Literal[
    "found", "planned", "done", "archived", "came back", "undone", "stale", "held", "failed", "unknown"
]


class FieldChange(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field, from what it was decided on to what was asked for."""

    field: str
    after: Scalar
    before: Scalar = None
    read: bool = True
    """Whether the value before is known; a blank one is."""


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that happened. Times are UTC, ISO 8601."""

    at: str
    """When the plan was made; of what became of it, when its run ended; of `came back`, when that was seen."""
    event: Happening
    plan: str
    do: Do | None = None
    """The kind of the action, where there is one."""
    member: str | None = None
    contact: str | None = None
    into: str | None = None
    row: str | None = None
    """Of the positions table, e.g. `12345/pres`."""
    rules: tuple[str, ...] = ()
    changes: tuple[FieldChange, ...] = ()
    says: tuple[str, ...] = ()
    """Why: what the findings say, or what became of the action."""
    code: str | None = None
    """Intercom's error code."""


class Timeline:
    """Collects the events of one subject: a member number, or the id of a contact."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self._events: list[tuple[str, int, Event]] = []
        self._away: dict[str, str] = {}
        """Contacts of the subject that were archived and not seen since → the plan that asked for it."""
        self._said: frozenset[tuple[str, str | None, str | None, str]] = frozenset()

    def events(self) -> tuple[Event, ...]:
        """In the order of time; of one moment in the order in which they were read."""
        return tuple(event for _, _, event in sorted(self._events, key=lambda one: one[:2]))

    def may_mention(self, record: bytes) -> bool:
        """Whether a plan or an outcome, as it is stored, can be about the subject: a look at its bytes."""
        return any(form in record for one in (self.subject, *self._away) for form in _in_json(one))

    def see(self, plan: Plan | None, run: RunOutcome | None) -> None:
        """Take in a plan and what became of it; either may be missing."""
        if plan is None:
            self._see_outcomes(run)
            return
        outcomes = ends(plan, run)
        self._see_return(plan)
        about = [action for action in plan.actions if self._is_about(action, outcomes.get(action.id))]
        self._see_findings(plan, acts=bool(about))
        says = {finding.id: finding.says for finding in plan.findings}
        held = plan.held()
        for action in about:
            outcome = outcomes.get(action.id)
            because = tuple(dict.fromkeys(filter(None, (says.get(one.finding) for one in action.because))))
            planned = _event(plan.created_at, "planned", plan.id, action, because)
            self._add(planned)
            if run is not None and outcome is not None:
                self._see_end(run, outcome, planned, undo=takes_back(plan))
            elif action.id in held:
                self._add(msgspec.structs.replace(planned, event="held", says=(held[action.id],)))

    def _is_about(self, action: Action, outcome: Outcome | None) -> bool:
        named = (action.member, action.contact, action.into, outcome.contact if outcome is not None else None)
        return self.subject in named

    def _see_outcomes(self, run: RunOutcome | None) -> None:
        """Of a plan that is not stored here, what its outcome alone tells."""
        for outcome in run.outcomes if run is not None else ():
            if run is not None and self.subject in {outcome.member, outcome.contact}:
                changes = tuple(FieldChange(field, value, read=False) for field, value in outcome.sent.items())
                bare = Event(
                    run.finished_at,
                    "done",
                    run.plan,
                    do=outcome.do,
                    member=outcome.member,
                    contact=outcome.contact,
                    row=outcome.row,
                    changes=changes,
                )
                self._see_end(run, outcome, bare, undo=False)

    def _see_end(self, run: RunOutcome, outcome: Outcome, planned: Event, *, undo: bool) -> None:
        event = _happening(outcome, undo=undo, away=self._away)
        says = (outcome.says,) if outcome.says else ()
        self._add(
            msgspec.structs.replace(
                planned,
                at=run.finished_at,
                event=event,
                contact=outcome.contact or planned.contact,
                says=(*(planned.says if event in {"done", "archived", "undone", "came back"} else ()), *says),
                code=outcome.code,
            )
        )
        if event == "archived" and outcome.contact is not None:
            self._away[outcome.contact] = run.plan
        elif (contact := restored(outcome)) is not None:
            self._away.pop(contact, None)

    def _see_return(self, plan: Plan) -> None:
        for contact in sorted(seen_live(plan) & self._away.keys()):
            says = f"archived by plan {self._away.pop(contact)}, and live when this plan was made"
            self._add(Event(read_at(plan), "came back", plan.id, contact=contact, says=(says,)))

    def _see_findings(self, plan: Plan, *, acts: bool) -> None:
        """A plan that says nothing of the subject may be about other members only: it ends no finding."""
        about = [one for one in plan.open_findings() if self.subject in {one.member, one.contact}]
        for finding in about:
            if _identity(finding) not in self._said:
                self._add(
                    Event(
                        plan.created_at,
                        "found",
                        plan.id,
                        member=finding.member,
                        contact=finding.contact,
                        rules=(finding.rule,),
                        says=(finding.says,) if finding.says else (),
                    )
                )
        if about or acts:
            self._said = frozenset(map(_identity, about))

    def _add(self, event: Event) -> None:
        self._events.append((event.at, len(self._events), event))


def _happening(outcome: Outcome, *, undo: bool, away: dict[str, str]) -> Happening:
    if outcome.outcome != "done":
        return outcome.outcome
    if undo:
        return "undone"
    if outcome.do == "archive":
        return "archived"
    if outcome.do == "unarchive" or outcome.contact in away:
        return "came back"
    return "done"


def _event(at: str, event: Happening, plan: str, action: Action, says: tuple[str, ...]) -> Event:
    return Event(
        at,
        event,
        plan,
        do=action.do,
        member=action.member,
        contact=action.contact,
        into=action.into,
        row=action.row,
        rules=tuple(dict.fromkeys(because.rule for because in action.because)),
        changes=tuple(_changes(action)),
        says=says,
    )


def _changes(action: Action) -> Iterator[FieldChange]:
    for field, value in action.set.items():
        read = field in action.expect or action.do == "create"
        yield FieldChange(field, value, action.expect.get(field), read)


def _identity(finding: Finding) -> tuple[str, str | None, str | None, str]:
    return finding.rule, finding.member, finding.contact, finding.says


def _in_json(text: str) -> tuple[bytes, bytes]:
    """As it stands in a record, or in one that values were taken out of (`erasure.as_record`).

    Without the quotes, for evidence names a contact within a longer text.
    """
    return msgspec.json.encode(text)[1:-1], json.dumps(text)[1:-1].encode()
