"""Updates in bulk: accepted at once, done later, and silent about what was refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

PREVIEW = {"Intercom-Version": "Preview"}


@pytest.fixture
def desk(open_desk: Callable[..., Any]) -> Any:
    """Two users and a second until jobs run."""
    return open_desk({"id": "a1", "external_id": "1"}, {"id": "a2", "email": "b@x.org"}, bulk_seconds=2.0)


def put(desk: Any, *contacts: object, job: str | None = None) -> Any:
    """The answer to a bulk update."""
    body: dict[str, Any] = {"contacts": list(contacts)} | ({"job": {"id": job}} if job else {})
    return desk.call("PUT", "/contacts/bulk", body, headers=PREVIEW)


def job(desk: Any, job_id: str) -> Any:
    """A job, as it is shown."""
    return desk.call("GET", f"/contacts/bulk/{job_id}", headers=PREVIEW).json()


def test_a_job_is_accepted_runs_later_and_says_so(desk: Any) -> None:
    """202 and nothing done; after its time the contacts are changed, and the job has ended."""
    answer = put(desk, {"id": "a1", "name": "Ann"}, {"id": "a2", "custom_attributes": {"region": "NEA"}})
    assert answer.status_code == 202
    assert answer.headers["intercom-version"] == "Preview"
    assert (answer.json()["state"], answer.json()["tasks"][0]["item_count"]) == ("running", 2)
    assert desk.ok("GET", "/contacts/a1")["name"] is None
    desk.clock.now += 2
    assert desk.ok("GET", "/contacts/a1")["name"] == "Ann"
    assert desk.ok("GET", "/contacts/a2")["custom_attributes"] == {"region": "NEA"}
    assert job(desk, answer.json()["id"])["state"] == "completed"


def test_an_item_that_is_refused_leaves_the_others_and_is_not_named(desk: Any) -> None:
    """The job ends `completed_with_errors`, and nobody learns which."""
    answer = put(desk, {"id": "a1", "name": "Ann"}, {"id": "nobody", "name": "x"}, {"id": "a2", "external_id": "1"})
    desk.clock.now += 2
    shown = job(desk, answer.json()["id"])
    assert shown["state"] == "completed_with_errors"
    assert "nobody" not in str(shown)
    assert desk.ok("GET", "/contacts/a1")["name"] == "Ann"
    assert desk.ok("GET", "/contacts/a2")["external_id"] is None


def test_what_the_request_does_not_list_is_ignored(desk: Any) -> None:
    """A role cannot be changed in bulk."""
    put(desk, {"id": "a2", "role": "lead", "name": "Bo"})
    desk.clock.now += 2
    shown = desk.ok("GET", "/contacts/a2")
    assert (shown["role"], shown["name"]) == ("user", "Bo")


def test_a_job_takes_more_while_it_runs(desk: Any) -> None:
    """Closed is closed, and unknown is unknown."""
    name = put(desk, {"id": "a1", "name": "Ann"}).json()["id"]
    desk.clock.now += 1
    assert len(put(desk, {"id": "a2", "name": "Bo"}, job=name).json()["tasks"]) == 2
    desk.clock.now += 1
    assert job(desk, name)["state"] == "running"
    desk.clock.now += 1
    closed = put(desk, {"id": "a1", "name": "Al"}, job=name)
    assert (closed.status_code, closed.json()["errors"][0]["message"]) == (
        403,
        f"job {name} is closed for new task updates",
    )
    assert put(desk, {"id": "a1"}, job="job_v2_9").status_code == 404


REFUSED: list[tuple[object, str, str]] = [
    ({}, "field_not_found", "contacts field must be supplied"),
    ({"contacts": {}}, "type_mismatch", "contacts must be an array"),
    ({"contacts": ["a1"]}, "type_mismatch", "each contact must be an object"),
    ({"contacts": [{"name": "Ann"}]}, "field_not_found", "contacts must be identified by id"),
    ({"contacts": [{"id": "a1"}] * 101}, "parameter_invalid", "maximum number of contacts per request is 100"),
]


@pytest.mark.parametrize(("body", "code", "message"), REFUSED, ids=[row[2] for row in REFUSED])
def test_a_request_is_refused_as_a_whole(desk: Any, body: object, code: str, message: str) -> None:
    """With the 422s of the description."""
    answer = desk.call("PUT", "/contacts/bulk", body, headers=PREVIEW)
    assert answer.status_code == 422
    assert (answer.json()["errors"][0]["code"], answer.json()["errors"][0]["message"]) == (code, message)


def test_the_two_versions_do_not_mix(desk: Any) -> None:
    """Bulk is of the Preview alone; everything else here is of 2.16."""
    status, code, _ = desk.refused("PUT", "/contacts/bulk", {"contacts": []})
    assert (status, code) == (400, "intercom_version_invalid")
    assert desk.call("GET", "/contacts/a1", headers=PREVIEW).status_code == 400


def test_what_is_due_is_in_the_state(desk: Any) -> None:
    """Whoever looks from outside sees what a call would see."""
    put(desk, {"id": "a1", "name": "Ann"})
    desk.clock.now += 2
    assert b'"name":"Ann"' in desk.simulator.state_json()
