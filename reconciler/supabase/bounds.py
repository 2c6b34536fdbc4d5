"""A transport whose answers end: none is larger than ANSWER_BYTES or takes longer than ANSWER_SECONDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx

from reconciler.supabase.trouble import Unfit

ANSWER_SECONDS = 180.0
"""How long one answer may take in all, however steadily it drips."""
ANSWER_BYTES = 64 * 1024 * 1024
"""The largest answer taken: a page of 1,000 members has about 0.3 MB."""


class Bounded(httpx.BaseTransport):
    """Another transport, held in. clock: seconds that only grow."""

    def __init__(self, inner: httpx.BaseTransport, clock: Callable[[], float]) -> None:
        self._inner, self._clock = inner, clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send it on. Raises Unfit for an answer that is compressed: it could be far larger than it looks."""
        until = self._clock() + ANSWER_SECONDS
        response = self._inner.handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise Unfit("the answer is compressed although that was not asked for")
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
                raise Unfit(f"an answer is larger than {ANSWER_BYTES // 1024**2} MiB")
            if self._clock() > self._until:
                raise httpx.ReadTimeout(f"an answer took longer than {ANSWER_SECONDS:g} s")
            yield chunk

    def close(self) -> None:
        self._inner.close()
