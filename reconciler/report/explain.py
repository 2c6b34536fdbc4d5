"""An explanation as text: the verdict first, then what was done and why, where it came from, and what would flip it."""

from __future__ import annotations

from msgspec import UnsetType

from reconciler.core.explain.explanation import ContactStory, Deed, Explanation, FieldStory, Flip, Reason, Witness
from reconciler.core.rules.lines import RuleLine
from reconciler.report import facts
from reconciler.report.page import Page

_SIDES = {"source": "In the source", "intercom": "In Intercom", "person": "By a person", "rules": "In the rules"}


def explanation_text(told: Explanation, *, width: int = 80, colour: bool = False) -> str:
    """The explanation as text, no line wider than `width` cells (at least 60)."""
    page = Page(width=width, colour=colour)
    about = f"contact {told.contact}" if told.contact is not None else f"member {told.member}"
    whose = f", member {told.member}" if told.contact is not None and told.member is not None else ""
    where = f"in plan {told.plan} of {told.made_at}" if told.plan is not None else f"as it is now, {told.made_at}"
    page.prose(f"{about[0].upper()}{about[1:]}{whose}, {where}", style="bold")
    page.prose(told.verdict, style="bold")
    for note in told.notes:
        page.prose(note, lead="! ", style="care")
    for deed in told.deeds:
        _deed(page, deed)
    if told.review:
        _head(page, "Left to a person")
        for reason in told.review:
            _reason(page, reason)
    _rows(page, told)
    for story in told.contacts:
        _contact(page, story)
    if told.fields:
        _head(page, "Field by field")
        for field in told.fields:
            _field(page, field)
    if told.against:
        _head(page, "Decided against")
        for text in told.against:
            page.prose(text, lead="  ", hang=4)
    _flips(page, told)
    return page.text()


def _head(page: Page, text: str) -> None:
    page.line()
    page.line(text, style="bold")


def _deed(page: Page, deed: Deed) -> None:
    into = f" into {deed.into}" if deed.into is not None else ""
    who = f" contact {deed.contact}" if deed.contact is not None else " a contact"
    _head(page, f"{deed.do.capitalize()}{who}{into}  ({deed.action})")
    if deed.outcome is not None:
        page.prose(f"Outcome: {deed.outcome}{': ' + deed.outcome_says if deed.outcome_says else ''}", lead="  ", hang=4)
    if deed.held is not None:
        page.prose(f"Held: {deed.held}", lead="  ", hang=4, style="loud")
        if deed.limit is not None:
            _line(page, deed.limit)
    for reason in deed.reasons:
        _reason(page, reason)


def _reason(page: Page, reason: Reason) -> None:
    page.prose(f"{reason.rule}: {reason.says}", lead="  ", hang=4)
    _line(page, reason.line)
    for one in reason.evidence:
        page.line(f"      {one.origin}, {facts.label(one.field)}: {facts.shown(one.value)}", style="dim")


def _line(page: Page, line: RuleLine) -> None:
    text = f"  {line.text}" if line.line else " (not written there: its default holds)"
    page.line(f"      {line.where}{text}", style="dim")


def _rows(page: Page, told: Explanation) -> None:
    if told.rows:
        _head(page, "What the source says")
    for row in told.rows:
        page.line(f"  {row.where}")
        for one in row.columns:
            theirs = f" (column {one.column})" if one.column != one.field else ""
            page.line(f"      {one.field}{theirs}: {facts.shown(one.value)}")


def _contact(page: Page, story: ContactStory) -> None:
    _head(page, f"Contact {story.contact}, a {story.role}: {story.standing}")
    if story.says:
        page.prose(story.says, lead="  ", hang=4)
    for field, value in story.values.items():
        page.line(f"      {facts.label(field)}: {facts.shown(value)}")
    if story.open_conversations is not None:
        page.line(f"      open conversations: {story.open_conversations}")
    for title, witnesses in (("for", story.speaks_for), ("against", story.speaks_against)):
        for witness in witnesses:
            _witness(page, title, witness)


def _witness(page: Page, title: str, witness: Witness) -> None:
    value = facts.shown(witness.value)
    page.prose(f"{title}: {facts.label(witness.field)} {value} {witness.says}", lead="  ", hang=4)
    if witness.rule is not None:
        _line(page, witness.rule)


def _field(page: Page, story: FieldStory) -> None:
    asked = f" [{', '.join(story.rules)}]" if story.rules else ""
    style = "care" if story.end in {"sent", "not sent"} else None
    page.prose(f"{facts.label(story.field)}: {story.says}{asked}", lead="  ", hang=4, style=style)
    for step in story.steps:
        value = "" if isinstance(step.value, UnsetType) else f": {facts.shown(step.value)}"
        page.line(f"      {step.does}{value}", style="dim")
    if story.end == "sent" and story.found is None:
        page.line(f"      contact gets {facts.shown(story.wanted)}")
    elif story.end == "sent":
        page.line(f"      contact has {facts.shown(story.found)}, gets {facts.shown(story.wanted)}")
    elif story.end == "not sent":
        page.line(f"      contact has {facts.shown(story.found)}, should have {facts.shown(story.wanted)}")
    elif story.found is not None:
        page.line(f"      contact has {facts.shown(story.found)}")
    _line(page, story.line)


def _flips(page: Page, told: Explanation) -> None:
    if not told.flips_tried and not told.flips:
        return
    _head(page, f"What would flip it ({told.flips_tried} single changes tried)")
    if not told.flips:
        page.prose("None of them.", lead="  ")
    for side, title in _SIDES.items():
        mine = [flip for flip in told.flips if flip.side == side]
        if mine:
            page.line(f"  {title}:")
        for flip in mine:
            _flip(page, flip)


def _flip(page: Page, flip: Flip) -> None:
    page.prose(f"if {flip.change}: {flip.becomes}", lead="    ", hang=6)
    if flip.line is not None:
        _line(page, flip.line)
