"""Snapshots: everything, or a refusal with the numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core.model import Contact, silent
from reconciler.errors import SnapshotIncomplete
from reconciler.targets.intercom.snapshot import ATTEMPTS, SLACK_PAGES, count_open_conversations, read_by_list
from tests.targets.support import Intercom, answer, client_of, contact, run

OWNED = frozenset({"region"})


def page(ids: str, *, total: int, after: str | None = None) -> httpx.Response:
    """A page of contacts named by letters."""
    following = {"type": "pages", "next": {"per_page": 150, "starting_after": after}} if after else {"next": None}
    data = [contact(letter) for letter in ids]
    return answer(200, {"type": "list", "data": data, "total_count": total, "pages": following})


def read(*replies: httpx.Response) -> tuple[tuple[Contact, ...] | SnapshotIncomplete, Intercom]:
    """The snapshot, or why there is none."""
    intercom = Intercom(list(replies))

    async def main() -> tuple[Contact, ...] | SnapshotIncomplete:
        async with client_of(intercom) as client:
            try:
                return await read_by_list(client, OWNED, silent)
            except SnapshotIncomplete as error:
                return error

    return run(main), intercom


def ids_of(result: tuple[Contact, ...] | SnapshotIncomplete) -> str:
    """The ids read, as letters."""
    assert not isinstance(result, SnapshotIncomplete), result
    return "".join(found.id for found in result)


def test_all_pages_make_one_snapshot_ordered_by_id() -> None:
    """The order of ListContacts is not documented, so it must not show in a plan."""
    result, intercom = read(page("db", total=4, after="p2"), page("ca", total=4))
    assert ids_of(result) == "abcd"
    assert intercom.asked == ["GET /contacts?per_page=150", "GET /contacts?per_page=150&starting_after=p2"]


def test_an_empty_workspace_is_a_whole_snapshot() -> None:
    """Whether no contacts at all can be right is for the guards to say."""
    assert ids_of(read(page("", total=0))[0]) == ""


REFUSED = [
    ([page("ab", total=4, after="p2"), page("bc", total=4)], "4 read, 3 of them different", "an id twice"),
    ([page("ab", total=4, after="p2"), page("c", total=4)], "3 read, 3 of them different, 4", "one missing"),
    ([page("ab", total=3, after="p2"), page("cd", total=3)], "4 read, 4 of them different, 3", "one too many"),
    ([page("ab", total=9, after="p2"), page("cd", total=9, after="p2")], "leads back", "a cursor that stands still"),
    (
        [page("a", total=9, after="p2"), page("b", total=9, after="p3"), page("c", total=9, after="p2")],
        "leads back",
        "a cursor that goes round",
    ),
    ([page("", total=9)], "0 read", "nothing, where nine were announced"),
]


@pytest.mark.parametrize(("replies", "numbers", "reason"), REFUSED, ids=[row[2] for row in REFUSED])
def test_pages_that_do_not_add_up_are_refused(replies: list[httpx.Response], numbers: str, reason: str) -> None:
    """At once, as no change in Intercom explains them: a member taken for missing would be created twice."""
    result, intercom = read(*replies)
    assert isinstance(result, SnapshotIncomplete), reason
    assert numbers in result.what
    assert result.next_step
    assert len(intercom.requests) == len(replies)


def test_pages_without_end_are_refused() -> None:
    """Always another cursor, and nobody new."""
    pages = 0

    async def endless(_: httpx.Request) -> httpx.Response:
        nonlocal pages
        pages += 1
        return page("", total=300, after=f"p{pages}")

    async def main() -> None:
        async with client_of(endless) as client:
            with pytest.raises(SnapshotIncomplete, match="still there are more"):
                await read_by_list(client, OWNED, silent)

    run(main)
    assert pages == 4 + SLACK_PAGES


def test_a_list_that_moved_is_read_again() -> None:
    """Somebody wrote to us meanwhile; the second reading holds still."""
    moved = [page("ab", total=3, after="p2"), page("cd", total=4)]
    result, intercom = read(*moved, page("ab", total=4, after="p2"), page("cd", total=4))
    assert ids_of(result) == "abcd"
    assert len(intercom.requests) == 4


def test_a_list_that_keeps_growing_is_taken_at_the_last_reading() -> None:
    """Where people write all day no reading holds still; one that grew at its end alone lacks nobody it began with."""
    growing = [page("ab", total=3, after="p2"), page("c", total=4)] * ATTEMPTS
    result, intercom = read(*growing)
    assert ids_of(result) == "abc"
    assert len(intercom.requests) == 2 * ATTEMPTS


def test_a_list_that_keeps_moving_is_refused_with_its_numbers() -> None:
    """Complete or refused: more came and went than the counts say, and whoever reads the message sees by how much."""
    moving = [page("ab", total=4, after="p2"), page("c", total=5)] * ATTEMPTS
    result, intercom = read(*moving)
    assert isinstance(result, SnapshotIncomplete)
    assert "4 on the first page, 5 on the last" in result.what
    assert "reading 3 of 3" in result.what
    assert len(intercom.requests) == 2 * ATTEMPTS


def test_progress_is_told_page_by_page() -> None:
    """A snapshot of 20,000 takes minutes."""
    told: list[tuple[str, int, int | None]] = []

    async def main() -> None:
        async with client_of(Intercom([page("ab", total=3, after="p2"), page("c", total=3)])) as client:
            await read_by_list(client, OWNED, lambda *seen: told.append(seen))

    run(main)
    assert told == [("contacts", 2, 3), ("contacts", 3, 3)]


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(0, 40), st.integers(1, 7))
def test_a_snapshot_is_whole_or_refused(births: list[int], total: int, size: int) -> None:
    """Whatever pages come with whatever count: never a contact too few or twice."""
    ids = [f"c{birth:02}" for birth in births]
    cuts = [ids[start : start + size] for start in range(0, len(ids), size)] or [[]]
    replies = []
    for number, cut in enumerate(cuts, start=1):
        following = {"next": {"starting_after": f"p{number}"} if number < len(cuts) else None}
        body = {"data": [contact(one) for one in cut], "total_count": total, "pages": following}
        replies.append(answer(200, body))
    result, _ = read(*replies)
    if len(ids) == len(set(ids)) == total:
        assert not isinstance(result, SnapshotIncomplete)
        assert [found.id for found in result] == sorted(ids)
    else:
        assert isinstance(result, SnapshotIncomplete)


# --- open conversations ---------------------------------------------------------------------------------------------


def conversations(
    everybody: dict[str, list[str]], *, size: int = 150, miscount: int = 0
) -> Callable[[httpx.Request], Any]:
    """Answers searchConversations from open conversations (id → contacts), checking the shape of each question."""

    async def search(request: httpx.Request) -> httpx.Response:
        asked = msgspec.json.decode(request.content)
        still_open, anyone = asked["query"]["value"]
        assert asked["query"]["operator"] == "AND"
        assert still_open == {"operator": "AND", "value": [{"field": "open", "operator": "=", "value": True}]}
        assert anyone["operator"] == "OR"
        assert len(anyone["value"]) <= 15
        wanted = {one["value"] for one in anyone["value"] if (one["field"], one["operator"]) == ("contact_ids", "=")}
        found = [(name, contacts) for name, contacts in everybody.items() if wanted & set(contacts)]
        start = int(asked["pagination"].get("starting_after", 0))
        end = start + size
        listed = [
            {"id": name, "contacts": {"contacts": [{"type": "contact", "id": one} for one in contacts]}}
            for name, contacts in found[start:end]
        ]
        following = {"next": {"starting_after": str(end)} if end < len(found) else None}
        body = {"conversations": listed, "total_count": len(found) + miscount, "pages": following}
        return answer(200, body)

    return search


def count(search: Callable[[httpx.Request], Any], contact_ids: list[str]) -> dict[str, int]:
    """The open conversations of these contacts."""

    async def main() -> dict[str, int]:
        async with client_of(search) as client:
            return await count_open_conversations(client, contact_ids, silent)

    return run(main)


def test_open_conversations_are_counted_for_each_contact() -> None:
    """A contact with an open conversation is never archived; who has none, or was not asked about, is left out."""
    world = {"1": ["a"], "2": ["a", "b"], "3": ["z"]}
    assert count(conversations(world), ["a", "b", "c", "a"]) == {"a": 2, "b": 1}
    assert count(conversations(world), []) == {}


def test_many_contacts_are_asked_for_in_groups_and_pages() -> None:
    """15 filters a group are the most that Intercom takes, and an answer may have several pages."""
    world = {f"{number}-{again}": [f"c{number}"] for number in range(40) for again in range(number % 3)}
    expected = {f"c{number}": number % 3 for number in range(40) if number % 3}
    assert count(conversations(world, size=4), [f"c{number}" for number in range(40)]) == expected


def test_conversations_that_do_not_add_up_are_refused() -> None:
    """A conversation too few, and a contact would be archived in the middle of it."""
    with pytest.raises(SnapshotIncomplete, match="open conversations"):
        count(conversations({"1": ["a"]}, miscount=1), ["a"])
