"""Custom attributes: looked at once, created where missing, and the reason to hold what would only fail."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import httpx
import msgspec
import pytest

from reconciler.core.actions import Action, Outcome
from reconciler.core.model import MAX_TEXT
from reconciler.errors import Refused, TargetError
from reconciler.simulator import Call, Fault, Options, Simulator, build_app
from reconciler.targets.intercom import IntercomTarget
from reconciler.targets.intercom.attributes import AttributeProblem, check_attributes, create_missing
from reconciler.targets.intercom.execute import execute
from reconciler.targets.intercom.wire import Unsendable, to_body
from tests.targets.support import TOKEN, Intercom, answer, client_of, clock, contact, run, target_over

T = TypeVar("T")
OWNED = frozenset({"region", "facility", "shoe_size"})
REGION = Action(id="u1", do="update", contact="c1", set={"custom_attributes.region": "NWP", "name": "Ann"})
NAME = Action(id="u2", do="update", contact="c1", set={"name": "Ann"})


def with_target(simulator: Simulator, main: Callable[[IntercomTarget], Coroutine[Any, Any, T]]) -> T:
    """Run something with a target over it, in virtual time."""

    async def connected() -> T:
        async with target_over(simulator, owned=OWNED) as target:
            return await main(target)

    return run(connected)


def world(*attributes: dict[str, Any]) -> Simulator:
    """The stand-in with one contact; its own attributes are member_number, region, facility, positions, member_type."""
    simulator = Simulator(Options(token=TOKEN), clock=lambda: 1_800_000_003.0)
    lines = [{"_attribute": attribute} for attribute in attributes] + [{"id": "c1", "external_id": "1"}]
    simulator.seed([msgspec.json.encode(line) for line in lines])
    simulator.clock = clock
    return simulator


def attribute_of(simulator: Simulator, name: str, **changes: Any) -> None:
    """A person changes an attribute in Intercom's own pages."""
    known = simulator.world.attributes_by_name[name]
    simulator.world.put_attribute(msgspec.structs.replace(known, **changes))


SIZE = {"name": "shoe_size", "data_type": "string"}

PROBLEMS: list[tuple[str, dict[str, Any] | None, str, str]] = [
    ("nobody made it", None, "missing", "create it: Settings > Data > People"),
    ("made for companies only", SIZE | {"model": "company"}, "missing", "create it"),
    ("archived", SIZE | {"archived": True}, "archived", "bring it back"),
    ("a number", SIZE | {"data_type": "integer"}, "mistyped", "of type integer"),
]


@pytest.mark.parametrize(("reason", "attribute", "ailment", "says"), PROBLEMS, ids=[row[0] for row in PROBLEMS])
def test_what_is_wrong_is_named_with_what_to_do(
    reason: str, attribute: dict[str, Any] | None, ailment: str, says: str
) -> None:
    """One call tells all of it, and what is right is not mentioned."""
    simulator = world(*([attribute] if attribute else []))
    problems = with_target(simulator, lambda target: target.check_attributes())
    assert [(one.name, one.ailment) for one in problems] == [("shoe_size", ailment)], reason
    assert says in str(problems[0])
    assert len(simulator.calls) == 1


def test_an_attribute_that_may_not_be_written_is_named() -> None:
    """Intercom lets people close an attribute to the API."""
    listed = {"name": "region", "custom": True, "data_type": "string", "api_writable": False}

    async def main() -> tuple[AttributeProblem, ...]:
        async with client_of(Intercom([answer(200, {"data": [listed]})])) as client:
            return await check_attributes(client, {"region"})

    assert [str(one) for one in run(main)] == [
        "Attribute region may not be written through the API; open it: Settings > Data > People."
    ]


def test_what_is_known_to_be_wrong_holds_what_writes_it() -> None:
    """Not 20,000 failures: nothing is sent, and what does not write it goes on."""
    simulator = world(SIZE)
    attribute_of(simulator, "region", archived=True)

    async def main(target: IntercomTarget) -> tuple[tuple[str, ...], Outcome, Outcome]:
        missing = tuple(problem.name for problem in await target.check_attributes())
        return missing, await target.execute(REGION, reread=True), await target.execute(NAME, reread=False)

    missing, held, done = with_target(simulator, main)
    assert missing == ("region",)
    assert (held.outcome, held.calls, held.contact) == ("held", (), "c1")
    assert held.says == "Attribute region is archived in Intercom; bring it back: Settings > Data > People."
    assert done.outcome == "done"


def test_an_attribute_that_goes_away_in_the_middle_of_a_run_holds_the_rest() -> None:
    """The first refusal is looked into; from then on nothing is sent that would only be refused."""
    simulator = world(SIZE)

    async def main(target: IntercomTarget) -> list[Outcome]:
        assert await target.check_attributes() == ()
        first = await target.execute(REGION, reread=False)
        attribute_of(simulator, "region", archived=True)
        return [first, *[await target.execute(REGION, reread=False) for _ in range(3)]]

    outcomes = with_target(simulator, main)
    assert [one.outcome for one in outcomes] == ["done", "held", "held", "held"]
    assert [one.calls for one in outcomes[1:]] == [("PUT /contacts/c1 400",), (), ()]
    assert outcomes[1].sent == {}
    assert [call.path for call in simulator.calls].count("/data_attributes") == 2


def test_another_refused_value_stays_a_failure() -> None:
    """The attributes are in order, so Intercom's own reason counts; and if they cannot be read, too."""
    simulator = world(SIZE)
    wrong = Action(id="u3", do="update", contact="c1", set={"custom_attributes.region": 5})
    assert with_target(simulator, lambda target: target.execute(wrong, reread=False)).outcome == "failed"
    broken = world(SIZE)
    broken.hook = _down
    assert with_target(broken, lambda target: target.execute(wrong, reread=False)).outcome == "failed"


def _down(call: Call, phase: str) -> Fault | None:
    return Fault.ERROR_BEFORE if call.path == "/data_attributes" and phase == "before" else None


def create(simulator: Simulator) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is created of our attributes, and what is wrong with them after it."""

    async def main() -> tuple[tuple[str, ...], tuple[str, ...]]:
        async with client_of(httpx.ASGITransport(app=build_app(simulator))) as client:
            created = await create_missing(client, await check_attributes(client, OWNED))
            return created, tuple(problem.name for problem in await check_attributes(client, OWNED))

    return run(main)


def test_the_missing_ones_are_created_as_text_and_only_those() -> None:
    """What a person archived or retyped is that person's decision."""
    simulator = world()
    attribute_of(simulator, "region", archived=True)

    assert create(simulator) == (("shoe_size",), ("region",))
    assert simulator.world.attributes_by_name["shoe_size"].data_type == "string"


def test_a_name_that_companies_have_cannot_be_created() -> None:
    """Contacts and companies share one space of names; Intercom says so."""
    simulator = world(SIZE | {"model": "company"})
    with pytest.raises(Refused, match="400 parameter_invalid"):
        create(simulator)


# values

UNSENDABLE: list[tuple[str, Any, str]] = [
    ("one character too many", "x" * (MAX_TEXT + 1), "has 256 characters"),
    ("a list", ["a"], "a list"),
    ("an object", {"a": 1}, "a dict"),
    ("not a number", float("nan"), "no finite number"),
    ("endless", float("inf"), "no finite number"),
]


@pytest.mark.parametrize("field", ["name", "custom_attributes.region"])
@pytest.mark.parametrize(("reason", "value", "why"), UNSENDABLE, ids=[row[0] for row in UNSENDABLE])
def test_what_intercom_cannot_keep_never_leaves(reason: str, value: Any, why: str, field: str) -> None:
    """Sent, it might be cut, cleared or refused; and the error names the field, never the value."""
    action = Action(id="u1", do="update", contact="c1", set={field: value})
    intercom = Intercom([answer(200, contact())])

    async def main() -> Outcome:
        async with client_of(intercom) as client:
            return await execute(client, action, reread=False)

    outcome = run(main)
    assert (outcome.outcome, outcome.code, outcome.sent) == ("failed", "unsendable", {}), reason
    assert field in outcome.says
    assert why in outcome.says
    assert "xxx" not in outcome.says
    assert not intercom.requests


@pytest.mark.parametrize("value", ["", "x" * MAX_TEXT, "é" * MAX_TEXT, 0, -1.5, True, None])
def test_everything_else_leaves_as_it_is(value: Any) -> None:
    """Up to the limit, which counts characters and not bytes."""
    assert to_body({"custom_attributes.region": value}) == {"custom_attributes": {"region": value}}


def test_the_refusal_is_one_of_ours() -> None:
    """Whoever catches TargetError catches it, and can say what to do."""
    with pytest.raises(Unsendable) as caught:
        to_body({"name": "x" * 300})
    assert isinstance(caught.value, TargetError)
    assert caught.value.next_step
