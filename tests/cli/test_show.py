from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core import plan as plan_file
from reconciler.errors import ExitCode
from tests.cli.support import Place


@pytest.mark.parametrize("form", ["text", "markdown", "html", "json"])
def test_a_stored_plan_looks_as_it_did(form: str, place: Place) -> None:
    """What `reconcile plan` printed is what `reconcile show` prints, in every format, and nothing is called for it."""
    printed = place.run("plan", "--format", form).out
    calls = len(place.simulator.calls)
    done = place.run("show", place.newest().id, "--format", form)
    assert (done.code, done.out, done.err) == (ExitCode.DONE, printed, "")
    assert len(place.simulator.calls) == calls


def test_a_plan_by_id_by_its_beginning_and_by_path(place: Place) -> None:
    """A person names a plan in the way that is at hand; --json gives the very bytes of the file."""
    made = place.plan("--out", "copy.json")
    encoded = plan_file.encode(made).decode()
    for name in (made.id, made.id[:8], made.id[:-1], "copy.json", f"./plans/{made.id}.json"):
        done = place.run("show", name, "--json")
        assert (done.code, done.out, done.err) == (ExitCode.DONE, encoded, "")


def test_beginning_of_two_plans(place: Place) -> None:
    """Which one is meant is asked, with both named."""
    first = place.plan("--only", "100102")
    second = place.plan("--only", "100103")
    done = place.run("show", first.id[:8])
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert f"{first.id[:8]} is the beginning of 2 plans" in done.err
    assert first.id in done.err
    assert second.id in done.err


def test_plan_that_is_not_there(place: Place, snapshot: SnapshotAssertion) -> None:
    """The newest ones are listed, or that there is none yet; a folder is no plan."""
    assert place.plain(place.run("show", "20200101")) == snapshot(name="before the first plan")
    place.plan()
    for name in ("20200101", "none.json", "rules", "", "-"):
        done = place.run("show", name)
        assert (done.code, done.out) == (ExitCode.ERROR, "")
        assert place.plain(done) == snapshot(name=name or "empty")


def test_settings_of_intercom_are_not_needed_to_look(place: Place) -> None:
    """Whoever reviews a plan needs no token and no database."""
    made = place.plan()
    place.set(INTERCOM_ACCESS_TOKEN=None, RECONCILER_SOURCE=None, INTERCOM_BASE_URL=None)
    assert place.run("show", made.id).code == ExitCode.DONE
