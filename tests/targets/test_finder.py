"""A few contacts: by id, and the ideas that a search gives, read by id before they count."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from reconciler.core.model import Contact
from reconciler.errors import Unreachable
from reconciler.simulator import Options, Simulator
from reconciler.targets.intercom.finder import MOST_PAGES, find_candidates, read_contact
from tests.targets.support import START, Intercom, answer, client_of, contact, refusal, run, target_over

WORLD: list[dict[str, Any]] = [
    {"id": "a1", "external_id": "1001", "email": "ann@example.org", "phone": "(617) 555-0123"},
    {"id": "a2", "role": "lead", "email": "Ann@Example.org"},
    {"id": "a3", "role": "lead", "phone": "+16175550123"},
    {"id": "a4", "external_id": "77", "custom_attributes": {"member_number": "1001"}},
    {"id": "b1", "external_id": "1002", "phone": "+16175550199"},
    {"id": "gone", "external_id": "1003", "_archived": True},
    {"id": "old", "external_id": "1004", "_merged_into": "a1"},
]


def simulator(*, lag: float = 0.0) -> Simulator:
    """A small workspace."""
    made = Simulator(Options(lag=lag), clock=lambda: START)
    made.seed([msgspec.json.encode(line | {"created_at": int(START) - 9}) for line in WORLD])
    return made


def found(*clues: tuple[str, str], of: Simulator | None = None) -> list[str]:
    """The ids of the candidates."""

    async def main() -> tuple[Contact, ...]:
        async with target_over(of or simulator()) as target:
            return await target.candidates(clues)

    return [one.id for one in run(main)]


@pytest.mark.parametrize(
    ("clues", "ids"),
    [
        ([("external_id", "1001")], ["a1"]),
        ([("email", "ann@example.org")], ["a1", "a2"]),
        ([("phone", "+16175550123")], ["a1", "a3"]),
        ([("custom_attributes.member_number", "1001")], ["a4"]),
        ([("external_id", "1003")], []),
        ([("external_id", "1004")], []),
        ([("external_id", "1001"), ("email", "nobody@x.org"), ("phone", "+16175550199")], ["a1", "b1"]),
        ([], []),
    ],
)
def test_candidates(clues: list[tuple[str, str]], ids: list[str]) -> None:
    """By any clue, in any spelling of a phone, each once; nobody who is archived or merged."""
    assert found(*clues) == ids


def test_many_clues_are_asked_in_groups() -> None:
    """Intercom takes fifteen filters in a group."""
    clues = [("email", f"m{number}@example.org") for number in range(40)]
    assert found(*clues, ("email", "ann@example.org")) == ["a1", "a2"]


def test_a_user_is_found_by_its_number_while_the_search_lags() -> None:
    """What was created a moment ago is in no search yet, but has its external id."""
    lagging = simulator(lag=600.0)

    async def main() -> tuple[Contact, ...]:
        async with target_over(lagging) as target:
            await target._client.create({"role": "user", "external_id": "1009", "email": "new@example.org"})
            assert await target.candidates([("email", "new@example.org")]) == ()
            return await target.candidates([("external_id", "1009")])

    assert len(run(main)) == 1


def test_pages_end() -> None:
    """A search whose cursor never ends is given up with what it found."""
    page = {
        "type": "list",
        "total_count": 10_000,
        "data": [contact("c1")],
        "pages": {"next": {"starting_after": "again"}},
    }
    intercom = Intercom([answer(200, page)])

    async def main() -> tuple[Contact, ...]:
        async with client_of(intercom) as client:
            return await find_candidates(client, [("email", "x@x.org")], frozenset())

    assert [one.id for one in run(main)] == ["c1"]
    assert len(intercom.requests) == MOST_PAGES


@pytest.mark.parametrize(
    ("replies", "wanted"),
    [
        ([answer(200, contact("c1"))], "c1"),
        ([refusal(404, "not_found")], None),
        ([refusal(410, "contact_merged", link='</contacts/c2>; rel="canonical"'), answer(200, contact("c2"))], "c2"),
        ([refusal(410, "contact_merged", link='</contacts/c2>; rel="canonical"'), refusal(404, "not_found")], None),
        ([refusal(410, "contact_merged")], None),
    ],
    ids=["there", "gone", "merged", "merged and gone", "merged nobody knows where"],
)
def test_by_id(replies: list[Any], wanted: str | None) -> None:
    """Followed once where it was merged; None where there is none. What is no answer is no None."""

    async def main() -> Contact | None:
        async with client_of(Intercom(list(replies))) as client:
            return await read_contact(client, "c1", frozenset())

    one = run(main)
    assert (one.id if one is not None else None) == wanted


def test_no_answer_is_not_nobody() -> None:
    """A contact that cannot be read is not a contact that is not there."""

    async def main() -> Contact | None:
        async with client_of(Intercom([httpx.ReadError("lost")])) as client:
            return await read_contact(client, "c1", frozenset())

    with pytest.raises(Unreachable):
        run(main)
