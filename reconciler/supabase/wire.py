"""One question to Supabase's data interface (PostgREST) and its answer, or one change, through the official client.

The client is held in: answers have a largest size and a longest time, no redirect is followed, no proxy is taken from
the environment, and a question that failed in passing is asked again. A change is sent once: whoever makes it reads
back what became of it. Each request is one transaction of the database, done whole or not at all.

PostgREST quotes values of rows in its messages, so nothing it says but its codes gets into a text of ours, and no error
of the client becomes the cause or context of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, Self, TypeAlias, TypeGuard
from urllib.parse import urlsplit

import httpx
from postgrest import APIResponse, SyncQueryRequestBuilder, SyncSelectRequestBuilder
from postgrest.exceptions import APIError
from postgrest.types import CountMethod
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from reconciler.errors import SettingsError, SourceUnreachable

Record: TypeAlias = Mapping[str, object]
"""A row as JSON has it: column → text, number, boolean or null."""

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""How long an answer may keep silent."""
ANSWER_SECONDS = 180.0
"""How long one answer may take in all, however steadily it drips."""
ANSWER_BYTES = 64 * 1024 * 1024
"""The largest answer taken: a page of 1,000 members has about 0.3 MB."""
TRIES = 5

_PASSING = frozenset({408, 425, 429})
_STILL_UNDER_WAY = frozenset({408, 504, 520, 522, 524})
"""A gateway gave up waiting; what it waited for may go on (RFC 9110; from 520 on Cloudflare's, which stands before
Supabase)."""
_NOT_ALLOWED = "42501"
_NOT_OF_ITS_TYPE = "22P02"
"""PostgreSQL: a text that its column's type cannot be, so that no row has it."""
_BEYOND_THE_END = "PGRST103"
"""An offset past the last row; said only to those who ask for the count, in the versions known."""
_CODE = re.compile(r"[0-9A-Z]{3,8}")
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


_NOTHING = httpx.ByteStream(b"")


class MissingTable(Exception):
    """There is no such table, or it is not exposed."""


class MissingColumn(Exception):
    """A column of the question is not in the table."""


class NotText(Exception):
    """A pattern was asked for of a column that holds no text."""


_WRONG_QUESTION: Mapping[str, type[MissingTable | MissingColumn | NotText]] = {
    "PGRST205": MissingTable,  # PostgREST from version 13 on (docs.postgrest.org, Errors)
    "42P01": MissingTable,  # and before
    "42703": MissingColumn,
    "42883": NotText,  # PostgreSQL has no ILIKE for a number
}


class NotTaken(Exception):
    """A change that was answered with no: nothing of it was done. The text says what was answered, without a value."""

    def __init__(self, says: str, *, status: int, code: str) -> None:
        super().__init__(says)
        self.status, self.code = status, code


class NotSeen(Exception):
    """A change without a usable answer: it was done or not. `over`: it surely is not under way any more."""

    def __init__(self, says: str, *, over: bool) -> None:
        super().__init__(says)
        self.over = over


class _Passing(Exception):
    """What a second try may mend; the text says what happened."""


class _Unfit(Exception):
    """An answer that is not taken in; the text says why."""


Condition: TypeAlias = tuple[str, Literal["gt", "gte", "eq", "is", "not.is", "ilike", "in"], str]
"""Column, PostgREST's operator, and the value as text; for `in` the text that `any_of` makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Rows of one table: some columns, ordered by some, all of them or those that one condition lets through."""

    table: str
    columns: Sequence[str]
    """`*` alone for all."""
    limit: int
    order: Sequence[str] = ()
    """Ascending, as the database orders its own type."""
    where: Condition | None = None
    any_of: Sequence[tuple[str, Literal["ilike", "eq"], str]] = ()
    """Conditions of which one is enough. Their values hold letters, digits, `_` and `%` only."""
    offset: int = 0
    count: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """The rows, and how many there are in all where that was asked (`Prefer: count=exact`)."""

    rows: Sequence[Record]
    total: int | None


@dataclass(frozen=True, slots=True)
class Insert:
    """Rows to add to a table, each with the same columns."""

    table: str
    rows: Sequence[Mapping[str, str | None]]


@dataclass(frozen=True, slots=True)
class Update:
    """Values for the rows of a table that all conditions let through; there is at least one."""

    table: str
    values: Mapping[str, str | None]
    where: Sequence[Condition]


@dataclass(frozen=True, slots=True)
class Delete:
    """The end of the rows of a table that all conditions let through; there is at least one."""

    table: str
    where: Sequence[Condition]


class Wire:
    """The client of one project. Use it in a `with` block, from one thread.

    url, key: SUPABASE_URL and SUPABASE_KEY.  sleep: how to wait before a question is asked again, in seconds.
    clock: seconds that only grow.  transport: what carries the requests; None for the network.  reads: what is read, as
    the first words of an error text.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        sleep: Callable[[float], None],
        clock: Callable[[], float],
        transport: httpx.BaseTransport | None = None,
        reads: str = "The source",
    ) -> None:
        if not re.fullmatch(r"[\x21-\x7e]+", key):
            # Any later, and an error of the client would quote it.
            raise SettingsError("SUPABASE_KEY is malformed: wanted is one word.", next_step="Correct SUPABASE_KEY.")
        self.place = f"supabase at {urlsplit(url).hostname}"
        self.status = 0
        """The status of the last answer; 0 where there was none."""
        self._response: httpx.Response | None = None
        self._reads = reads
        self._http = httpx.Client(
            transport=_Bounded(httpx.HTTPTransport() if transport is None else transport, clock),
            timeout=httpx.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS),
            # Uncompressed, so that the bytes counted are the bytes kept.
            headers={"accept-encoding": "identity"},
            event_hooks={"response": [self._note]},
            follow_redirects=False,
            trust_env=False,
        )
        self._client = self._open(url, key)
        self._retrying = Retrying(
            stop=stop_after_attempt(TRIES),
            wait=wait_exponential(multiplier=0.5, max=8),
            retry=retry_if_exception_type(_Passing),
            sleep=sleep,
            reraise=True,
        )

    def _open(self, url: str, key: str) -> Client:
        options = SyncClientOptions(
            httpx_client=self._http, postgrest_client_retry=False, auto_refresh_token=False, persist_session=False
        )
        return create_client(url, key, options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def ask(self, question: Question) -> Answer:
        """The answer, after at most `TRIES` tries.

        Raises MissingTable or MissingColumn, and SourceUnreachable where the project does not answer, does not accept
        the key, or answers with what is no answer.
        """
        try:
            return self._retrying(self._ask_once, question)
        except _Passing as error:
            raise self._unreachable(f"{error}, {TRIES} times in a row", _LATER) from error

    def _ask_once(self, question: Question) -> Answer:
        found = self._try(question)
        if isinstance(found, Answer):
            return found
        # Here and not where it was caught, so that the client's error, which may quote a row, is not its context.
        raise found

    def change(self, change: Insert | Update | Delete) -> Sequence[Record]:
        """Send a change, once; the rows as they are now, or as they were before they were deleted.

        Raises NotTaken or NotSeen.
        """
        found = self._send(change)
        if isinstance(found, Exception):
            raise found  # here, for the reason above
        return found

    def _send(self, change: Insert | Update | Delete) -> Sequence[Record] | Exception:
        self.status = 0
        try:
            with self._letting_go():
                found: object = self._request_of(change).execute().data
        except APIError as error:
            return self._refusal(error.code or "")
        except UnicodeEncodeError:
            return NotTaken("a text is not Unicode and cannot be sent", status=0, code="not_text")
        except (httpx.HTTPError, _Unfit) as error:
            unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
            return NotSeen(f"no whole answer came ({type(error).__name__})", over=unsent)
        except (ValueError, RecursionError, httpx.InvalidURL):
            found = None
        if isinstance(found, list) and all(isinstance(row, dict) for row in found):
            return found
        return NotSeen("the answer is malformed", over=True)

    def _request_of(self, change: Insert | Update | Delete) -> SyncQueryRequestBuilder:
        table = self._client.table(change.table)
        if isinstance(change, Insert):
            return table.insert([dict(row) for row in change.rows])
        builder = table.update(dict(change.values)) if isinstance(change, Update) else table.delete()
        for condition in change.where:
            builder = builder.filter(*condition)
        return builder

    def _refusal(self, code: str) -> NotTaken | NotSeen:
        """What an answer that is an error means for a change."""
        own = _CODE.fullmatch(code) is not None and code != str(self.status)
        said = f"answered {self.status}" + (f", code {code}" if own else "")
        if self.status >= 500 or self.status in _PASSING:
            # With a code of PostgREST's or PostgreSQL's the transaction has ended; without, a gateway spoke.
            return NotSeen(said, over=own or self.status not in _STILL_UNDER_WAY)
        return NotTaken(said, status=self.status, code=code if own else f"http_{self.status}")

    def _try(self, question: Question) -> Answer | Exception:
        self.status = 0
        try:
            with self._letting_go():
                found = self._request(question).execute()
        except APIError as error:
            return self._problem(question, error.code or "")
        except _Unfit as error:
            return self._unreachable(str(error), _CHECK)
        except httpx.HTTPError as error:
            return _Passing(f"the request failed ({type(error).__name__})")
        except (ValueError, RecursionError, httpx.InvalidURL):
            return _Passing("the answer is malformed")
        return _taken(question, found)

    def _request(self, question: Question) -> SyncSelectRequestBuilder:
        names = [_quoted(name) for name in question.columns]
        builder = self._client.table(question.table).select(*names, count=CountMethod.exact if question.count else None)
        for name in question.order:
            builder = builder.order(_quoted(name))
        if question.where is not None:
            builder = builder.filter(*question.where)
        if question.any_of:
            builder = builder.or_(
                ",".join(f"{_quoted(column)}.{operator}.{value}" for column, operator, value in question.any_of)
            )
        if question.offset:
            builder = builder.offset(question.offset)
        return builder.limit(question.limit)

    def _problem(self, question: Question, code: str) -> Answer | Exception:
        """What an answer that is an error means, by its status and PostgREST's or PostgreSQL's code."""
        said = f"it answered {self.status}" + (f", code {code}" if _CODE.fullmatch(code) else "")
        if code == _BEYOND_THE_END or (code == _NOT_OF_ITS_TYPE and _is_about_one_value(question)):
            return Answer((), None)
        if (wrong := _WRONG_QUESTION.get(code)) is not None:
            return wrong(question.table)
        if self.status >= 500 or self.status in _PASSING:
            return _Passing(said)
        if self.status in {401, 403}:
            denied = f"may not read table {question.table}" if code == _NOT_ALLOWED else "is not accepted"
            return self._unreachable(f"the key {denied} ({said})", SET_THE_KEY)
        return self._unreachable(said, _CHECK)

    def _unreachable(self, reason: str, next_step: str) -> SourceUnreachable:
        return SourceUnreachable(f"{self._reads} cannot be read ({self.place}): {reason}.", next_step=next_step)

    def _note(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self._response = response

    @contextmanager
    def _letting_go(self) -> Iterator[None]:
        """Free the answer with its bytes at the end of the block.

        httpx's response and its stream hold each other, and while a plan is made the collector that would find them is
        paused: every page would be kept.
        """
        try:
            yield
        finally:
            if self._response is not None:
                self._response.stream = _NOTHING
                self._response = None


_CHECK = "Check SUPABASE_URL, that it can be reached from here, then run the command again."
_LATER = "Try again later; if it stays so, check SUPABASE_URL and the status page, then run the command again."
SET_THE_KEY = (
    "Set SUPABASE_KEY to the service key of this project (Project Settings, API Keys: secret or service_role)."
)


def _taken(question: Question, found: APIResponse) -> Answer | _Passing:
    data: object = found.data
    if not _are_records(data, question):
        return _Passing("the answer is not a list of rows")
    if question.count and found.count is None:
        return _Passing("the answer does not say how many rows there are")
    return Answer(data, found.count)


def _is_about_one_value(question: Question) -> bool:
    """Whether a value that its column cannot hold means that no row has it: of several, the others may have rows."""
    return question.where is not None and question.where[1] != "in"


def _are_records(data: object, question: Question) -> TypeGuard[list[Record]]:
    wanted = frozenset() if question.columns == ("*",) else frozenset(question.columns)
    return isinstance(data, list) and all(isinstance(row, dict) and row.keys() >= wanted for row in data)


def any_of(values: Sequence[str]) -> str:
    """The list of an `in` condition: each value in double quotes (docs.postgrest.org, Tables and Views)."""
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "(" + ",".join(f'"{value}"' for value in quoted) + ")"


def _quoted(name: str) -> str:
    """A column's name as PostgREST reads it in `select` and `order`."""
    if name == "*" or _PLAIN_NAME.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# bounds


class _Bounded(httpx.BaseTransport):
    """A transport whose answers end: none is larger than ANSWER_BYTES or takes longer than ANSWER_SECONDS."""

    def __init__(self, inner: httpx.BaseTransport, clock: Callable[[], float]) -> None:
        self._inner, self._clock = inner, clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on. Raises _Unfit for an answer that is compressed: it could be far larger than it looks."""
        until = self._clock() + ANSWER_SECONDS
        response = self._inner.handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise _Unfit("the answer is compressed although that was not asked for")
        if not isinstance(response.stream, httpx.SyncByteStream):
            raise TypeError("a transport without async has answered with an async stream")
        response.stream = _BoundedStream(response.stream, self._clock, until)
        return response

    def close(self) -> None:
        """Close what it wraps."""
        self._inner.close()


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, clock: Callable[[], float], until: float) -> None:
        self._inner, self._clock, self._until = inner, clock, until

    def __iter__(self) -> Iterator[bytes]:
        taken = 0
        for chunk in self._inner:
            taken += len(chunk)
            if taken > ANSWER_BYTES:
                raise _Unfit(f"an answer is larger than {ANSWER_BYTES // 1024**2} MiB")
            if self._clock() > self._until:
                raise httpx.ReadTimeout(f"an answer took longer than {ANSWER_SECONDS:g} s")
            yield chunk

    def close(self) -> None:
        self._inner.close()
