"""What reading a large union costs in memory, measured from outside: the peak of a process that does nothing else."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import httpx
import msgspec
import pytest

from reconciler.supabase.questions import Question
from reconciler.supabase.wire import Wire
from tests.services.postgrest.server import SERVICE_KEY
from tests.sources.supabase_support import project
from tests.sources.test_sql import member, position
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
texts = {}
size = sys.getsizeof(data.members)
for each in data.members:
    size += sys.getsizeof(each)
    for name in each.__struct_fields__:
        value = getattr(each, name)
        texts[id(value)] = value
size += sum(sys.getsizeof(text) for text in texts.values())
print('{"members": %d, "size": %d, "grown": %d}' % (len(data.members), size, grown))
"""


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes: of the members that were read (their texts counted one by one, without what the allocator saves), and by
    how much the peak of the process grew while they were.
    """

    members: int
    size: int
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


@pytest.mark.skipif(not NIGHTLY, reason="200,000 members are read at night only: CAMPAIGN=nightly")
def test_memory_grows_with_the_members_and_not_with_the_pages(postgres_url: str, postgres_shared_url: str) -> None:
    """A page is let go once its rows are read, so ten times as many pages cost no more (issue 5, done when)."""
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
    assert max(few.grown, many.grown) < few.size, f"{few.grown}, {many.grown} for {few.size}"
