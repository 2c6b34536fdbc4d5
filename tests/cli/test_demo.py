from __future__ import annotations

from syrupy.assertion import SnapshotAssertion

from reconciler.errors import ExitCode
from tests.cli.support import Place


def test_demo(place: Place, snapshot: SnapshotAssertion) -> None:
    """The whole story, with every kind of action, ends in `No changes.`; it needs no setting and leaves no file."""
    place.set(INTERCOM_ACCESS_TOKEN=None, INTERCOM_BASE_URL=None, RECONCILER_SOURCE=None)
    before = sorted(place.folder.iterdir())
    done = place.run("demo")
    assert (done.code, done.err) == (ExitCode.DONE, "")
    assert done.out.endswith("\nNo changes.\n")
    for kind in ("create", "update", "promote", "merge", "archive"):
        assert f"\nTo {kind}: " in done.out
    assert place.plain(done) == snapshot
    assert sorted(place.folder.iterdir()) == before


def test_demo_of_rules_that_are_broken(place: Place) -> None:
    """The demo runs under the rules of the folder, so it says what is wrong with them."""
    (place.own_rules() / "limits.yaml").write_text("creat: 5\n")
    done = place.run("demo")
    assert (done.code, done.out) == (ExitCode.ERROR, "")
    assert "limits.yaml:1" in done.err
