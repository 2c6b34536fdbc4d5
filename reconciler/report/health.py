"""The doctor's report for a terminal: one line a check, the word before the colour, the next step below it."""

from __future__ import annotations

from collections import Counter

from reconciler.core.health import Health, Status
from reconciler.report.page import Page

_STYLES: dict[Status, str] = {"green": "good", "amber": "care", "red": "loud"}
_WORD = max(map(len, _STYLES))


def health_text(health: Health, *, width: int = 80, colour: bool = False) -> str:
    """The report, no line wider than `width` cells. What is not green is told in full, with its next step."""
    page = Page(width=width, colour=colour)
    name = max((len(check.id) for check in health.checks), default=0)
    hang = _WORD + name + 4
    for check in health.checks:
        lead = f"{check.status:<{_WORD}}  {check.id:<{name}}  "
        says, style = check.says.rstrip("."), _STYLES[check.status]
        whole = f"{lead}{says} → {check.next_step}" if check.next_step else f"{lead}{says}"
        if page.fits(whole):
            page.line(whole, style=style)
            continue
        page.prose(says, lead=lead, hang=hang, style=style)
        if check.next_step:
            page.prose(check.next_step, lead=f"{' ' * (hang - 2)}→ ", hang=hang)
    page.line()
    page.line(counts_line(health), style="bold")
    return page.text()


def counts_line(health: Health) -> str:
    """How many are red, amber and green; colours that nothing has are left out."""
    counts = Counter(check.status for check in health.checks)
    return ", ".join(f"{counts[status]} {status}" for status in reversed(_STYLES) if counts[status]) + "."
