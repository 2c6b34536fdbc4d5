"""What an answer means for the question that was asked."""

from __future__ import annotations

import httpx
import pytest

from reconciler.errors import SourceUnreachable
from reconciler.supabase.questions import Question, any_of
from reconciler.supabase.wire import Wire
from tests.services.postgrest.server import SERVICE_KEY


def no_such_number(_request: httpx.Request) -> httpx.Response:
    """PostgreSQL's answer to a text that a column of numbers cannot hold."""
    return httpx.Response(400, json={"code": "22P02", "message": "invalid input syntax for type integer"})


def test_a_value_that_no_row_can_have() -> None:
    """Asked for it alone, no row has it; among several it says nothing of the others, whose rows may be there."""
    transport = httpx.MockTransport(no_such_number)
    with Wire("http://x.test", SERVICE_KEY, sleep=lambda _: None, clock=lambda: 0.0, transport=transport) as wire:
        alone = Question(table="positions", columns=("id",), limit=1, where=("id", "eq", "many"))
        assert wire.ask(alone).rows == ()
        several = Question(table="positions", columns=("id",), limit=1, where=("id", "in", any_of(["many", "7"])))
        with pytest.raises(SourceUnreachable, match="22P02"):
            wire.ask(several)
