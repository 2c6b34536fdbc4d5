"""One question to Supabase's data interface (PostgREST) and its answer, or one change, through the official client.

The client is held in: answers have a largest size and a longest time, no redirect is followed, no proxy is taken from
the environment, and a question that failed in passing is asked again. A change is sent once: whoever makes it reads
back what became of it. Each request is one transaction of the database, done whole or not at all.

No error of the client becomes the cause or context of one of ours: it may quote values of rows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self
from urllib.parse import urlsplit

import httpx
from postgrest import SyncQueryRequestBuilder, SyncSelectRequestBuilder
from postgrest.exceptions import APIError
from postgrest.types import CountMethod
from supabase import Client, create_client
from supabase.lib.client_options import SyncClientOptions
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from reconciler.errors import SettingsError, SourceUnreachable
from reconciler.supabase.answers import CHECK_THE_ADDRESS, not_answered, refused, taken
from reconciler.supabase.bounds import Bounded
from reconciler.supabase.questions import Answer, Delete, Insert, Question, Record, Update
from reconciler.supabase.trouble import Hopeless, NotSeen, NotTaken, Passing, Unfit

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 60.0
"""How long an answer may keep silent."""
TRIES = 5

_LATER = "Try again later; if it stays so, check SUPABASE_URL and the status page, then run the command again."
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOTHING = httpx.ByteStream(b"")


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
            transport=Bounded(httpx.HTTPTransport() if transport is None else transport, clock),
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
            retry=retry_if_exception_type(Passing),
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
        except Passing as error:
            raise self._unreachable(f"{error}, {TRIES} times in a row", _LATER) from error

    def _ask_once(self, question: Question) -> Answer:
        found = self._try(question)
        if isinstance(found, Answer):
            return found
        # Here and not where it was caught, so that the client's error, which may quote a row, is not its context.
        if isinstance(found, Hopeless):
            raise self._unreachable(str(found), found.next_step)
        raise found

    def _try(self, question: Question) -> Answer | Exception:
        self.status = 0
        try:
            with self._letting_go():
                found = self._request(question).execute()
        except APIError as error:
            return not_answered(question, status=self.status, code=error.code or "")
        except Unfit as error:
            return Hopeless(str(error), next_step=CHECK_THE_ADDRESS)
        except httpx.HTTPError as error:
            return Passing(f"the request failed ({type(error).__name__})")
        except (ValueError, RecursionError, httpx.InvalidURL):
            return Passing("the answer is malformed")
        return taken(question, found)

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

    def _unreachable(self, reason: str, next_step: str) -> SourceUnreachable:
        return SourceUnreachable(f"{self._reads} cannot be read ({self.place}): {reason}.", next_step=next_step)

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
            return refused(status=self.status, code=error.code or "")
        except UnicodeEncodeError:
            return NotTaken("a text is not Unicode and cannot be sent", status=0, code="not_text")
        except (httpx.HTTPError, Unfit) as error:
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


def _quoted(name: str) -> str:
    """A column's name as PostgREST reads it in `select` and `order`."""
    if name == "*" or _PLAIN_NAME.fullmatch(name):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
