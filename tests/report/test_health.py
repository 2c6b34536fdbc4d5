from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from syrupy.assertion import SnapshotAssertion

from reconciler.core.health import Check, Status, amber, green, health, red, worst
from reconciler.report.health import counts_line, health_text

CHECKS = (
    green("settings", "all that a night needs is set"),
    red(
        "token",
        "Intercom refused GET /me: 401 unauthorized (Access Token Invalid).",
        "Check INTERCOM_ACCESS_TOKEN: revoked, of another workspace, or of another region than INTERCOM_BASE_URL.",
    ),
    amber("contacts", "not looked at", "see to `token` first."),
    green("last-success", "2026-11-24 02:31 UTC, 9 hours ago"),
)
FOUND = health(CHECKS, at="2026-11-24T11:40:00Z")


def test_report(snapshot: SnapshotAssertion) -> None:
    """One line a check; what does not fit goes on below, and the next step with it."""
    assert health_text(FOUND) == snapshot


def test_colour_only_repeats_the_word(snapshot: SnapshotAssertion) -> None:
    """Without colour nothing is lost: the coloured text is the plain one between escapes."""
    assert health_text(FOUND, colour=True) == snapshot


@given(
    st.lists(
        st.builds(
            Check,
            id=st.sampled_from(["token", "last-success"]),
            status=st.sampled_from(["green", "amber", "red"]),
            says=st.text(max_size=200),
            next_step=st.text(max_size=200),
        ),
        max_size=4,
    ),
    st.integers(60, 120),
)
def test_no_line_is_wider_than_the_terminal(checks: list[Check], width: int) -> None:
    """Whatever is said, and whatever it is said with."""
    for line in health_text(health(checks, at="x"), width=width).splitlines():
        assert cell_len(line) <= width


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "green"),
        (["green", "green"], "green"),
        (["green", "amber"], "amber"),
        (["red", "amber", "green"], "red"),
    ],
)
def test_the_worst_decides(statuses: list[Status], expected: Status) -> None:
    """One red line makes it red."""
    assert worst(statuses) == expected


def test_counts() -> None:
    """The worst first; colours that nothing has are left out."""
    assert counts_line(FOUND) == "1 red, 1 amber, 2 green."
    assert counts_line(health(CHECKS[:1], at="x")) == "1 green."
