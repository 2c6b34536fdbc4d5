"""Reading a body that may be hostile: bounded in bytes and in time, and never unpacked."""

from __future__ import annotations

import asyncio
from typing import Literal, TypeAlias

from starlette.requests import ClientDisconnect, Request

MAX_BYTES = 256 * 1024
"""Of a body. Intercom's notifications are a few KiB."""

READ_SECONDS = 10.0
"""How long a body may take to come, from its first byte to its last. Intercom itself gives up after five seconds."""

Reason: TypeAlias = Literal[
    "signature", "token", "too_large", "encoding", "too_slow", "cut_off", "malformed", "full", "unavailable"
]
"""Why a call was refused: the label of a metric, and the word of a log line."""

_STATUS: dict[Reason, int] = {
    "signature": 401,
    "token": 401,
    "too_large": 413,
    "encoding": 415,
    "too_slow": 408,
    "cut_off": 400,
    "malformed": 400,
    "full": 503,
    "unavailable": 503,
}


class Refusal(Exception):
    """A call that is refused, with a reason; nothing of the call is in it."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def status(self) -> int:
        """Of the answer."""
        return _STATUS[self.reason]


async def read_body(request: Request, *, seconds: float = READ_SECONDS) -> bytes:
    """The whole body. Raises Refusal as soon as it is known to be too large, too slow, packed or cut off."""
    if request.headers.getlist("content-encoding"):
        raise Refusal("encoding")
    announced = request.headers.get("content-length", "")
    # int() of a long number of digits takes long; h11 lets through no more than twenty.
    if announced.isascii() and announced.isdigit() and (len(announced) > 18 or int(announced) > MAX_BYTES):
        raise Refusal("too_large")
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > MAX_BYTES:
                    raise Refusal("too_large")
                chunks.append(chunk)
    except TimeoutError:
        raise Refusal("too_slow") from None
    except ClientDisconnect:
        raise Refusal("cut_off") from None
    return b"".join(chunks)
