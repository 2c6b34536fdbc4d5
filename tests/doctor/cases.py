"""What may be wrong, and what the doctor says of it: each case changes one thing in the world after a good night."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import text

from reconciler.core.model import Finding
from reconciler.core.plan import Summary
from reconciler.core.rules import Findings
from reconciler.doctor.examine import CHECKS
from reconciler.runs.pause import PauseSwitch
from reconciler.simulator import Options
from tests.cli.test_trouble import free_port
from tests.doctor.support import World, delete_attribute, interrupt

NOT_LOOKED_AT = "not looked at"
ALL = [check for check, _ in CHECKS]
INTERCOM = ["token", "permissions", "attributes", "clock", "contacts"]
RECORDS = ["plans", "source-age", "plan", "held", "orphans", "positions", "last-run", "last-success"]
STATE = ["state", "lock", "pause", "interrupted", "webhook"]


class Case(NamedTuple):
    """One change, and all lines that are not green after it: id → a part of what it says."""

    reason: str
    change: Callable[[World], object]
    red: Mapping[str, str] = {}
    amber: Mapping[str, str] = {}
    waiting: Sequence[str] = ()
    """Ids of those that are not looked at, as another is not well."""


def after(**time: float) -> Callable[[World], None]:
    """The doctor looks so much later, and nothing has happened since."""

    def change(world: World) -> None:
        world.later = timedelta(**time)

    return change


def setting(**values: str | None) -> Callable[[World], None]:
    """Variables are set, or with None unset."""
    return lambda world: world.place.set(**values)


def own_token(days: int) -> Callable[[World], None]:
    """The token was made so many days ago."""
    return lambda world: world.place.set(
        INTERCOM_TOKEN_ISSUED=(datetime.now(UTC).date() - timedelta(days=days)).isoformat()
    )


def rule_broken(world: World) -> None:
    """Somebody mistypes a key."""
    (world.place.own_rules() / "limits.yaml").write_text("creat: {hard: 5}\n", "utf-8")


def attribute(name: str, **changes: object) -> Callable[[World], None]:
    """Somebody changes an attribute in Intercom's own pages."""

    def change(world: World) -> None:
        workspace = world.place.simulator.world
        workspace.put_attribute(msgspec.structs.replace(workspace.attributes_by_name[name], **changes))

    return change


def clock_ahead(seconds: float) -> Callable[[World], None]:
    """Intercom's clock shows a later time than ours."""

    def change(world: World) -> None:
        theirs = world.place.simulator.clock
        world.place.simulator.clock = lambda: theirs() + seconds

    return change


def members(count: int) -> Callable[[World], None]:
    """That many members more, whom Intercom does not know."""

    def change(world: World) -> None:
        rows = ", ".join(
            f"('9{number:05}', 'Nia', 'New', 'nia{number}@example.org', 'Active', 6)" for number in range(count)
        )
        columns = "membernumber, firstname, lastname, email, status, membertypeid"
        world.sql(f"INSERT INTO members ({columns}) VALUES {rows}")

    return change


def strangers(world: World) -> None:
    """Fifty contacts that nobody asked for."""
    world.place.simulator.seed([msgspec.json.encode({"role": "lead", "name": f"Lead {n}"}) for n in range(50)])


def refused(world: World) -> None:
    """The newest plan found a source that could not be believed."""
    world.put_plan(applyable=False, refused_because=("sqlite has no members at all",))


def held(world: World) -> None:
    """The newest plan holds a class of actions."""
    rules = world.place.own_rules() / "limits.yaml"
    text = rules.read_text("utf-8")
    rules.write_text(text.replace("create: {percent: 10, floor: 100}", "create: {hard: 0}"), "utf-8")
    members(1)(world)
    assert world.place.run("plan").code == 3


def orphans(world: World) -> None:
    """The newest plan found many contacts of nobody."""
    found = tuple(Finding(f"f-{n:04}", "orphan-contact", "review", contact=f"c{n}", member=f"8{n}") for n in range(51))
    world.put_plan(findings=found)


def edited(world: World) -> None:
    """Somebody changes a byte of the newest record."""
    newest = world.place.folder / "plans" / f"{world.store.list_ids()[-1]}.json"
    newest.write_bytes(newest.read_bytes().replace(b"simulated", b"sumilated"))


def positions_mirrored(world: World) -> None:
    """The positions job has run."""
    world.put_plan(target="positions", summary=Summary(0, 0, 0, 0, 0, 0, 0, 4))


def paused(world: World) -> None:
    """Somebody pulled the emergency stop."""
    PauseSwitch(world.state).pause("wrong archives seen")


def no_member_left(world: World) -> None:
    """The table is emptied."""
    world.sql("DELETE FROM members")


def positions_failed(world: World) -> None:
    """The contacts' night was good, and the positions' was not."""
    world.put_outcome(failed=1, target="positions")


def positions_went_well(world: World) -> None:
    """Only the positions job has run for two nights."""
    after(hours=51)(world)
    world.put_outcome(failed=0, target="positions", later=world.later)


def events_alone(world: World) -> None:
    """Two days of events, each with a plan and an outcome of its own, and no night."""
    after(hours=51)(world)
    inputs = world.store.get_plan(world.store.list_ids()[-1]).inputs
    of_one = msgspec.structs.replace(inputs, members=msgspec.structs.replace(inputs.members, count=None))
    for hours in range(1, 25):
        world.put_outcome(failed=0, done=1, later=timedelta(hours=2), inputs=of_one, tool=f"event {hours}")


def narrow_plans(world: World) -> None:
    """Somebody plans for a member, and by one rule."""
    after(hours=51)(world)
    basis = world.store.get_plan(world.store.list_ids()[-1]).basis
    assert basis is not None
    world.put_plan(later=timedelta(hours=50), basis=msgspec.structs.replace(basis, only=("100107",)))
    world.put_plan(basis=msgspec.structs.replace(basis, off=tuple(Findings.__struct_encode_fields__[1:])))


def positions_of_yesterday(world: World) -> None:
    """The positions job and the night are 25.9 hours old."""
    positions_mirrored(world)
    after(hours=25.9)(world)


def event_given_up(world: World) -> None:
    """An event failed for the last time."""
    with world.state.begin() as connection:
        connection.execute(text("UPDATE workflow_status SET status = 'ERROR' WHERE name = 'reconciler.event'"))


def dotenv_broken(world: World) -> None:
    """Somebody leaves a note in it."""
    (world.place.folder / ".env").write_text("what?\n")


def database_gone(world: World) -> None:
    """The file of the union."""
    (world.place.folder / "union.db").unlink()


def state_damaged(world: World) -> None:
    """The state database is overwritten."""
    (world.place.folder / "plans" / "state.sqlite").write_bytes(b"x" * 4096)


def another_token(world: World) -> None:
    """Somebody revokes ours."""
    world.place.simulator.options = Options(token="another")


def nobody_there(world: World) -> None:
    """No server listens at Intercom's address."""
    world.place.set(INTERCOM_BASE_URL=f"http://127.0.0.1:{free_port()}")


def attribute_deleted(world: World) -> None:
    """Somebody deletes one that the rules write."""
    delete_attribute(world.place.simulator, "region")


CASES = [
    Case("a good night", lambda _: None),
    # settings
    Case(
        "no token",
        setting(INTERCOM_ACCESS_TOKEN=None),
        red={"settings": "INTERCOM_ACCESS_TOKEN is not set"},
        waiting=[*INTERCOM],
    ),
    Case(
        "no source",
        setting(RECONCILER_SOURCE=None),
        red={"settings": "No source is set"},
        waiting=["source", "source-age", "positions-source", "contacts"],
    ),
    Case(
        "a number that is none",
        setting(INTERCOM_RATE_LIMIT="many"),
        red={"settings": "INTERCOM_RATE_LIMIT is malformed"},
    ),
    Case(
        "plans on a strange thing",
        setting(RECONCILER_PLANS="ftp://x"),
        red={"settings": "RECONCILER_PLANS is malformed"},
        waiting=[*RECORDS, *STATE],
    ),
    Case(
        "plans below a file",
        setting(RECONCILER_PLANS="union.db/plans", RECONCILER_STATE_URL="sqlite:///elsewhere.sqlite"),
        red={"plans": "cannot write union.db/plans: union.db is not a folder"},
        amber={"webhook": "no event has come in yet"},
        waiting=[*RECORDS[1:]],
    ),
    Case(
        "a state that is none",
        setting(RECONCILER_STATE_URL="redis://x"),
        red={"settings": "RECONCILER_STATE_URL is malformed"},
        waiting=[*STATE],
    ),
    Case(
        ".env that is no settings", dotenv_broken, red={"settings": ".env:1: this is not NAME=value."}, waiting=[*ALL]
    ),
    Case(
        "no webhook secrets",
        setting(INTERCOM_CLIENT_SECRET=None, RECONCILER_API_TOKEN=None),
        amber={"webhook": "INTERCOM_CLIENT_SECRET and RECONCILER_API_TOKEN are not set"},
    ),
    Case(
        "no token of the service's own endpoints",
        setting(RECONCILER_API_TOKEN=None),
        amber={"webhook": "RECONCILER_API_TOKEN is not set: the web service answers Intercom alone"},
    ),
    Case("nobody is told", setting(RECONCILER_NOTIFY=None), amber={"notify": "RECONCILER_NOTIFY is not set"}),
    Case(
        "no day of the token",
        setting(INTERCOM_TOKEN_ISSUED=None),
        amber={"token-age": "INTERCOM_TOKEN_ISSUED is not set"},
    ),
    Case("a token of 80 days", own_token(80)),
    Case("a token of 81 days", own_token(81), amber={"token-age": "81 days old; after 90 it is to be replaced"}),
    Case("a token of 90 days", own_token(90), amber={"token-age": "90 days old"}),
    Case("a token of 91 days", own_token(91), red={"token-age": "91 days old, over 90"}),
    Case("a token of tomorrow", own_token(-1), amber={"token-age": "1 days ahead"}),
    Case(
        "a key in the rules is mistyped",
        rule_broken,
        red={"rules": "limits.yaml:1"},
        waiting=["source", "source-age", "attributes", "contacts"],
    ),
    # the source
    Case(
        "the database is gone",
        database_gone,
        red={"source": "there is no such file"},
        waiting=["source-age", "contacts"],
    ),
    Case(
        "a table was renamed",
        lambda world: world.sql("ALTER TABLE members RENAME TO people"),
        red={"source": "there is no table members"},
        waiting=["source-age", "contacts"],
    ),
    Case(
        "the table is empty", no_member_left, red={"source": "has no members at all"}, amber={"contacts": "16 too many"}
    ),
    Case(
        "one of 17 is gone",
        lambda world: world.sql("DELETE FROM members WHERE membernumber = '100102'"),
        red={"source": "94.1% of the 17 of plan"},
    ),
    Case(
        "the mirror stands still",
        after(days=7, minutes=1),
        red={"last-success": "nights are missing"},
        amber={"source-age": "7 days ago", "plan": "7 days ago", "webhook": "silent: the newest event came 7 days ago"},
    ),
    Case("20 members whom Intercom does not know", members(20), amber={"contacts": "19 are missing"}),
    Case("many contacts of nobody", strangers, amber={"contacts": "51 too many"}),
    # Intercom
    Case(
        "another token",
        another_token,
        red={"token": "401 unauthorized"},
        waiting=["permissions", "attributes", "contacts"],
    ),
    Case(
        "nobody is at the door",
        nobody_there,
        red={"token": "Could not connect for GET /me"},
        waiting=["permissions", "attributes", "contacts", "clock"],
    ),
    Case("an attribute was deleted", attribute_deleted, red={"attributes": "Intercom has no attribute region"}),
    Case(
        "an attribute was archived",
        attribute("region", archived=True),
        red={"attributes": "Attribute region is archived"},
    ),
    Case("an attribute is a number", attribute("region", data_type="integer"), red={"attributes": "of type integer"}),
    Case("their clock is 4 seconds ahead", clock_ahead(4)),
    Case("their clock is 8 seconds ahead", clock_ahead(8), amber={"clock": "seconds behind Intercom's"}),
    Case("their clock is 8 seconds behind", clock_ahead(-8), amber={"clock": "seconds ahead of Intercom's"}),
    Case("their clock is two minutes ahead", clock_ahead(120), red={"clock": "seconds behind Intercom's"}),
    # the nights
    Case(
        "one night is missing",
        after(hours=27),
        amber={
            "plan": "27 hours ago",
            "last-success": "one night is missing",
            "webhook": "silent: the newest event came 27",
        },
    ),
    Case(
        "two nights are missing",
        after(hours=51),
        red={"last-success": "nights are missing"},
        amber={"plan": "2 days ago", "webhook": "silent"},
    ),
    Case("the last plan was refused", refused, red={"plan": "sqlite has no members at all"}),
    Case("a class is held", held, amber={"held": "1 actions of plan"}),
    Case("51 orphans", orphans, amber={"orphans": "51 in plan"}),
    Case("the newest record was edited", edited, red={"plans": "was changed or cut"}, waiting=[*RECORDS[1:]]),
    Case("1 of 11 actions failed", lambda world: world.put_outcome(failed=1), amber={"last-run": "10 done, 1 failed"}),
    Case("101 actions failed", lambda world: world.put_outcome(failed=101), red={"last-run": "101 failed"}),
    Case("the positions were mirrored", positions_mirrored),
    Case("the positions alone failed", positions_failed, amber={"positions": "10 done, 1 failed"}),
    Case(
        "the positions alone went well",
        positions_went_well,
        red={"last-success": "nights are missing"},
        amber={"plan": "2 days ago", "webhook": "silent"},
    ),
    Case(
        "events went well, and no night came",
        events_alone,
        red={"last-success": "nights are missing"},
        amber={"plan": "2 days ago", "webhook": "silent"},
    ),
    Case(
        "plans by hand for a member and a rule, and no night came",
        narrow_plans,
        red={"last-success": "nights are missing"},
        amber={"plan": "2 days ago", "webhook": "silent"},
    ),
    Case("the positions are of yesterday", positions_of_yesterday, amber={"webhook": "silent"}),
    Case("a run was interrupted", interrupt, amber={"interrupted": "is not at its end"}),
    Case("writing is paused", paused, amber={"pause": "wrong archives seen"}),
    Case("writing is paused for good", setting(RECONCILER_PAUSED="true"), amber={"pause": "RECONCILER_PAUSED is set"}),
    Case(
        "the state database is no database",
        state_damaged,
        red={"state": "the state database"},
        waiting=["lock", "pause", "interrupted", "webhook"],
    ),
    Case("a day without an event", after(hours=23.9)),
    Case("a day and two hours", after(hours=25.9), amber={"webhook": "silent: the newest event came 25 hours ago"}),
    Case("an event was given up", event_given_up, amber={"webhook": "1 events were given up"}),
]
