from __future__ import annotations

import json

from reconciler.errors import ExitCode
from tests.cli.support import Place


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
