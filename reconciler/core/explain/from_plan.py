"""What a plan says itself of one member or contact: its actions, what holds them, and what a person must do."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from reconciler.core.actions import Action, Outcome
from reconciler.core.explain.explanation import Deed, Explanation, Reason
from reconciler.core.model import Finding
from reconciler.core.outcome import RunOutcome
from reconciler.core.past import ends
from reconciler.core.plan import Plan
from reconciler.core.rules.lines import RuleBook


class Subject(msgspec.Struct, frozen=True):
    """Whom an explanation is about. With a contact it is about that contact, and its member where it has one."""

    member: str | None
    contact: str | None = None

    def has(self, action: Action) -> bool:
        """Whether an action is done with it."""
        if self.contact is not None:
            return self.contact in {action.contact, action.into}
        return action.member == self.member

    def concerns(self, finding: Finding) -> bool:
        """Whether a finding is about it."""
        return finding.contact == self.contact if self.contact is not None else finding.member == self.member


def subject_of(plan: Plan, ref: str) -> Subject | None:
    """Whom a member number or contact id means in this plan; None where the plan says nothing about it.

    A number comes before an id that looks the same.
    """
    named: list[Action | Finding] = [*plan.actions, *plan.findings]
    if any(one.member == ref for one in named) or any(row.number == ref for seen in plan.seen for row in seen.members):
        return Subject(ref)
    about = [one for one in named if one.contact == ref] + [action for action in plan.actions if action.into == ref]
    if about or any(one.id == ref for seen in plan.seen for one in seen.contacts):
        return Subject(next((one.member for one in about if one.member is not None), None), ref)
    return None


def told_by(plan: Plan, subject: Subject, book: RuleBook, run: RunOutcome | None) -> Explanation:
    """The explanation as far as the plan itself gives one, with what became of its actions."""
    held = plan.held()
    outcomes = ends(plan, run)
    mended = {because.finding for action in plan.actions for because in action.because}
    findings = {one.id: one for one in plan.findings}
    deeds = tuple(
        _deed(action, findings, book, held=held.get(action.id), outcome=outcomes.get(action.id))
        for action in plan.actions
        if subject.has(action)
    )
    review = tuple(reason_of(one, book) for one in plan.findings if subject.concerns(one) and one.id not in mended)
    return Explanation(
        plan=plan.id,
        made_at=plan.created_at,
        member=subject.member,
        contact=subject.contact,
        verdict=_verdict(plan, deeds, review),
        deeds=deeds,
        review=review,
    )


def _verdict(plan: Plan, deeds: tuple[Deed, ...], review: tuple[Reason, ...]) -> str:
    if not plan.applyable:
        return "Nothing was decided: the plan was refused."
    if not deeds:
        return "Nothing is done: a person has to look." if review else "Nothing to change."
    words = [f"{one.do} {'a contact' if one.contact is None else f'contact {one.contact}'}" for one in deeds]
    sentence = ", ".join(words)
    ends = ", ".join(dict.fromkeys(filter(None, map(_end_of, deeds))))
    return f"{sentence[0].upper()}{sentence[1:]}{f' ({ends})' if ends else ''}."


def _end_of(deed: Deed) -> str:
    if deed.outcome is not None:
        return deed.outcome
    return "held" if deed.held is not None else ""


def _deed(
    action: Action, findings: Mapping[str, Finding], book: RuleBook, *, held: str | None, outcome: Outcome | None
) -> Deed:
    fields: dict[str, list[str]] = {}
    for because in action.because:
        fields.setdefault(because.finding, []).extend([because.field] if because.field is not None else [])
    return Deed(
        action=action.id,
        do=action.do,
        contact=action.contact,
        into=action.into,
        set=action.set,
        held=held,
        limit=book.find("limits.yaml", action.do) if held is not None else None,
        outcome=outcome.outcome if outcome is not None else None,
        outcome_says=outcome.says if outcome is not None else "",
        reasons=tuple(
            reason_of(findings[finding], book, tuple(asked)) for finding, asked in fields.items() if finding in findings
        ),
    )


def reason_of(finding: Finding, book: RuleBook, fields: tuple[str, ...] = ()) -> Reason:
    """A finding of the plan, with the line of its rule. `fields`: those that were asked for because of it."""
    line = book.find("findings.yaml", finding.rule, "then")
    return Reason(finding.rule, line, finding.says, finding.severity, finding.evidence, fields)
