"""What reading a large union costs in memory, measured from outside: the peak of a process that does nothing else."""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import httpx
import msgspec
import pytest

from reconciler.core.model import silent
from reconciler.core.rules import Table
from reconciler.sources.rows import text_of
from reconciler.supabase.questions import Question
from reconciler.supabase.reading import Reading, Row
from reconciler.supabase.tables import open_tables
from reconciler.supabase.wire import Wire
from tests.services.postgrest.server import SERVICE_KEY
from tests.services.supabase import project
from tests.services.worlds import member, position
from tests.support.campaign import NIGHTLY

COUNT = 200_000
ROOT = Path(__file__).parents[2]

CHILD = """
import gc, sys
from reconciler.core.model import silent
from reconciler.core.rules.loader import parse_rules
from reconciler.sources.supabase import open_supabase
from pathlib import Path

rules = parse_rules({path.name: path.read_text("utf-8") for path in Path("rules").glob("*.yaml")})
url, few, key = sys.argv[1:]

def peak():  # of this program alone: ru_maxrss is that of whoever started it, too (proc(5), getrusage(2))
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

open_supabase(few, key, rules.sources).read(silent)  # what is loaded once does not count
gc.disable()  # as while a plan is made
before = peak()
data = open_supabase(url, key, rules.sources).read(silent)
grown = peak() - before
texts = [getattr(each, name) for each in data.members for name in each.__struct_fields__]
bare = sys.getsizeof(data.members) + sum(map(sys.getsizeof, data.members))
apart = bare + sum(sys.getsizeof(text) for text in texts if text is not None)
size = bare + sum(map(sys.getsizeof, {id(text): text for text in texts}.values()))
print('{"members": %d, "apart": %d, "size": %d, "grown": %d}' % (len(data.members), apart, size, grown))
"""


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes: of the members that were read, without what the allocator needs to keep them, and by how much the peak of
    the process grew while they were read.
    """

    members: int
    apart: int
    """With every text of every member counted: what they need where none is shared."""
    size: int
    """With every text counted once: what they need."""
    grown: int


def cost(url: str, few: str) -> Cost:
    """Read a project in a process of its own, after one with few rows."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, url, few, SERVICE_KEY], cwd=ROOT, capture_output=True, check=True, timeout=600
    )
    return msgspec.json.decode(done.stdout, type=Cost)


def test_an_answer_is_let_go_as_soon_as_its_rows_are_read() -> None:
    """While a plan is made nobody collects cycles, so that one in each answer would keep every page to the end."""
    rows = [{"a": str(at)} for at in range(100)]

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-range": "0-99/100"}, json=rows)

    question = Question(table="t", columns=("a",), limit=100)
    with Wire("http://127.0.0.1:9", "key", sleep=print, clock=float, transport=httpx.MockTransport(answer)) as wire:
        wire.ask(question)  # what is loaded once does not count
        gc.collect()
        gc.disable()
        try:
            for _ in range(10):
                assert len(wire.ask(question).rows) == len(rows)
            assert gc.collect() == 0
        finally:
            gc.enable()


class Held:
    """Keeps one row of each page, and looks who holds the one before it by then."""

    def __init__(self) -> None:
        self.row: Row = ()
        self.held: list[int] = []

    def extend(self, rows: Iterable[Row], /) -> None:
        """Take in a page."""
        self.held.append(sys.getrefcount(self.row))
        self.row = next(iter(rows))

    def clear(self) -> None:
        """Nothing, so that the next page tells what was held over from the reading before."""


def test_rows_are_let_go_page_by_page() -> None:
    """Nobody but who takes them in holds rows of an earlier page, nor those of a reading that was thrown away."""
    total = 50
    counts = iter([total + 1, total, total])

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.url.params
        if asked["limit"] == "1":
            return httpx.Response(200, headers={"content-range": f"0-0/{next(counts)}"}, json=[{"n": "100"}])
        operator, _, value = asked["n"].partition(".")
        start = total if value == "null" and operator == "is" else int(asked.get("offset", 0))
        start += int(value) - 100 if operator == "gte" else 0
        return httpx.Response(200, json=[{"n": str(100 + at)} for at in range(start, min(start + 10, total))])

    def wire() -> Wire:
        return Wire("http://x.test", "key", sleep=print, clock=float, transport=httpx.MockTransport(answer))

    waits: list[float] = []
    reading = Reading("members", Table(table="t", columns={"n": "n"}), ("n",), ("n",), text_of)
    held = Held()
    open_tables(wire, "sb_secret_x", (reading,), sleep=waits.append, page_size=10).read(silent, [held])
    assert waits == [2.0], "it was read anew once"
    assert len(held.held) == 2 * total / 10
    assert set(held.held[1:]) == {2}, "by this test, and by who counts"


@pytest.mark.skipif(not NIGHTLY, reason="200,000 members are read at night only: CAMPAIGN=nightly")
def test_memory_grows_with_the_members_and_not_with_the_pages(postgres_url: str, postgres_shared_url: str) -> None:
    """A page is let go once members are made of its rows, so ten times as many pages cost no more (issue 5, done when).

    Beside the members there are their keys, which are read twice, and a page.
    """
    rows = [member(str(100_000 + at), email=f"m{at}@example.org", lastname=f"Lee{at}") for at in range(COUNT)]
    with (
        project(postgres_url, rows, [position("100000")]) as large,
        project(postgres_shared_url, rows[:10], [position("100000")]) as small,
    ):
        costs = []
        for pages in (200, 2000):
            large.shim.max_rows = COUNT // pages
            costs.append(cost(large.shim.base_url, small.shim.base_url))
    few, many = costs
    assert few.members == many.members == COUNT
    assert many.grown < 1.1 * few.grown, f"{few.grown} bytes in few pages, {many.grown} in many"
    grown = max(few.grown, many.grown)
    assert grown < few.apart, f"{grown} for {few.apart}"
    assert grown < 1.4 * few.size, f"{grown} for {few.size}"
