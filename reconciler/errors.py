"""Every error this project raises on purpose, and the exit code that each one means.

::

    ReconcilerError                    exit 1 unless said otherwise
    ├── SettingsError                  a variable is missing or malformed
    ├── RulesError                     rule files: all problems at once, each with file and line
    ├── UnknownMember                  exit 64: --only or --exclude names a number that nothing has
    ├── SourceError                    the desired side
    │   ├── SourceUnreachable          no connection, wrong password
    │   ├── SourceShapeError           a table or column is not there
    │   └── SourceIncomplete           pages do not add up to one whole
    ├── TargetError                    the actual side
    │   ├── Unreachable                nothing was sent, or nothing came back: for a write, outcome unknown
    │   ├── Halted                     not sent: the run was stopped while it waited
    │   ├── SnapshotIncomplete         pages do not add up to one whole
    │   └── Refused                    an answer with an error in it: status, code, request id
    │       ├── Unauthorized           401: the token is wrong
    │       ├── ScopeMissing           403: the token may not do this
    │       ├── NotFound               404: no such contact, or it is archived
    │       ├── Merged                 410: the contact lives on in another
    │       ├── Conflict               409: another contact, live or archived, holds the identifiers
    │       ├── NotRestorable          the person was blocked
    │       └── RateLimited            429 after the last retry
    ├── PlanError                      a plan file that must not run
    │   ├── PlanUnreadable             not a plan, edited, cut, or of another format
    │   └── PlanRefused                exit 3: expired, for another workspace, or not applyable
    └── StateError                     the state database cannot be read or written
        ├── LockHeld                   exit 5: another apply is running
        └── Paused                     exit 5: somebody pulled the emergency stop

Each says what happened, where, and the next step. Texts carry ids only, never names, e-mails or phones.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum


class ExitCode(IntEnum):
    """What a process of ours says on its way out (design §6)."""

    DONE = 0
    """Done, or nothing to do."""
    ERROR = 1
    """An error; nothing more was written after it."""
    CHANGES = 2
    """Changes present: `plan --detailed-exitcode` only."""
    HELD = 3
    """A limit or guard held or refused something."""
    PARTIAL = 4
    """Applied in part: failed, stale or unknown actions."""
    PAUSED = 5
    """Paused, or another apply holds the lock."""
    USAGE = 64
    """Wrong usage of the command line."""
    STOPPED = 143
    """Stopped by SIGTERM."""


class ReconcilerError(Exception):
    """Base of all errors raised on purpose.

    `what` happened, in one sentence; `next_step` says what a person does about it.
    """

    exit_code = ExitCode.ERROR

    def __init__(self, what: str, *, next_step: str = "") -> None:
        self.what = what
        self.next_step = next_step
        super().__init__(what)
        sys.audit("reconciler.error", type(self).__name__, what, next_step)  # whoever watches sees each (PEP 578)


class SettingsError(ReconcilerError):
    """A setting is missing or malformed; the text names the variable, never its value."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in one rule file. `line` counts from 1; 0 means the file as a whole."""

    file: str
    line: int
    says: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.says}"


class RulesError(ReconcilerError):
    """The rule files cannot be used. `problems` holds every problem of every file, in file and line order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            "\n".join([f"{count} problem{'s' if count != 1 else ''} in the rules:", *map(str, self.problems)]),
            next_step="Correct the lines named above, then run `reconcile rules check`.",
        )


class UnknownMember(ReconcilerError):
    """A member number on the command line that neither the source nor any contact has.

    Wrong usage and not a finding: with `--only` the plan would be about nobody and say that nothing is to do, and with
    `--exclude` somebody would be changed whom a person believes to be left out.
    """

    exit_code = ExitCode.USAGE


class SourceError(ReconcilerError):
    """Members or positions could not be read."""


class SourceUnreachable(SourceError):
    """The database did not answer, or refused us."""


class SourceShapeError(SourceError):
    """A table or column named in `rules/sources.yaml` is not in the database; the text lists what is."""


class SourceIncomplete(SourceError):
    """The rows read do not add up: a count that differs, keys that changed while they were read."""


class TargetError(ReconcilerError):
    """Intercom could not be read or written."""


class Unreachable(TargetError):
    """No usable answer: no connection, a timeout, a reset, a body that is not what it should be.

    After a write this means that the outcome is unknown: read the contact by id before anything is sent again.
    """

    def __init__(self, what: str, *, next_step: str = "", sent: bool = True) -> None:
        super().__init__(what, next_step=next_step)
        self.sent = sent
        """False only where it is certain that no byte of the request left (connection refused, no such host)."""


class Halted(TargetError):
    """The run was stopped before the call was sent; nothing was."""


class SnapshotIncomplete(TargetError):
    """The pages read do not add up: a count that differs, an id seen twice, a cursor that stands still."""


class Refused(TargetError):
    """Intercom answered with an error."""

    def __init__(
        self, what: str, *, status: int, code: str, request_id: str | None = None, next_step: str = ""
    ) -> None:
        super().__init__(what, next_step=next_step)
        self.status = status
        self.code = code
        """The `code` of the first entry of `errors`, e.g. `parameter_invalid`."""
        self.request_id = request_id


class Unauthorized(Refused):
    """401: the access token is not accepted."""


class ScopeMissing(Refused):
    """403: the token lacks the permission that the call needs."""


class NotFound(Refused):
    """404: there is no such thing, or the contact is archived, which looks the same."""


class Merged(Refused):
    """410: the contact was merged; `into` is the id of the contact it lives on in, where Intercom said."""

    def __init__(self, what: str, *, into: str | None, status: int, code: str, request_id: str | None = None) -> None:
        super().__init__(what, status=status, code=code, request_id=request_id)
        self.into = into


class Conflict(Refused):
    """409: `contact_id` holds the identifiers already, live or archived; None where the text was a third one."""

    def __init__(
        self,
        what: str,
        *,
        contact_id: str | None,
        archived: bool,
        status: int,
        code: str,
        request_id: str | None = None,
    ) -> None:
        super().__init__(what, status=status, code=code, request_id=request_id)
        self.contact_id = contact_id
        self.archived = archived


class NotRestorable(Refused):
    """The person was blocked: nothing but a click in Intercom's own pages brings the contact back."""


class RateLimited(Refused):
    """429, also after waiting for the window to end."""


class PlanError(ReconcilerError):
    """A plan file that must not be applied."""


class PlanUnreadable(PlanError):
    """Not a plan of this format, or not the bytes that were written."""


class PlanRefused(PlanError):
    """A sound plan that may not run here and now: expired, for another workspace, not applyable."""

    exit_code = ExitCode.HELD


class StateError(ReconcilerError):
    """The state database (locks, pause, runs under way) does not answer as it must. Nothing may be written then."""


class LockHeld(StateError):
    """Another process is applying. `holder` and `since` say which."""

    exit_code = ExitCode.PAUSED

    def __init__(self, *, holder: str, since: str) -> None:
        super().__init__(
            f"another apply is running: {holder}, since {since}",
            next_step="Wait until it has ended, then run this again. A dead one gives the lock up within a minute.",
        )
        self.holder = holder
        self.since = since


class Paused(StateError):
    """Writing is paused."""

    exit_code = ExitCode.PAUSED
