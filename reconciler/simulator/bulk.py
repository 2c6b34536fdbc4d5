"""Updates in bulk, as Intercom's Preview describes them: a job that runs by itself, and tells no item's fate.

The operations are BulkUpdateContacts and ShowBulkUpdateContactsJob. An item that an update of its own would refuse is
left out, and the job ends `completed_with_errors`. Decided here: a task runs as a whole so many seconds after it was
accepted; what runs takes effect before the next call is answered. Companies and tags are ignored: there are no
companies here, and nobody who is simulated for tags in bulk.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from reconciler.simulator import contacts, errors
from reconciler.simulator.errors import ApiError
from reconciler.simulator.world import World

MOST = 100
"""Contacts of one request."""

FIELDS = (
    "external_id",
    "email",
    "name",
    "phone",
    "avatar",
    "owner_id",
    "unsubscribed_from_emails",
    "custom_attributes",
)
"""What bulk_update_contacts_request lists of what is stored here; anything else in an item is ignored."""

State = Literal["pending", "running", "completed", "completed_with_errors"]


class Task(msgspec.Struct, kw_only=True):
    """One request's items. due: unix seconds at which they run. failed: how many were refused; None before that."""

    id: str
    items: list[dict[str, object]]
    created_at: int
    due: float
    failed: int | None = None

    @property
    def state(self) -> State:
        """As the job shows it."""
        return "pending" if self.failed is None else "completed_with_errors" if self.failed else "completed"

    def body(self) -> dict[str, object]:
        """A task of contacts_bulk_job."""
        ended = None if self.failed is None else int(self.due)
        return {
            "id": self.id,
            "item_count": len(self.items),
            "state": self.state,
            "created_at": self.created_at,
            "started_at": ended,
            "completed_at": ended,
        }


class Job(msgspec.Struct, kw_only=True):
    """A job and its tasks, oldest first."""

    id: str
    created_at: int
    tasks: list[Task]

    @property
    def state(self) -> State:
        """Running until the last task has ended."""
        states = {task.state for task in self.tasks}
        if "pending" in states:
            return "running"
        return "completed_with_errors" if "completed_with_errors" in states else "completed"

    def body(self) -> dict[str, object]:
        """As contacts_bulk_job describes it."""
        ended = None if self.state == "running" else max(int(task.due) for task in self.tasks)
        return {
            "id": self.id,
            "type": "contacts.bulk.job",
            "state": self.state,
            "created_at": self.created_at,
            "updated_at": ended or self.created_at,
            "completed_at": ended,
            "tasks": [task.body() for task in self.tasks],
            "url": f"https://api.intercom.io/contacts/bulk/{self.id}",
        }


class Jobs:
    """All jobs of a workspace. seconds: from the moment a task is accepted until it runs."""

    def __init__(self, world: World, *, seconds: float) -> None:
        self._world = world
        self._seconds = seconds
        self._jobs: dict[str, Job] = {}
        self._waiting: list[Task] = []
        self._tasks = 0

    def accept(self, body: dict[str, object]) -> Job:
        """BulkUpdateContacts: a new job, or a task more for one that is named and still runs."""
        items = _items(body)
        job = self._named(body.get("job"))
        now = self._world.now()
        self._tasks += 1
        task = Task(id=f"task_v2_{self._tasks}", items=items, created_at=now, due=self._world.clock() + self._seconds)
        if job is None:
            job = Job(id=f"job_v2_{len(self._jobs) + 1}", created_at=now, tasks=[])
            self._jobs[job.id] = job
        job.tasks.append(task)
        self._waiting.append(task)
        self.run_due()
        return job

    def _named(self, named: object) -> Job | None:
        if named is None:
            return None
        job_id = str(named.get("id")) if isinstance(named, dict) else ""
        job = self.show(job_id)
        if job.state != "running":
            raise ApiError(403, "forbidden", f"job {job_id} is closed for new task updates")
        return job

    def show(self, job_id: str) -> Job:
        """ShowBulkUpdateContactsJob; its 404 is that of BulkUpdateContacts."""
        if job_id not in self._jobs:
            raise ApiError(404, "job_not_found", f"job {job_id} not found")
        return self._jobs[job_id]

    def run_due(self) -> None:
        """Run what should have run by now, in the order in which it was accepted."""
        if not self._waiting:
            return
        now = self._world.clock()
        due = [task for task in self._waiting if task.due <= now]
        self._waiting = [task for task in self._waiting if task.due > now]
        for task in due:
            task.failed = sum(not self._took(item) for item in task.items)

    def _took(self, item: dict[str, object]) -> bool:
        body = {name: item[name] for name in FIELDS if name in item}
        try:
            contacts.update(self._world, str(item["id"]), body)
        except ApiError:
            return False
        return True


def _items(body: dict[str, object]) -> list[dict[str, object]]:
    """The contacts of a request, or one of the 422s of BulkUpdateContacts."""
    items = body.get("contacts")
    if items is None:
        raise errors.unprocessable("field_not_found", "contacts field must be supplied")
    if not isinstance(items, list):
        raise errors.unprocessable("type_mismatch", "contacts must be an array")
    if len(items) > MOST:
        raise errors.unprocessable("parameter_invalid", f"maximum number of contacts per request is {MOST}")
    if not all(isinstance(item, dict) for item in items):
        raise errors.unprocessable("type_mismatch", "each contact must be an object")
    if not all(isinstance(item.get("id"), str) for item in items):
        raise errors.unprocessable("field_not_found", "contacts must be identified by id")
    return items
