"""Checks of the two sides: the sources with their members and positions, and Intercom with its contacts."""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciler.core.health import Check, amber, green, red
from reconciler.core.model import SourceData
from reconciler.core.plan import Plan
from reconciler.core.snapshot import digest
from reconciler.doctor.around import Around
from reconciler.doctor.facts import NotLookedAt
from reconciler.doctor.words import ago

STALE_AFTER = timedelta(days=7)
"""In a union of 20,000 somebody joins, moves or retires every few days."""

CLOCK_AMBER, CLOCK_RED = 5.0, 60.0
"""Seconds. The pace heals what is below; what is above dates plans and events wrongly."""

MISSING_SHARE, SURPLUS_SHARE = 0.02, 0.25
"""Of the members who should be a contact: fewer contacts than that, or more, is worth a look."""

_SOURCE_STEP = "Look at the database first. If it is true: `{command} --accept members={count} --reason TEXT`."


def source(around: Around) -> Check:
    """Members and positions can be read whole, and are about as many as the last time."""
    return _read_whole("source", around, around.source.value(asks="source"), "reconcile plan")


def positions_source(around: Around) -> Check:
    """So can those of the database that the positions table is a mirror of, where that is another one."""
    data = around.positions_source.value(asks="positions-source")
    if data is None:
        return green("positions-source", "none besides `source`")
    found = _read_whole("positions-source", around, data, "reconcile plan --target positions")
    if data.members and not data.positions:
        return red(found.id, f"{found.says}: nothing is deleted on its word", "Look at the table of positions there.")
    return found


def _read_whole(check: str, around: Around, data: SourceData, command: str) -> Check:
    """command: what makes a plan from these data."""
    rules = around.rules.value(asks=check)
    members, positions = len(data.members), len(data.positions)
    says = f"{members} members and {positions} positions from {data.name}"
    if not members:
        return red(check, f"{data.name} answers, and has no members at all", "Look at the database, not at this.")
    if data.page_size and members % data.page_size == 0:
        return red(
            check,
            f"{says}: exactly full pages of {data.page_size}, as where rows were cut off",
            "See that whatever fills the source copies all rows, not one page.",
        )
    before = _last_good(check, around, data)
    had = (before.inputs.members.count or 0) if before is not None else 0
    if before is not None and members < had * (1 - rules.limits.source.shrink_percent / 100):
        share = f"{100 * members / had:.1f}% of the {had} of plan {before.id}"
        return red(check, f"{says}: {share}", _SOURCE_STEP.format(command=command, count=members))
    return green(check, says)


def _last_good(check: str, around: Around, data: SourceData) -> Plan | None:
    """The newest plan that was not refused and read this kind of source; None where plans cannot be read."""
    try:
        plans = around.records.value(asks=check).plans
    except NotLookedAt:  # the check of the plans says why
        return None
    return next((one for one in plans if one.applyable and one.inputs.members.source == data.name), None)


def source_age(around: Around) -> Check:
    """Something in the source changes from time to time: a mirror that stopped looks perfectly well otherwise."""
    plans = around.records.value(asks="source-age").plans
    data = around.source.value(asks="source-age")
    now_read = digest(data.members)
    same: list[Plan] = []
    for plan in plans:
        if plan.inputs.members.source != data.name:
            continue
        if plan.inputs.members.sha256 != now_read:
            break
        same.append(plan)
    if not same:
        return green("source-age", "the members have changed since the newest plan" if plans else "no plan to compare")
    since = datetime.fromisoformat(same[-1].created_at)
    says = f"unchanged since plan {same[-1].id}, {ago(since, around.now)}"
    if around.now - since > STALE_AFTER:
        return amber("source-age", says, "See that whatever fills the source still runs.")
    return green("source-age", says)


def token(around: Around) -> Check:
    """The token opens a workspace."""
    workspace = around.workspace.value(asks="token")
    return green("token", f"opens workspace {workspace.id}")


def clock(around: Around) -> Check:
    """Our clock agrees with the Date header of Intercom's answers."""
    ahead = around.ahead.value(asks="clock")
    if ahead is None:
        return amber("clock", "Intercom's answer had no Date header", "See that INTERCOM_BASE_URL is Intercom's own.")
    # The header is cut to whole seconds and old when it comes: up to two seconds behind is no difference.
    off = 0.0 if -2.0 <= ahead <= 0.0 else ahead
    says = f"{abs(off):.0f} seconds {'behind' if off > 0 else 'ahead of'} Intercom's"
    step = "See that this machine sets its clock by the network (NTP)."
    if abs(off) > CLOCK_RED:
        return red("clock", says, step)
    if abs(off) > CLOCK_AMBER:
        return amber("clock", says, step)
    return green("clock", "agrees with Intercom's")


def permissions(around: Around) -> Check:
    """The token may make every kind of call that a night makes; and the web service, where there is one."""
    found = around.permissions.value(asks="permissions")
    missing = [(one, one.missing) for one in found if one.missing is not None]
    if not missing:
        return green("permissions", f"all {len(found)} kinds of calls that are needed are allowed")
    says = f"the token may not {', nor '.join(one.to for one, _ in missing)}. {missing[0][1].what}"
    if any(one.of == "night" for one, _ in missing):
        return red("permissions", says, missing[0][1].next_step)
    return amber("permissions", f"{says} The night does without, the web service does not.", missing[0][1].next_step)


def attributes(around: Around) -> Check:
    """Intercom has every custom attribute that the rules write, and takes text for it."""
    problems = around.attributes.value(asks="attributes")
    if not problems:
        return green("attributes", "all there")
    missing = [one.name for one in problems if one.ailment == "missing"]
    others = [str(one) for one in problems if one.ailment != "missing"]
    if others:
        return red("attributes", " ".join(map(str, problems)), "Until then the actions that write it are held.")
    return red(
        "attributes",
        f"Intercom has no attribute {', '.join(missing)}: actions that write it are held",
        "`reconcile doctor --create-attributes` creates what is missing.",
    )


def contacts(around: Around) -> Check:
    """Intercom has about as many contacts as there are members who should be one."""
    live, due = around.live.value(asks="contacts"), around.due.value(asks="contacts")
    says = f"{live} contacts for {due} members who should be one"
    if live < due * (1 - MISSING_SHARE):
        return amber("contacts", f"{says}: {due - live} are missing", "`reconcile plan` shows who is to be created.")
    if live > due * (1 + SURPLUS_SHARE):
        return amber(
            "contacts",
            f"{says}: {live - due} too many",
            "Look for duplicates and former members: `reconcile plan --rule archive-duplicates --rule orphan-contact`.",
        )
    return green("contacts", says)
