"""The one way in which every call to Intercom is made: version header, pace, retries, bounded bodies, our errors.

A call waits for three doors, in this order: the token must still be good, Intercom must be up (`retry.Breaker`), and
there must be room in the window and in flight (`pace.Pacer`). As a call may have waited long for the last, the first
two are looked at again right before it is sent.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeVar

import aiohttp
import httpx
import msgspec
from tenacity import AsyncRetrying, RetryCallState

from reconciler.errors import (
    RateLimited,
    Refused,
    ScopeMissing,
    SettingsError,
    TargetError,
    Unauthorized,
    Unreachable,
)
from reconciler.targets.intercom import wire
from reconciler.targets.intercom.answers import Answer, check_version, error_of, not_sent, value_of
from reconciler.targets.intercom.halt import Halt
from reconciler.targets.intercom.pace import LOOK_UP, Pacer
from reconciler.targets.intercom.retry import Breaker, Patience, RetryBudget, Suspended, backoff, harmless_to_repeat
from reconciler.targets.intercom.transport import never_sent

T = TypeVar("T")
Listener = Callable[[str], None]

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a response after decompression: a page of 150 contacts has some 300 KB."""


class BodyTooLarge(httpx.StreamError):
    """An answer of more than MAX_BODY; the rest was not read."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_BODY} bytes")


@dataclass(frozen=True, slots=True)
class Ask:
    """One operation. path: quoted. query: with its question mark. shown: the path for people, where the real one may
    hold more than ids. version: of the API.
    """

    method: str
    path: str
    query: str = ""
    body: Mapping[str, Any] | None = None
    write: bool = False
    shown: str | None = None
    version: str = wire.VERSION

    @property
    def call(self) -> str:
        """As in `PUT /contacts/5ba6`, fit to be shown."""
        return f"{self.method} {self.shown or self.path}"


_PROBE = Ask("GET", "/me")
"""Sent before a write to learn whether Intercom is back: a probe with whose answer nothing is lost."""


@dataclass(slots=True)
class _Attempts:
    """What one call needs to know at each of its attempts."""

    ask: Ask
    request: httpx.Request
    heard: Listener
    halt: Halt | None = None
    began: float | None = None
    """When the first attempt was sent."""

    def check(self) -> None:
        """Raises Halted where the call is not wanted any more."""
        if self.halt is not None:
            self.halt.check()

    def begin(self) -> bool:
        """The call is being sent. Returns whether its action had begun before."""
        begun = self.halt is not None and self.halt.begun
        if self.halt is not None and self.ask.write:
            self.halt.begun = True
        return begun

    def did_nothing(self, begun: bool) -> None:
        """The attempt certainly wrote nothing: the action has begun no more than before it."""
        if self.halt is not None:
            self.halt.begun = begun

    def secrets(self) -> tuple[str, ...]:
        """What no error may repeat."""
        return (self.request.headers["Authorization"].removeprefix("Bearer "), *texts_in(self.ask.body))


class Caller:
    """Makes calls, as many side by side as callers like: how many are in flight is decided here.

    clock: unix seconds. sleep: seconds. random: [0, 1). pacer: its own, or one shared by several callers.
    """

    def __init__(
        self,
        *,
        token: str,
        base_url: str,
        transport: httpx.AsyncBaseTransport,
        pacer: Pacer,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        random: Callable[[], float],
        patience: Patience,
    ) -> None:
        self._base_url = _checked_url(base_url)
        self._clock = clock
        self._sleep = sleep
        self._random = random
        self._patience = patience
        self._pacer = pacer
        self._breaker = Breaker()
        self._budget = RetryBudget()
        self._token_ended: Unauthorized | None = None
        self._scope_missing: ScopeMissing | None = None
        self._http = httpx.AsyncClient(
            transport=transport,
            headers=_headers(token),
            timeout=httpx.Timeout(patience.read, connect=patience.connect, pool=None),
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # httpx remembers cookies too
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def call(self, ask: Ask, decoder: msgspec.json.Decoder[T], heard: Listener, halt: Halt | None = None) -> T:
        """One operation, with its retries. heard: told each attempt and how it ended, retries too. halt: whether it is
        still wanted, asked right before it is sent; None: it always is.

        Raises TargetError, as IntercomClient says, and Halted where it was not wanted any more. Once Intercom has
        answered 401, every call raises Unauthorized, and once it has answered 403, every write raises ScopeMissing,
        without being sent.
        """
        attempts = self._prepare(ask, heard, halt)
        retrying = AsyncRetrying(
            sleep=lambda seconds: self._rest(seconds, attempts),
            retry=lambda state: harmless_to_repeat(_error_in(state), write=ask.write),
            stop=lambda state: self._is_enough(state, attempts),
            wait=self._wait_for,
            reraise=True,
        )
        return await retrying(self._attempt, attempts, decoder)

    def _prepare(self, ask: Ask, heard: Listener, halt: Halt | None = None) -> _Attempts:
        request = self._http.build_request(
            ask.method,
            f"{self._base_url}{ask.path}{ask.query}",
            content=None if ask.body is None else _json(ask.body, ask.call),
            headers={
                "Intercom-Version": ask.version,
                **({} if ask.body is None else {"Content-Type": "application/json"}),
            },
        )
        return _Attempts(ask, request, heard=heard, halt=halt)

    # --- between attempts -------------------------------------------------------------------------------------------

    def _is_enough(self, state: RetryCallState, attempts: _Attempts) -> bool:
        """Whether to stop trying. A 429 costs nothing of the budget: it is the pacer that says when it may be tried
        again, and within the limit.
        """
        now = self._clock()
        deadline = (now if attempts.began is None else attempts.began) + self._patience.call
        if state.attempt_number >= self._patience.attempts or now >= deadline:
            return True
        return not isinstance(_error_in(state), RateLimited) and not self._budget.take(now)

    def _wait_for(self, state: RetryCallState) -> float:
        """Seconds before the next attempt. After a 429 none: the pacer waits for the window's end by itself."""
        throttled = isinstance(_error_in(state), RateLimited)
        return 0.0 if throttled else backoff(state.attempt_number, chance=self._random())

    async def _rest(self, seconds: float, attempts: _Attempts) -> None:
        """Sleep, but no longer than the call is wanted. Raises Halted."""
        if attempts.halt is None:
            await self._sleep(seconds)
            return
        while seconds > 0:
            attempts.check()
            await self._sleep(min(seconds, LOOK_UP))
            seconds -= LOOK_UP

    # --- one attempt ------------------------------------------------------------------------------------------------

    async def _attempt(self, attempts: _Attempts, decoder: msgspec.json.Decoder[T]) -> T:
        """Wait for the doors, and send."""
        while True:
            await self._wait_until_up(attempts)
            came = await self._once(attempts, decoder)
            if came is not None:
                return came[0]

    async def _once(self, attempts: _Attempts, decoder: msgspec.json.Decoder[T]) -> tuple[T] | None:
        """Send, and tell pacer and breaker what came of it; None where a door has closed before it was our turn."""
        async with self._pacer.turn(None if attempts.halt is None else attempts.check) as turn:
            if not self._may_go(attempts.ask):
                turn.give_back()
                return None
            begun = attempts.begin()
            probe = self._breaker.is_open
            if attempts.began is None:
                attempts.began = self._clock()
                self._budget.call(attempts.began)
            try:
                answer = await self._send(attempts)
                turn.observe(answer.headers, answer.status)
                value = self._read(answer, decoder, attempts)
            except Unreachable as error:
                if not error.sent:
                    turn.give_back()
                    attempts.did_nothing(begun)
                self._breaker.failed(self._clock(), probe=probe, chance=self._random())
                raise
            except TargetError as error:
                if isinstance(error, RateLimited):
                    attempts.did_nothing(begun)
                self._remember(error, attempts.ask)
                self._breaker.succeeded()
                raise
            except BaseException:
                if probe:
                    self._breaker.left()
                raise
            self._breaker.succeeded()
            return (value,)

    async def _wait_until_up(self, attempts: _Attempts) -> None:
        """Raises Suspended where Intercom has been down for longer than our patience."""
        ask = attempts.ask
        self._check_token(ask)
        while (delay := self._breaker.delay(self._clock())) > 0:
            down = self._breaker.down_for(self._clock())
            if down > self._patience.call:
                raise Suspended(ask.call, seconds=down)
            await self._rest(delay, attempts)
            self._check_token(ask)
        if ask.write and self._breaker.is_open:
            with suppress(TargetError):  # what it tells is kept in the breaker, and by `_remember`
                await self._once(self._prepare(_PROBE, _nobody_listens), wire.ME)

    def _may_go(self, ask: Ask) -> bool:
        """Whether a call may be sent whose turn it is. A write is never a probe, and a probe is needed only once."""
        if self._ended(ask) is not None or (self._breaker.is_open and ask.write):
            return False
        if ask is _PROBE and not self._breaker.is_open:
            return False
        return self._breaker.enter(self._clock())

    def _check_token(self, ask: Ask) -> None:
        ended = self._ended(ask)
        if ended is not None:
            raise not_sent(ended, ask.call)

    def _ended(self, ask: Ask) -> Refused | None:
        """The refusal after which a call like this is not sent any more."""
        return self._token_ended or (self._scope_missing if ask.write else None)

    def _remember(self, error: TargetError, ask: Ask) -> None:
        """A 403 to what only the Preview has is no reason to stop what the token may do without it."""
        match error:
            case Unauthorized():
                self._token_ended = self._token_ended or error
            case ScopeMissing() if ask.version == wire.VERSION:
                self._scope_missing = self._scope_missing or error
            case _:
                pass

    def _read(self, answer: Answer, decoder: msgspec.json.Decoder[T], attempts: _Attempts) -> T:
        """The value of an answer, or the error it stands for."""
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise error_of(answer, attempts.secrets())
        check_version(answer, write=attempts.ask.write, version=attempts.ask.version)
        return value_of(answer, decoder)

    async def _send(self, attempts: _Attempts) -> Answer:
        """The whole answer. Raises Unreachable where none came."""
        call = attempts.ask.call
        try:
            async with asyncio.timeout(self._patience.attempt):
                answer = await self._fetch(attempts.request, call)
        except (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, OSError) as error:
            attempts.heard(f"{call} no answer")
            raise _no_answer(call, error) from error
        attempts.heard(f"{call} {answer.status}")
        return answer

    async def _fetch(self, request: httpx.Request, call: str) -> Answer:
        response = await self._http.send(request, stream=True)
        try:
            pieces, size = [], 0
            async for piece in response.aiter_bytes():
                size += len(piece)
                if size > MAX_BODY:
                    raise BodyTooLarge
                pieces.append(piece)
        finally:
            await response.aclose()
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
        return Answer(call=call, status=response.status_code, headers=headers, body=b"".join(pieces))


def texts_in(body: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Every text that a body sends, its role excepted: what an error's text must not repeat."""
    texts: list[str] = []
    for name, value in (body or {}).items():
        match value:
            case str() if name != "role":
                texts.append(value)
            case dict():
                texts.extend(texts_in(value))
            case list() | tuple():
                for part in value:
                    texts.extend(texts_in(part if isinstance(part, dict) else {name: part}))
            case _:
                pass
    return tuple(texts)


def _error_in(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None


def _nobody_listens(_: str) -> None:
    pass


def _no_answer(call: str, error: Exception) -> Unreachable:
    sent = not never_sent(error)
    what = f"No answer to {call}" if sent else f"Could not connect for {call}; nothing was sent"
    step = "Check the network and INTERCOM_BASE_URL, then run again."
    return Unreachable(f"{what} ({type(error.__cause__ or error).__name__}).", next_step=step, sent=sent)


def _json(body: Mapping[str, Any], call: str) -> bytes:
    try:
        return msgspec.json.encode(body)
    except (UnicodeEncodeError, msgspec.EncodeError, TypeError) as error:
        what = f"A value for {call} cannot be written as JSON, such as half of a character pair; nothing was sent."
        raise Unreachable(what, next_step="Correct the value where it comes from.", sent=False) from error


def _checked_url(base_url: str) -> str:
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL:
        url = httpx.URL("")
    if url.scheme not in ("https", "http") or not url.host or url.query or url.fragment or url.userinfo:
        raise SettingsError(
            "INTERCOM_BASE_URL is not a URL that calls can be made to.",
            next_step="Set it to https://api.intercom.io, https://api.eu.intercom.io or https://api.au.intercom.io.",
        )
    return str(url).rstrip("/")


def _headers(token: str) -> dict[str, str]:
    if not re.fullmatch(r"[!-~]+", token):
        raise SettingsError(
            "INTERCOM_ACCESS_TOKEN is blank, or holds a blank, a line end or a character outside ASCII.",
            next_step="Copy the token again from Intercom's Developer Hub (your app, Authentication).",
        )
    return {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json",
        # A body of 32 MiB is refused before it is in memory; a compressed one could be a thousand times its size on
        # the wire.
        "Accept-Encoding": "identity",
        "User-Agent": "reconciler",
    }
