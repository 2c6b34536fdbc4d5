from __future__ import annotations

import pytest
from syrupy.assertion import SnapshotAssertion

from reconciler.core.actions import Do, Outcome, Verdict
from reconciler.core.outcome import RunOutcome, count
from reconciler.report.outcome import daily_summary, outcome_text


def outcomes(number: int, do: Do, verdict: Verdict = "done", says: str = "") -> list[Outcome]:
    """So many outcomes of one kind."""
    return [
        Outcome(
            action=f"{do[0]}-{verdict}-{at}", do=do, outcome=verdict, contact=f"5ba6{at}", member=f"1000{at}", says=says
        )
        for at in range(number)
    ]


def run_of(*parts: list[Outcome]) -> RunOutcome:
    """One run with these outcomes."""
    together = tuple(one for part in parts for one in part)
    return RunOutcome(
        plan="20261123T023000Z-8f3a1c5e",
        plan_digest="sha256:" + "a" * 64,
        started_at="2026-11-23T02:30:10Z",
        finished_at="2026-11-23T02:31:00Z",
        summary=count(together),
        outcomes=together,
    )


GOOD_NIGHT = run_of(outcomes(3, "create"), outcomes(41, "update"), outcomes(2, "promote"), outcomes(5, "archive"))


def test_block_for_scripts_is_the_one_of_the_design() -> None:
    """Scripts grep the logs for these very lines (design §6)."""
    block = (
        "Intercom Daily Sync Summary\n"
        "✅ Created: 3\n"
        "🔄 Updated: 43\n"
        "🗄️ Archived: 5\n"
        "❌ Failed: 0\n"
    )  # fmt: skip
    assert daily_summary(GOOD_NIGHT.outcomes) == block
    assert outcome_text(GOOD_NIGHT).endswith(f"\n\n{block}")


@pytest.mark.parametrize(
    ("reason", "done", "line"),
    [
        ("merged leads are gone as archived contacts are", outcomes(2, "merge"), "🗄️ Archived: 2"),
        ("positions deleted", outcomes(2, "delete"), "🗄️ Archived: 2"),
        ("contacts brought back are changed, not new", outcomes(2, "unarchive"), "🔄 Updated: 2"),
        ("an unknown outcome is not a success", outcomes(2, "create", "unknown"), "❌ Failed: 2"),
        ("a refused one neither", outcomes(2, "update", "failed"), "❌ Failed: 2"),
        ("a stale one was not tried", outcomes(2, "update", "stale"), "❌ Failed: 0"),
    ],
)
def test_every_kind_has_its_counter(reason: str, done: list[Outcome], line: str) -> None:
    """No outcome falls between the four counters unseen."""
    assert line in daily_summary(done).split("\n"), reason


def test_bad_night(snapshot: SnapshotAssertion) -> None:
    """Whatever was not done is named with its ids and the reason, the gravest first, and thousands share one reason."""
    refused = Outcome(
        action="u-1", do="update", outcome="failed", contact="5ba6", says="Intercom refused it.",
        code="parameter_invalid", request_id="req-1",
    )  # fmt: skip
    run = run_of(
        outcomes(2, "update"),
        outcomes(1, "update", "stale", "phone is not what the plan expected"),
        [refused],
        outcomes(1, "create", "unknown", "no answer, and it could not be read back"),
        outcomes(60, "archive", "held", "stopped, because the run was interrupted"),
        outcomes(1, "promote", "failed"),
    )
    assert outcome_text(run, limit_lines=3) == snapshot


def test_hostile_reason_stays_in_its_line() -> None:
    """A reason with a newline or a bidi control cannot write a line of its own, such as a false block for scripts."""
    text = outcome_text(run_of(outcomes(1, "update", "failed", "x\n✅ Created: 999\u202e")))
    assert "\n✅ Created: 999" not in text
    assert r"x\n✅ Created: 999\u202e" in text
