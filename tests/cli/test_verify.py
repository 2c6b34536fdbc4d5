from __future__ import annotations

import json

from reconciler.errors import ExitCode
from reconciler.runs.store import PlanStore
from tests.cli.support import Place
from tests.services.s3 import S3


def test_verify_says_that_all_is_as_written(own_place: Place) -> None:
    """A night leaves a chain that holds, and the head that is to be noted elsewhere."""
    assert "No record is stored yet." in own_place.run("verify").out
    made = own_place.plan()
    assert own_place.run("apply", made.id).code in {ExitCode.DONE, ExitCode.PARTIAL}
    done = own_place.run("verify")
    assert done.code == ExitCode.DONE
    assert "All 2 records are as written, in their order." in done.out
    head = json.loads(own_place.run("verify", "--json").out)["head"]
    assert f"Head: {head}" in done.out
    assert own_place.run("verify", "--head", head).code == ExitCode.DONE


def test_a_night_with_its_plans_in_a_bucket(own_place: Place, s3: S3) -> None:
    """Plan, apply, show and verify, with the bucket and its credentials in .env alone; nothing of it on the disk."""
    location = s3.new_bucket()
    settings = {"RECONCILER_PLANS": location, "RECONCILER_STATE_URL": "sqlite:///state.sqlite", **s3.environment}
    lines = [f"{name}={value}\n" for name, value in settings.items()]
    (own_place.folder / ".env").write_text("".join(lines), "utf-8")
    assert own_place.run("plan").code == ExitCode.DONE
    (made,) = PlanStore(location, s3.environment).list_ids()
    assert own_place.run("apply", made).code == ExitCode.DONE
    assert made in own_place.run("show", made[:8]).out
    assert "All 2 records are as written, in their order." in own_place.run("verify").out
    assert not (own_place.folder / "plans").exists()
    assert own_place.run("plan").out.rstrip().endswith("No changes.")


def test_verify_names_the_first_record_that_was_touched(place: Place) -> None:
    """An edited plan is an error, which names the file; so is a head that is no longer there."""
    made = place.plan()
    path = place.folder / "plans" / f"{made.id}.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"contacts", b"c0ntacts", 1))
    done = place.run("verify")
    assert done.code == ExitCode.ERROR
    assert done.out.startswith(f"Not as it was written: {made.id}.json, edited: ")
    path.write_bytes(whole)
    done = place.run("verify", "--head", "sha256:" + "0" * 64)
    assert done.code == ExitCode.ERROR
    assert "chain, cut: " in done.out
    assert json.loads(place.run("verify", "--head", "sha256:" + "0" * 64, "--json").out)["flaws"][0]["kind"] == "cut"


def test_verify_takes_whole_digests_only(place: Place) -> None:
    """Half a digest would prove half of it."""
    done = place.run("verify", "--head", "sha256:00")
    assert done.code == ExitCode.USAGE
    assert "64 hexadecimal digits" in done.err
