"""A tag taken off and a note written, each once, whatever becomes of the answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from reconciler.errors import TargetError, Unreachable
from reconciler.targets.intercom.conversations import take_tag_off, write_note
from tests.targets.support import Intercom, answer, client_of, refusal, run

LOST = httpx.ReadError("lost")
NOT_SENT = httpx.ConnectError("refused")
TAG = {"type": "tag", "id": "7", "name": "mynatca-sync"}
MARKER = "sync-system-error-1"
TEXT = f"<p>Look.</p><p>({MARKER})</p>"


def conversation(*, tagged: bool = False, noted: bool = False) -> httpx.Response:
    """As retrieveConversation answers."""
    parts = [{"type": "conversation_part", "part_type": "note", "body": TEXT}] if noted else []
    said = {"type": "conversation_part", "part_type": "comment", "body": f"somebody quotes {MARKER}"}
    body = {
        "type": "conversation",
        "id": "51",
        "tags": {"type": "tag.list", "tags": [TAG] if tagged else []},
        "conversation_parts": {"type": "conversation_part.list", "conversation_parts": [said, *parts]},
    }
    return answer(200, body)


def untag(*replies: Any) -> list[str]:
    """The calls it takes."""
    intercom = Intercom(list(replies))

    async def main() -> None:
        async with client_of(intercom) as client:
            await take_tag_off(client, "51", "7", admin="1")

    run(main)
    return [one.split()[0] for one in intercom.asked]


@pytest.mark.parametrize(
    ("replies", "calls"),
    [
        ([answer(200, TAG)], "DELETE"),
        ([refusal(404, "tag_not_found")], "DELETE"),
        ([refusal(404, "not_found")], "DELETE"),
        ([LOST, conversation()], "DELETE GET"),
        ([LOST, conversation(tagged=True), answer(200, TAG)], "DELETE GET DELETE"),
        ([LOST, conversation(tagged=True), refusal(404, "tag_not_found")], "DELETE GET DELETE"),
    ],
    ids=["done", "no such tag", "no such conversation", "lost but done", "lost and not done", "done by another"],
)
def test_untag(replies: list[Any], calls: str) -> None:
    """404 is as wanted; a lost answer is read back before anything is sent again."""
    assert untag(*replies) == calls.split()


def note(*replies: Any) -> tuple[bool, list[str]]:
    """Whether it was written, and the calls."""
    intercom = Intercom(list(replies))

    async def main() -> bool:
        async with client_of(intercom) as client:
            return await write_note(client, "51", TEXT, marker=MARKER, admin="1")

    return run(main), [one.split()[0] for one in intercom.asked]


@pytest.mark.parametrize(
    ("replies", "written", "calls"),
    [
        ([conversation(), conversation(noted=True)], True, "GET POST"),
        ([conversation(noted=True)], False, "GET"),
        ([conversation(), LOST, conversation(noted=True)], True, "GET POST GET"),
        ([conversation(), LOST, conversation(), conversation(noted=True)], True, "GET POST GET POST"),
    ],
    ids=["written", "there already", "lost but written", "lost and not written"],
)
def test_note(replies: list[Any], written: bool, calls: str) -> None:
    """One note with its marker; what a member says of it is no note."""
    assert note(*replies) == (written, calls.split())


@pytest.mark.parametrize("replies", [[LOST, conversation(tagged=True), LOST], [NOT_SENT]])
def test_an_untag_that_stays_unknown_is_an_error(replies: list[Any]) -> None:
    """Whoever asked tries again later."""
    with pytest.raises(Unreachable):
        untag(*replies)


@pytest.mark.parametrize("replies", [[conversation(), LOST, conversation(), LOST], [conversation(), NOT_SENT]])
def test_a_note_that_stays_unknown_is_an_error(replies: list[Any]) -> None:
    """Sent twice at most."""
    with pytest.raises(TargetError):
        note(*replies)


def test_a_note_holds_its_marker() -> None:
    """Without it nobody could tell that it is there."""

    async def main() -> None:
        async with client_of(Intercom([conversation()])) as client:
            await write_note(client, "51", "text", marker=MARKER, admin="1")

    with pytest.raises(ValueError, match="marker"):
        run(main)


def test_ids_are_one_segment() -> None:
    """An id from an event cannot reach another path (failure mode F13)."""
    intercom = Intercom([answer(200, TAG)])

    async def main() -> None:
        async with client_of(intercom) as client:
            await take_tag_off(client, "../contacts", "7/../../x", admin="1")

    run(main)
    assert intercom.asked == ["DELETE /conversations/..%2Fcontacts/tags/7%2F..%2F..%2Fx"]
