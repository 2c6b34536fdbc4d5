"""What happened so far to one action, and the outcome that makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.core.actions import Action, Outcome, Verdict
from reconciler.core.model import Scalar
from reconciler.errors import Refused, TargetError


@dataclass(slots=True)
class Account:
    """The record that an action's calls are written into while they are made. `contact`: the one written."""

    action: Action
    contact: str | None
    calls: list[str] = field(default_factory=list)
    sent: dict[str, Scalar] = field(default_factory=dict)
    read_back: dict[str, Scalar] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    steps_done: int = 0

    def close(
        self, verdict: Verdict, says: str = "", *, error: TargetError | None = None, code: str | None = None
    ) -> Outcome:
        """The outcome, as of now."""
        refused = error if isinstance(error, Refused) else None
        return Outcome(
            action=self.action.id,
            do=self.action.do,
            outcome=verdict,
            contact=self.contact,
            member=self.action.member,
            says=" ".join([*self.notes, says]).strip(),
            calls=tuple(self.calls),
            sent=dict(self.sent),
            read_back=dict(self.read_back),
            code=code or (refused.code if refused else None),
            request_id=refused.request_id if refused else None,
        )
