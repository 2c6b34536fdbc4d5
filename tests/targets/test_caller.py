"""An Intercom that is down, comes back, or takes the token away: what is still sent, and what is not."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from reconciler.errors import NotFound, ScopeMissing, TargetError, Unauthorized, Unreachable
from reconciler.targets.intercom import IntercomClient, Patience
from reconciler.targets.intercom.retry import FAILURES_IN_A_ROW
from tests.targets.support import Intercom, answer, client_of, contact, html, refusal, run
from tests.targets.test_client import ME

Call = Callable[[IntercomClient], Awaitable[Any]]


def read(client: IntercomClient) -> Awaitable[Any]:
    """One read."""
    return client.get("c1")


def write(client: IntercomClient) -> Awaitable[Any]:
    """One write."""
    return client.update("c1", {"name": "x"})


@dataclass
class Outage:
    """Down from second `begins` to `ends` of virtual time, and well otherwise; remembers when each call came."""

    begins: float
    ends: float
    came: list[tuple[float, str]] = field(default_factory=list)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        """One call, a tenth of a second."""
        now = asyncio.get_running_loop().time()
        self.came.append((now, f"{request.method} {request.url.path}"))
        await asyncio.sleep(0.1)
        if self.begins <= now < self.ends:
            return html(503)
        return answer(200, ME if request.url.path == "/me" else contact(), **limits(now))

    def during(self, begin: float, end: float) -> list[str]:
        """The calls that came between these seconds."""
        return [call for when, call in self.came if begin <= when < end]


def limits(now: float) -> dict[str, str]:
    """Headers of a window with plenty left."""
    reset = 1_800_000_010 + int((now + 3) // 10) * 10
    return {"x_ratelimit_limit": "1667", "x_ratelimit_remaining": "1600", "x_ratelimit_reset": str(reset)}


def calls(outage: Outage, call: Call, *, count: int, every: float, **options: Any) -> list[Any]:
    """So many calls, one begun every so many seconds: values and errors, with the second at which each ended."""

    async def main() -> list[Any]:
        async with client_of(outage, patience=Patience(), **options) as client:

            async def one(number: int) -> Any:
                await asyncio.sleep(number * every)
                try:
                    value = await call(client)
                except TargetError as error:
                    value = error
                return asyncio.get_running_loop().time(), value

            return await asyncio.gather(*(one(number) for number in range(count)))

    return run(main)


def test_ten_seconds_of_5xx_cost_no_read() -> None:
    """Failure mode D9: all wait, little is sent meanwhile, and all are answered once it is back."""
    outage = Outage(5.0, 15.0)
    ended = calls(outage, read, count=400, every=0.05)
    assert not [value for _, value in ended if isinstance(value, TargetError)]
    assert len(outage.during(5.5, 15.0)) <= 3


def test_ten_seconds_of_5xx_lose_the_answers_of_those_writes_alone_that_were_under_way() -> None:
    """No write is a probe: `GET /me` asks whether Intercom is back, and then the writes go on."""
    outage = Outage(5.0, 15.0)
    ended = calls(outage, write, count=400, every=0.05)
    lost = [value for _, value in ended if isinstance(value, TargetError)]
    assert FAILURES_IN_A_ROW <= len(lost) <= FAILURES_IN_A_ROW + 4
    assert all(isinstance(error, Unreachable) and error.sent for error in lost)
    assert set(outage.during(5.8, 15.0)) == {"GET /me"}
    assert Counter(call for _, call in outage.came)["PUT /contacts/c1"] == 400


@pytest.mark.parametrize("call", [read, write])
def test_an_outage_of_hours_is_given_up(call: Call) -> None:
    """After three minutes calls fail at once and unsent, so that the run can stop; a probe a minute goes on."""
    outage = Outage(5.0, 7200.0)
    ended = calls(outage, call, count=600, every=5.0)
    late = [(when - number * 5.0, value) for number, (when, value) in enumerate(ended) if number * 5.0 > 250]
    assert all(isinstance(value, Unreachable) for _, value in late)
    quick = [took for took, value in late if not value.sent]
    assert len(quick) >= 0.8 * len(late)
    assert max(quick) < 1.0
    assert len(outage.during(300.0, 3000.0)) <= 2700 / 30 + 1
    if call is write:
        assert set(outage.during(60.0, 3000.0)) == {"GET /me"}


def test_after_an_outage_of_hours_all_is_well_again() -> None:
    """The probe closes the breaker; what comes then is answered."""
    outage = Outage(5.0, 1000.0)
    ended = calls(outage, write, count=300, every=5.0)
    after = [value for number, (_, value) in enumerate(ended) if number * 5.0 > 1065]
    assert not [value for value in after if isinstance(value, TargetError)]


def test_retries_of_all_calls_together_have_a_budget() -> None:
    """Half of all answers are lost: the load grows by a tenth and the floor, not by a half."""
    seen = 0

    async def flaky(_: httpx.Request) -> httpx.Response:
        nonlocal seen
        seen += 1
        lost = seen % 2
        await asyncio.sleep(0.1)
        return html(502) if lost else answer(200, contact(), **limits(asyncio.get_running_loop().time()))

    async def main() -> None:
        async with client_of(flaky, patience=Patience()) as client:
            await asyncio.gather(*(client.get("c1") for _ in range(1000)), return_exceptions=True)

    run(main)
    assert 1000 + 90 <= seen <= 1000 + 200


@pytest.mark.parametrize("call", [read, write])
def test_after_a_401_nothing_is_sent_any_more(call: Call) -> None:
    """Failure mode D6: no storm of calls with a token that is no good; the listener hears of none either."""
    intercom = Intercom([answer(200, contact()), refusal(401, "unauthorized", "Access Token Invalid")])
    heard: list[str] = []

    async def main() -> list[Unauthorized]:
        errors = []
        async with client_of(intercom) as client:
            await read(client)
            for _ in range(5):
                with pytest.raises(Unauthorized) as caught:
                    await call(client.heard_by(heard.append))
                errors.append(caught.value)
        return errors

    first, *others = run(main)
    assert len(intercom.requests) == 2
    assert len(heard) == 1
    assert all(error.what.endswith(first.what) and "was not sent" in error.what for error in others)
    assert all(error.next_step == first.next_step for error in others)


def test_a_401_stops_those_who_wait_for_their_turn() -> None:
    """Calls that were begun before it, and not sent yet, are not sent."""
    intercom = Intercom([refusal(401, "unauthorized")])

    async def main() -> list[Any]:
        async with client_of(intercom) as client:
            return await asyncio.gather(*(read(client) for _ in range(50)), return_exceptions=True)

    errors = run(main)
    assert all(isinstance(error, Unauthorized) for error in errors)
    assert len(intercom.requests) == 1


def test_a_403_stops_all_writes_and_no_read() -> None:
    """And each says which scope is missing."""
    text = "You do not have the required scope (write_users) to access this resource"
    intercom = Intercom([refusal(403, "forbidden", text), answer(200, contact())])

    async def main() -> list[Any]:
        async with client_of(intercom) as client:
            writes = await asyncio.gather(*(write(client) for _ in range(20)), return_exceptions=True)
            return [*writes, await read(client)]

    *errors, found = run(main)
    assert all(isinstance(error, ScopeMissing) and "write_users" in error.what for error in errors)
    assert found.id == "c1"
    assert intercom.asked == ["PUT /contacts/c1", "GET /contacts/c1"]


def test_a_refusal_is_an_answer() -> None:
    """However many contacts are not there: Intercom is up."""
    intercom = Intercom([refusal(404, "not_found")])

    async def main() -> None:
        async with client_of(intercom) as client:
            for _ in range(3 * FAILURES_IN_A_ROW):
                with pytest.raises(NotFound):
                    await read(client)

    run(main)
    assert len(intercom.requests) == 3 * FAILURES_IN_A_ROW


def test_a_cancelled_probe_does_not_shut_the_door() -> None:
    """Ctrl-C in the one call that was let through: the next is let through as well."""
    outage = Outage(0.0, 20.0)

    async def main() -> Any:
        async with client_of(outage, patience=Patience()) as client:
            tasks = [asyncio.create_task(client.get("c1")) for _ in range(30)]
            await asyncio.sleep(
                5.02
            )  # ten failures within 1.3 s, and a cool-down cut by chance: the probe is under way
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert len(outage.during(4.92, 5.02)) == 1
            return await client.get("c1")

    assert run(main).id == "c1"
