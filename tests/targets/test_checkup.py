"""What a token may do, asked without changing anything; and how far Intercom's clock is off."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.utils import formatdate
from typing import Any, TypeVar

import httpx
import pytest

from reconciler.errors import ScopeMissing, Unauthorized, Unreachable
from reconciler.simulator import Options, Simulator, build_app
from reconciler.targets.intercom.checkup import IMPATIENT, NOBODY, PROBES, Checkup
from tests.targets.support import BASE_URL, START, TOKEN, answer, clock, refusal, run

T = TypeVar("T")
Handler = Callable[[httpx.Request], httpx.Response]


def checking(transport: httpx.AsyncBaseTransport, main: Callable[[Checkup], Coroutine[Any, Any, T]]) -> T:
    """Run something with a checkup over this transport, in virtual time."""

    async def connected() -> T:
        async with Checkup(token=TOKEN, base_url=BASE_URL, transport=transport, clock=clock) as checkup:
            return await main(checkup)

    return run(connected)


class Guarded(httpx.AsyncBaseTransport):
    """The stand-in behind a token that lacks a scope: what begins so is answered with 403."""

    def __init__(self, simulator: Simulator, forbidden: str, scope: str) -> None:
        self._app = httpx.ASGITransport(app=build_app(simulator))
        self._forbidden = forbidden
        self._scope = scope

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Look at the permission first, as Intercom does."""
        if f"{request.method} {request.url.path}".startswith(self._forbidden):
            return refusal(
                403, "forbidden", f"You do not have the required scope ({self._scope}) to access this resource"
            )
        return await self._app.handle_async_request(request)


def simulator() -> Simulator:
    """An empty workspace."""
    return Simulator(Options(token=TOKEN), clock=lambda: START)


SCOPES = [
    ("write contacts", "PUT /contacts/", "write_users_companies"),
    ("list contacts", "GET /contacts", "read_list_users_companies"),
    ("search contacts", "POST /contacts/search", "read_list_users_companies"),
    ("search conversations", "POST /conversations/search", "read_conversations"),
    ("read attributes", "GET /data_attributes", "read_list_users_companies"),
    ("read conversations", "GET /conversations/", "read_conversations"),
    ("write notes", f"POST /conversations/{NOBODY}/reply", "write_conversations"),
    ("remove tags", f"DELETE /conversations/{NOBODY}/tags/", "write_tags"),
]


def test_a_good_token_may_do_everything_and_nothing_changes() -> None:
    """One call of each kind, none of them with an effect: the contact that they are about cannot be there."""
    stand_in = simulator()
    found = checking(
        httpx.ASGITransport(app=build_app(stand_in)), lambda checkup: checkup.permissions("night", "service")
    )
    assert [(one.to, one.missing) for one in found] == [(probe.to, None) for probe in PROBES]
    assert [call.effect for call in stand_in.calls] == [False] * len(PROBES)
    assert [call.method for call in stand_in.calls].count("PUT") == 1


@pytest.mark.parametrize(("to", "forbidden", "scope"), SCOPES)
def test_a_scope_that_is_missing_is_named(to: str, forbidden: str, scope: str) -> None:
    """That one alone, with the scope as Intercom calls it, and the others are asked all the same."""
    found = checking(Guarded(simulator(), forbidden, scope), lambda checkup: checkup.permissions("night", "service"))
    missing = {one.to: one.missing for one in found if one.missing is not None}
    assert list(missing) == [to]
    assert f"The token lacks the scope {scope}." in missing[to].what
    assert missing[to].next_step.startswith("Give the token this permission")


def test_one_write_that_is_refused_is_not_all_writes() -> None:
    """The client of a run sends no write after a 403; the second must not be taken for refused because of that."""
    found = checking(
        Guarded(simulator(), "PUT /contacts/", "write_users_companies"),
        lambda checkup: checkup.permissions("night", "service"),
    )
    assert [one.to for one in found if one.missing is not None] == ["write contacts"]


def test_only_what_is_used_is_asked() -> None:
    """Where there is no web service, nothing of its calls."""
    stand_in = simulator()
    found = checking(httpx.ASGITransport(app=build_app(stand_in)), lambda checkup: checkup.permissions("night"))
    assert {one.of for one in found} == {"night"}
    assert [call.path for call in stand_in.calls if call.path.startswith("/conversations/0")] == []


def test_scopes_cover_every_probe() -> None:
    """A probe without a case above proves nothing."""
    assert [probe.to for probe in PROBES] == [to for to, _, _ in SCOPES]


def test_a_token_that_is_not_accepted_is_no_missing_scope() -> None:
    """401 is raised: it is about all calls alike."""
    transport = httpx.MockTransport(lambda _: refusal(401, "unauthorized", "Access Token Invalid"))
    with pytest.raises(Unauthorized):
        checking(transport, lambda checkup: checkup.permissions("night", "service"))


def test_a_workspace_that_is_down_is_no_permission() -> None:
    """Nothing is known of a permission that nobody answered about; and it is told within seconds."""

    async def until_told(checkup: Checkup) -> float:
        began = clock()
        with pytest.raises(Unreachable):
            await checkup.permissions("night")
        return clock() - began

    transport = httpx.MockTransport(lambda _: answer(503, {}))
    assert checking(transport, until_told) <= IMPATIENT.call


@pytest.mark.parametrize(
    ("date", "ahead"),
    [
        (START + 90, 90.0),
        (START - 90, -90.0),
        (None, None),
    ],
)
def test_their_clock(date: float | None, ahead: float | None) -> None:
    """As the Date header of any answer shows it, a refusal's too; None where there is none."""

    def reply(_: httpx.Request) -> httpx.Response:
        dated = {} if date is None else {"date": formatdate(date, usegmt=True)}
        return refusal(401, "unauthorized", "Access Token Invalid", **dated)

    async def ask(checkup: Checkup) -> float | None:
        assert checkup.seconds_ahead() is None
        with pytest.raises(Unauthorized):
            await checkup.workspace()
        return checkup.seconds_ahead()

    assert checking(httpx.MockTransport(reply), ask) == ahead


def test_missing_attributes_are_created_and_others_stay() -> None:
    """As text, each with one call; then nothing is missing."""
    stand_in = simulator()
    owned = frozenset({"region", "shoe_size", "hat_size"})

    async def create(checkup: Checkup) -> tuple[str, ...]:
        created = await checkup.create_attributes(owned)
        assert await checkup.attributes(owned) == ()
        return created

    assert checking(httpx.ASGITransport(app=build_app(stand_in)), create) == ("hat_size", "shoe_size")
    assert [call.path for call in stand_in.calls if call.effect] == ["/data_attributes"] * 2


def test_contacts_are_counted_without_reading_them_all() -> None:
    """One call, however many there are."""
    stand_in = simulator()
    stand_in.seed([f'{{"external_id": "{number}"}}' for number in range(151)])
    found = checking(httpx.ASGITransport(app=build_app(stand_in)), lambda checkup: checkup.live_contacts())
    assert (found, len(stand_in.calls)) == (151, 1)


def test_a_missing_scope_for_me_is_raised() -> None:
    """Whoever asks decides whether to go on without it."""
    with pytest.raises(ScopeMissing):
        checking(Guarded(simulator(), "GET /me", "read_admins"), lambda checkup: checkup.workspace())
