"""Where plans and outcomes are kept: immutable objects, `ID.json` and `ID.outcome.json` (design §4.10).

Here they go by the ids of plans. Their bytes are the matter of runs/objects.py and runs/bucket.py, their order that of
runs/ledger.py, and the pages that people read that of runs/pages.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from reconciler.core import approval as approval_file
from reconciler.core import outcome as outcome_file
from reconciler.core import plan as plan_file
from reconciler.core import sealed
from reconciler.core.actions import KINDS, Outcome
from reconciler.core.approval import Approval
from reconciler.core.ceilings import CEILINGS
from reconciler.core.outcome import RunOutcome
from reconciler.core.plan import Heading, Plan
from reconciler.core.undo import takes_back, undoes
from reconciler.errors import PlanError, PlanUnreadable
from reconciler.runs import pages, retention
from reconciler.runs.audit import Audit, audit, look
from reconciler.runs.bucket import open_objects
from reconciler.runs.ledger import PLAN_ID, RECORD, Ledger, damaged, in_order, taken
from reconciler.runs.objects import trouble
from reconciler.runs.records import OF_FILE, Record, bytes_of, readable

SHORTEST_PREFIX = 8
"""A prefix of a plan's id must have this many characters: the eight of a date say which night."""

_ID = re.compile(PLAN_ID)
_PREFIX = re.compile(r"[0-9]{8}[0-9a-zTZ-]*")
_NEWEST_SHOWN = 5
_LONGEST_RUN = timedelta(hours=CEILINGS["plan_lifetime_hours"], days=1)
"""From the making of a plan to the end of its run."""


class PlanStore:
    """Plans and the outcomes of applying them.

    `location` is a folder, made on first use and open to its owner alone, because plans hold personal data; or an
    s3:// address, which `aws` (the AWS_* variables) opens. Every method raises ReconcilerError, naming the path, where
    the place cannot be read or written.
    """

    def __init__(
        self, location: str, aws: Mapping[str, str] | None = None, *, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        self.location = location
        self._place = open_objects(location, aws or {})
        self._ledger = Ledger(self._place, random=random)
        self._checked = False

    def ready(self) -> None:
        """Raises what would keep a record from being stored: before minutes of reading, and before anything is sent.

        That is a folder that is closed to this user, a place that overwrites (SettingsError), or a newest record that
        is not as it was written (PlanUnreadable), since nothing may be built on it.
        """
        self._check()
        self.look_ready()

    def look_ready(self) -> None:
        """As `ready`, for whoever may write nothing: whether the place overwrites, only a write would tell."""
        self._place.check_open()
        self.latest_digest()

    def put_plan(self, plan: Plan) -> str:
        """Store the plan and return its name, `ID.json`.

        The same bytes again are a success. Raises PlanError where other bytes have that id already, PlanUnreadable
        where these bytes took the place of those that were stored.
        """
        name, data = f"{_safe(plan.id)}.json", plan_file.encode(plan)
        there = self._place.find(name)
        if there is not None and there != data:
            raise taken(self._place.path_of(name))
        link = None if there is None else self._ledger.link_of(name)
        if link is None:
            self._append(name, lambda _: data)
        elif link.record_digest != sealed.digest_of(data):
            raise PlanUnreadable(
                f"{self._place.path_of(name)} is not the plan that was stored: it was changed, and sealed anew",
                next_step="Restore it from a backup, and find out who may write there. `reconcile verify` names all "
                "that is not as it was written.",
            )
        return name

    def put_page(self, plan_id: str, html: bytes) -> str | None:
        """Store the HTML page of a stored plan beside it and return its name, `ID.html` (runs/pages.py).

        None where there may be none: values were taken out of the plan, or it is not here.
        """
        return pages.put(self._place, _safe(plan_id), html)

    def get_plan(self, ref: str) -> Plan:
        """The plan that `ref` means: a stored id, the beginning of exactly one, or else the path of a file.

        Raises PlanError where it means nothing or several, PlanUnreadable where the file is not sound.
        """
        plan_id = self._find(ref, self.list_ids())
        if plan_id is None:
            return readable(bytes_of(Path(ref)), plan_file.decode, where=ref)
        return self._plan(plan_id)

    def put_outcome(
        self, plan: Plan, outcomes: tuple[Outcome, ...], *, started_at: datetime, finished_at: datetime
    ) -> str:
        """Store what became of `plan` and return the name, `ID.outcome.json`. Times are UTC.

        The same outcome again is a success. Raises PlanError where the plan has another outcome already:
        a plan is applied once.
        """
        name = f"{_safe(plan.id)}.outcome.json"
        run = RunOutcome(
            plan=plan.id,
            plan_digest=plan_file.digest_of(plan_file.encode(plan)),
            started_at=_second(started_at),
            finished_at=_second(finished_at),
            summary=outcome_file.count(outcomes),
            outcomes=outcomes,
        )
        if self._place.exists(name):
            if msgspec.structs.replace(self._outcome(plan.id), previous=None) != run:
                raise taken(self._place.path_of(name))
            return name
        self._append(name, lambda previous: outcome_file.encode(msgspec.structs.replace(run, previous=previous)))
        return name

    def put_approval(self, approval: Approval) -> str:
        """Store an approval of a plan that is stored here, and return its name, `ID.approval-HASH.json`."""
        name = approval_file.name_of(approval)
        self._append(name, lambda previous: approval_file.encode(msgspec.structs.replace(approval, previous=previous)))
        return name

    def approvals_of(self, plan_id: str) -> tuple[Approval, ...]:
        """The approvals of a plan, in the order of their names. A file that is not in the chain is none.

        Raises PlanUnreadable for one that was changed or cut.
        """
        names = [name for name in self._records() if name.startswith(f"{_safe(plan_id)}.approval-")]
        return tuple(
            self._decoded(name, approval_file.decode, id_of=lambda approval: approval.plan)
            for name in names
            if self._ledger.link_of(name) is not None
        )

    def get_outcome(self, ref: str) -> RunOutcome:
        """The outcome of the plan that `ref` means, or the one in the file at that path; raises as `get_plan` does."""
        plan_id = self._find(ref, self._ids())
        if plan_id is None:
            return readable(bytes_of(Path(ref)), outcome_file.decode, where=ref)
        return self._outcome(plan_id)

    def has_outcome(self, plan_id: str) -> bool:
        """Whether the plan was applied already."""
        return self._place.exists(f"{_safe(plan_id)}.outcome.json")

    def list_ids(self) -> list[str]:
        """The ids of all stored plans, oldest first.

        An id begins with its second. Of several plans of the newest second the chain knows the order.
        """
        ids = [match[1] for match in map(RECORD.fullmatch, self._records()) if match and match[2] is None]
        newest = [one for one in ids if one.startswith(ids[-1].partition("-")[0])] if ids else []
        return ids if len(newest) < 2 else [*ids[: -len(newest)], *sorted(newest, key=self._place_in_chain)]

    def _place_in_chain(self, plan_id: str) -> tuple[int, str]:
        link = self._ledger.link_of(f"{plan_id}.json")
        return 0 if link is None else link.number, plan_id

    def list_records(self) -> list[str]:
        """The names of all plans and outcomes, `ID.json` and `ID.outcome.json`: by id, a plan before its outcome."""
        return self._records()

    def read(self, name: str) -> bytes:
        """One of the records that `list_records` names, as it is stored: neither checked nor decoded."""
        return self._place.get(name)

    def latest_digest(self) -> str | None:
        """The digest of the record that was stored last: the `previous` of the next one. None in an empty place.

        Raises PlanUnreadable where that record is damaged or gone, since nothing may be built on it.
        """
        newest = self._ledger.tail()
        if newest is None:
            return None
        if look(self._place, newest).digest != newest.record_digest:
            raise damaged(self._place.path_of(newest.record))
        return newest.record_digest

    def verify(self, *, head: str | None = None) -> Audit:
        """Walk the chain of all records (runs/audit.py). `head` is one that was noted earlier."""
        return audit(self._place, head=head)

    def erase_old(self, *, before: datetime) -> tuple[str, ...]:
        """Take the personal data out of the records of plans made before this time (UTC); the names of those changed.

        The chain still proves the rest of them (runs/retention.py).
        """
        return retention.erase_old(self._place, self._ledger, before=before)

    def erase_member(self, member: str) -> tuple[str, ...]:
        """Take one member's personal data out of all records; the names of those changed."""
        return retention.erase_member(self._place, self._ledger, member=member)

    def last_good(self, *, target: str | None = None) -> Heading | None:
        """What the newest plan that might be applied and met every source guard (of this target, where one is named)
        says before its actions.

        What it read is what the next run's sources are measured against. Plans of another release are passed over;
        raises PlanUnreadable for one that was changed or cut.
        """
        for plan_id in reversed(self.list_ids()):
            name = f"{plan_id}.json"
            plan = self._of_this_release(name, plan_file.heading)
            if plan is None:
                continue
            self._check_name(name, plan.id)
            if _is_good(plan) and target in {None, plan.target}:
                return plan
        return None

    def outcomes_since(self, moment: datetime) -> tuple[RunOutcome, ...]:
        """The outcomes of the runs that ended at this time (UTC) or later, the earliest first.

        Those of another release are passed over; raises PlanUnreadable for one that was changed or cut. A run begins
        before its plan expires, so that no older plan is looked at than the longest lifetime and a day of running.
        """
        oldest = f"{moment - _LONGEST_RUN:%Y%m%dT%H%M%SZ}"
        found = []
        for name in self._records():
            if not name.endswith(".outcome.json") or name < oldest:
                continue
            run = self._of_this_release(name, outcome_file.decode)
            if run is not None and datetime.fromisoformat(run.finished_at) >= moment:
                found.append(run)
        return tuple(sorted(found, key=lambda run: (run.finished_at, run.plan)))

    def took_back(self, run: RunOutcome) -> bool:
        """Whether the plan that a run carried out takes back another. Of one that is not stored here, or is of another
        release, nobody can say so.

        Its first action tells, and no more of it is decoded: every plan asks this of all runs of a week.
        """
        name = f"{_safe(run.plan)}.json"
        if not self._place.exists(name):
            return False
        data = self._place.get(name)
        if not sealed.is_whole(data):  # damaged, or a record that values were taken out of
            plan = self._of_this_release(name, plan_file.decode)
            return plan is not None and takes_back(plan)
        try:
            first = plan_file.first_action(data)
        except PlanUnreadable:
            return False
        return first is not None and undoes(first)

    def _ids(self) -> list[str]:
        """The ids of all plans that have a record here: a plan that came as a file leaves its outcome alone."""
        return list(dict.fromkeys(name.partition(".")[0] for name in self._records()))

    def _find(self, ref: str, ids: list[str]) -> str | None:
        """The one of `ids` that `ref` means; None where it is the path of a file."""
        if _PREFIX.fullmatch(ref):
            found = [ref] if ref in ids else [plan_id for plan_id in ids if plan_id.startswith(ref)]
            if len(found) == 1:
                return found[0]
            if found:
                raise PlanError(
                    f"{ref} is the beginning of {len(found)} plans in {self.location}",
                    next_step="Name one of them with more of its id: " + _listed(found),
                )
        with trouble("read", ref, next_step=OF_FILE):
            if Path(ref).is_file():
                return None
        raise self._missing(ref)

    def _missing(self, ref: str) -> PlanError:
        if ref == "-":
            return PlanError("a plan is not read from standard input", next_step="Write it to a file and name that.")
        newest = _listed(self.list_ids())
        return PlanError(
            f"there is no plan {ref}, neither in {self.location} nor as a file",
            next_step=f"Name a file, or a stored plan by its id or by the first {SHORTEST_PREFIX} or more characters. "
            + (f"The newest are {newest}." if newest else "None is stored yet: make one with `reconcile plan`."),
        )

    def _plan(self, plan_id: str) -> Plan:
        return self._decoded(f"{plan_id}.json", plan_file.decode, id_of=lambda plan: plan.id)

    def _outcome(self, plan_id: str) -> RunOutcome:
        name = f"{plan_id}.outcome.json"
        if not self._place.exists(name):
            raise PlanError(
                f"plan {plan_id} has no outcome in {self.location}: it was not applied, or its run is not over",
                next_step=f"See the plan with `reconcile show {plan_id}`.",
            )
        return self._decoded(name, outcome_file.decode, id_of=lambda run: run.plan)

    def _decoded(self, name: str, decode: Callable[..., Record], *, id_of: Callable[[Record], str]) -> Record:
        record = readable(self._place.get(name), decode, where=self._place.path_of(name))
        self._check_name(name, id_of(record))
        return record

    def _check_name(self, name: str, plan_id: str) -> None:
        if plan_id != name.partition(".")[0]:
            raise PlanUnreadable(
                f"{self._place.path_of(name)} holds the record of another plan, {plan_id}",
                next_step="Give the file its own name back, or restore the folder from a backup.",
            )

    def _of_this_release(self, name: str, decode: Callable[..., Record]) -> Record | None:
        """A record, or None where it is whole but not of a form that this release reads."""
        data = self._place.get(name)
        try:
            return readable(data, decode, where=self._place.path_of(name))
        except PlanUnreadable:
            if sealed.is_whole(data):
                return None
            raise

    def _records(self) -> list[str]:
        """The names of all records: by id, a plan before its outcome. Other objects in the place are not ours."""
        return in_order(self._place.names())

    def _append(self, name: str, build: Callable[[str | None], bytes]) -> None:
        self._check()
        self._ledger.append(name, build)

    def _check(self) -> None:
        if not self._checked:
            self._place.check()
            self._checked = True


def _safe(plan_id: str) -> str:
    """The id as part of a file name: a plan file from elsewhere may call itself `../../x`."""
    if not _ID.fullmatch(plan_id):
        raise PlanError(
            f"{plan_id!r} is not the id of a plan, which looks like 20261123T023000Z-8f3a1c5e",
            next_step="Make a new plan with `reconcile plan`.",
        )
    return plan_id


def _is_good(plan: Heading) -> bool:
    """Checks that are not of an action class are guards of the source. A plan without counts read only a part of it."""
    if plan.inputs.members.count is None:
        return False
    was_applyable = plan.applyable or plan.refused_because == (plan_file.GONE,)
    return was_applyable and all(check.ok for check in plan.limits if check.limit not in KINDS)


def _listed(ids: list[str]) -> str:
    return ", ".join(reversed(ids[-_NEWEST_SHOWN:]))


def _second(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
