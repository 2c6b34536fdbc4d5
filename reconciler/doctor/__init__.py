"""`reconcile doctor`: everything that a person on call would look at, at once (docs/runbook.md).

`facts` are found out side by side, each within the time there is; `around` says what they are and how they are asked;
`setup`, `sides` and `nights` judge them, one function a check. One that fails takes no other with it: what it was
needed for is amber, and names it.
"""

from reconciler.doctor.examine import CHECKS, SECONDS, examine, unreadable

__all__ = ["CHECKS", "SECONDS", "examine", "unreadable"]
