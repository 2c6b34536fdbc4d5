"""How carefully a run begins, and when it gives up (limits.yaml: `canary` and `error_budget`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from reconciler.core.actions import Outcome, Verdict
from reconciler.core.rules import ErrorBudget

ERRORS: tuple[Verdict, ...] = ("failed", "unknown")
"""What counts against the error budget.

What is stale does not: nothing was sent, and contacts that people edit are what `expect` is for.
"""


class Caution(msgspec.Struct, frozen=True):
    """The default: all at once, whatever becomes of it."""

    canary: tuple[int, ...] = ()
    """How many actions go first, and how many after those; what became of them is looked at before the next begin."""
    budget: ErrorBudget | None = None
    in_bulk: bool = False
    """Whether plain updates go together after the canary, by a writer that can (`targets.BulkWriter`)."""
    unapproved: dict[str, str] = {}
    """Classes of actions that wait for an approval, each with the sentence that says so: they are held."""

    def why_stop(self, outcomes: Iterable[Outcome], *, batch_over: bool) -> str | None:
        """Why nothing more may be begun after these, in one sentence; None where the budget is kept (`ErrorBudget`)."""
        if self.budget is None:
            return None
        verdicts = Counter(outcome.outcome for outcome in outcomes)
        errors = sum(verdicts[verdict] for verdict in ERRORS)
        sent = errors + verdicts["done"]
        says = f"stopped, because {errors} of {sent} actions that were sent failed or ended unknown"
        if errors > self.budget.count:
            return f"{says}: more than {self.budget.count} (limits.yaml, error_budget.count)"
        if batch_over and errors > max(1, self.budget.percent * sent / 100):
            return f"{says}: more than {self.budget.percent:g}% (limits.yaml, error_budget.percent)"
        return None


NO_CAUTION = Caution()
