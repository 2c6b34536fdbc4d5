"""The service as a whole, in processes of its own: what it promises of an event that it answered with 200."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from itertools import count, pairwise
from pathlib import Path

import httpx
import msgspec
import pytest

from reconciler.runs.pause import PauseSwitch
from reconciler.runs.state import StateDatabase
from tests.support.campaign import NIGHTLY
from tests.web.served import Line, Order, Served, served
from tests.web.world import TAGGED, conversation, encoded, message, notification, until

SLOW = 0.3
"""Seconds of handling, where a test needs events to wait."""


def with_(order: Order, **changes: object) -> Order:
    """The order, changed."""
    return msgspec.structs.replace(order, **changes)


def tag(number: int, conversation_id: str, tag_id: str) -> bytes:
    """The body of a tag, on a conversation of one contact."""
    item = conversation(conversation_id, contact="c1", tags_added={"tags": [{"id": tag_id}]})
    return encoded(notification(TAGGED, item, identity=f"tag_{number}"))


def handled_times(journal: list[Line]) -> list[tuple[float, float, str]]:
    """Begin, end and contact of everything that was handled, in the order of the begins."""
    begins = {line["id"]: line for line in journal if line["did"] == "begin"}
    ends = {line["id"]: line for line in journal if line["did"] == "end"}
    return sorted((begins[one]["at"], ends[one]["at"], begins[one]["contact"]) for one in ends)


def test_duplicates_in_any_order(order: Order, tmp_path: Path) -> None:
    """Sixty notifications, shuffled and each sent up to three times: every one is handled, and none twice."""
    numbers = [number for number in range(60) for _ in range(number % 3 + 1)]
    random.Random(5).shuffle(numbers)
    with served(order, log=tmp_path / "log") as service, httpx.Client() as client:
        assert {service.post(message(number), client) for number in numbers} == {200}
        wanted = Counter(f"notif_{number}" for number in range(60))
        until(lambda: Counter(service.did("end")) == wanted)
        assert {service.post(message(number), client) for number in numbers} == {200}
        assert service.metric("events_waiting") == 0
        assert service.stop() == 143
        assert Counter(service.did("begin")) == wanted


def test_one_contact_at_a_time_and_different_ones_side_by_side(sqlite_order: Order, tmp_path: Path) -> None:
    """Tags on four conversations of one contact wait for each other; four contacts do not."""
    with served(with_(sqlite_order, seconds=SLOW), log=tmp_path / "log") as service:
        for number in range(4):
            assert service.post(tag(number, f"conversation{number}", "t1")) == 200
            assert service.post(message(number)) == 200
        until(lambda: len(service.did("end")) == 8)
        times = handled_times(service.journal())
    one = [(begin, end) for begin, end, contact in times if contact == "c1"]
    others = [(begin, end) for begin, end, contact in times if contact != "c1"]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(one))
    assert all(begin < end for (_, end), (begin, _) in pairwise(sorted(others)))


def test_a_waiting_event_stands_for_later_ones(sqlite_order: Order, tmp_path: Path) -> None:
    """Fifty messages of one contact in a moment are handled a few times, the last time after the last was sent."""
    with served(with_(sqlite_order, seconds=SLOW), log=tmp_path / "log") as service, httpx.Client() as client:
        for number in range(50):
            sent = time.time()
            assert service.post(message(number, contact="c1"), client) == 200
        # Three stand for nothing but themselves: other conversations, and another tag.
        for number, (where, what) in enumerate([("1", "t1"), ("2", "t1"), ("1", "t2"), ("1", "t1")]):
            assert service.post(tag(number, where, what), client) == 200
        until(lambda: service.metric("events_waiting") == service.metric("events_running") == 0)
        messages = [line for line in service.journal() if line["did"] == "begin" and line["id"].startswith("notif")]
        assert len(messages) <= 4
        assert messages[-1]["at"] > sent
        assert sorted(one for one in service.did("end") if one.startswith("tag")) == ["tag_0", "tag_1", "tag_2"]
        # One that another stood for is known like any other.
        began = len(service.did("begin"))
        assert service.post(message(49, contact="c1"), client) == 200
        assert service.metric('webhook_dropped_total{reason="duplicate"}') == 1
        assert len(service.did("begin")) == began


def test_five_tries_and_then_parked(order: Order, tmp_path: Path) -> None:
    """An event that fails every time is parked; the agent is told; the queue goes on; nobody's text is in the log."""
    with served(order, log=tmp_path / "log") as service:
        for number, contact in enumerate(["poison1", "crash1", "silent1", "flaky1", "well1"]):
            assert service.post(message(number, contact=contact)) == 200
        until(lambda: service.metric("events_parked_now") == 3)
        until(lambda: sorted(service.did("end")) == ["notif_3", "notif_4"])
        began = Counter(service.did("begin"))
        assert began == {"notif_0": 5, "notif_1": 5, "notif_2": 5, "notif_3": 4, "notif_4": 1}
        assert sorted(service.did("give up")) == ["notif_0", "notif_1"]
        assert service.metric("events_parked_total") == 3
        assert service.metric("events_failed_tries_total") == 18
        assert service.stop() == 143
    log = (tmp_path / "log").read_text()
    assert "KeyError" in log
    assert "Canary" not in log
    assert "Traceback" not in log
    for line in log.splitlines():
        msgspec.json.decode(line)


def test_a_full_queue(sqlite_order: Order, tmp_path: Path) -> None:
    """So many wait and no more: 503, until there is room again. What stands for others needs none."""
    order = with_(sqlite_order, seconds=1.0, max_waiting=5, at_once=1)
    with served(order, log=tmp_path / "log") as service, httpx.Client() as client:
        codes = [service.post(message(number), client) for number in range(30)]
        assert codes[:5] == [200] * 5
        assert codes.count(503) >= 20
        assert service.post(message(99, contact="contact4"), client) == 200
        accepted = {f"notif_{number}" for number, code in enumerate(codes) if code == 200}
        until(lambda: accepted <= set(service.did("end")))
        assert service.post(message(100), client) == 200
        assert service.metric('webhook_refused_total{reason="full"}') == codes.count(503)


def test_paused(sqlite_order: Order, tmp_path: Path) -> None:
    """Events are taken in and wait; none loses a try by it; resumed, they are handled."""
    switch = PauseSwitch(StateDatabase(sqlite_order.state_url))
    switch.pause("looking")
    with served(sqlite_order, log=tmp_path / "log") as service:
        assert service.post(message(1)) == 200
        until(lambda: service.metric("events_running") == 1)
        assert httpx.get(f"{service.url}/api/ready").json()["paused"] is True
        assert service.journal() == []
        switch.resume()
        until(lambda: service.did("end") == ["notif_1"])
        assert service.metric("events_failed_tries_total") == 0


def test_terminated(order: Order, tmp_path: Path) -> None:
    """What is being handled is ended, what waits is left, the exit code is 143; the next process handles the rest."""
    slow = with_(order, seconds=0.7, at_once=2)
    with served(slow, log=tmp_path / "log") as service:
        for number in range(6):
            assert service.post(message(number)) == 200
        until(lambda: len(service.did("begin")) >= 2)
        before = time.monotonic()
        assert service.stop() == 143
        assert time.monotonic() - before < 10
        begun, ended = service.did("begin"), service.did("end")
        assert sorted(begun) == sorted(ended)
        assert 2 <= len(ended) < 6
    with served(order, log=tmp_path / "log") as service:
        until(lambda: set(service.did("end")) == {f"notif_{number}" for number in range(6)})
        assert Counter(service.did("begin")).most_common(1)[0][1] == 1


def test_terminated_in_the_middle_of_what_does_not_end(sqlite_order: Order, tmp_path: Path) -> None:
    """Ten seconds and no more; the event is handled by the next process."""
    with served(with_(sqlite_order, seconds=60.0), log=tmp_path / "log") as service:
        assert service.post(message(1)) == 200
        until(lambda: service.did("begin") == ["notif_1"])
        before = time.monotonic()
        assert service.stop() == 143
        assert 7 < time.monotonic() - before < 10
    with served(sqlite_order, log=tmp_path / "log") as service:
        until(lambda: service.did("end") == ["notif_1"])


def test_interrupted_from_a_keyboard(sqlite_order: Order, tmp_path: Path) -> None:
    """Ctrl-C is a good end."""
    with served(sqlite_order, log=tmp_path / "log") as service:
        assert service.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("after", [0.2, 0.4, 0.6, 0.8, 1.2, 2.0] if NIGHTLY else [0.5])
def test_killed_in_the_middle_of_a_flood(after: float, order: Order, tmp_path: Path) -> None:
    """Every event that was answered with 200 is handled, by whoever comes next."""
    numbers = count()
    accepted: list[int] = []
    with served(with_(order, seconds=0.05), log=tmp_path / "log") as service:
        callers = [threading.Thread(target=_flood, args=(service, numbers, accepted)) for _ in range(4)]
        for caller in callers:
            caller.start()
        until(lambda: len(accepted) >= 10)
        time.sleep(after)
        service.process.kill()
        for caller in callers:
            caller.join()
    assert len(accepted) >= 10
    with served(order, log=tmp_path / "log") as service:
        wanted = {f"notif_{number}" for number in accepted}
        until(lambda: wanted <= set(service.did("end")), seconds=30)
        service.stop()


def _flood(service: Served, numbers: count[int], accepted: list[int]) -> None:
    """Send until nobody answers any more."""
    with httpx.Client() as client:
        for number in numbers:
            try:
                status = service.post(message(number), client)
            except httpx.TransportError:
                return
            if status == 200:
                accepted.append(number)


def test_two_instances_share_a_queue(order: Order, tmp_path: Path) -> None:
    """Both work on it, each event is handled by one of them; what a killed one had in hand, the other takes up."""
    slow = with_(order, seconds=0.5, at_once=2)
    with served(slow, log=tmp_path / "log") as one, served(slow, log=tmp_path / "log") as other:
        for number in range(8):
            assert one.post(message(number)) == 200
        until(lambda: len(one.did("end")) == 8)
        assert Counter(one.did("begin")).most_common(1)[0][1] == 1
        handled = [
            sum(service.metric(f'events_handled_total{{result="{result}"}}') for result in ("reconciled", "nothing"))
            for service in (one, other)
        ]
        assert sum(handled) == 8
        assert min(handled) > 0
        for number in range(8, 14):
            assert other.post(message(number)) == 200
        until(lambda: len(one.did("begin")) >= 12)
        one.process.kill()
        one.process.wait()
        wanted = {f"notif_{number}" for number in range(14)}
        until(lambda: wanted == set(other.did("end")), seconds=30)
