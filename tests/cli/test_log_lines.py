"""Our log: JSON, one line for one event, whatever stands in it."""

from __future__ import annotations

import json
from contextlib import redirect_stderr
from io import StringIO

import structlog
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import terminal
from tests.report.plans import HOSTILE

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60) | st.sampled_from(HOSTILE)


@given(event=TEXTS, name=st.text("abcxyz_", min_size=1, max_size=12), value=TEXTS)
def test_one_event_is_one_line_that_reads_back(event: str, name: str, value: str) -> None:
    """No line break, escape sequence or bidi mark of a text can begin a line of its own or move what others say."""
    said = StringIO()
    with redirect_stderr(said):
        terminal.set_up_logging()
        structlog.get_logger().warning(event, **{f"x_{name}": value})
    assert said.getvalue().isascii()
    assert said.getvalue()[:-1].isprintable()
    assert said.getvalue().endswith("\n")
    line = json.loads(said.getvalue())
    assert (line["event"], line[f"x_{name}"], line["level"]) == (event, value, "warning")
