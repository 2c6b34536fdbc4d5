"""Who hears of a night: one message where something needs a person, and a heartbeat after a good one (design §7).

The heartbeat is for the night that never ran: whoever expects it misses it. Nothing here changes what became of a run:
where a message cannot be sent, a log line says so. Messages hold counts and ids, never a name or an address; log lines
not even the URLs, which hold the secrets of whoever is told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

import httpx
import msgspec
import structlog

from reconciler.core.actions import Do
from reconciler.core.outcome import Counts, RunOutcome
from reconciler.errors import ExitCode

FAILURES_NOTED = 100
"""More actions than this that failed or ended unknown are worth a message."""

ARCHIVES_NOTED = 50
"""More contacts than this archived or merged are worth a message, also where all went well."""

_SECONDS = 10.0
"""How long the heartbeat may take."""

_log = structlog.get_logger()


class Night(msgspec.Struct, frozen=True, kw_only=True):
    """How one `reconcile apply` ended, in numbers."""

    exit_code: int
    plan: str | None = None
    """None where no plan was made."""
    counts: Counts = Counts()
    archived: int = 0
    """Contacts archived or merged."""
    link: str | None = None
    """Where the plan can be read in a browser, for a while."""
    error: str | None = None
    """The kind of error that ended it, e.g. `LockHeld`."""
    settled: tuple[str, ...] = ()
    """Plans of runs that had been interrupted, which this one brought to their end first."""
    silence: str | None = None
    """What there is to say of a webhook that is silent (silence.py): no fault of the night, which does without it."""


_GONE: tuple[Do, ...] = ("archive", "merge")


def night_of(run: RunOutcome, *, exit_code: int) -> Night:
    """The night that a run makes up."""
    archived = sum(1 for one in run.outcomes if one.do in _GONE and one.outcome == "done")
    return Night(exit_code=exit_code, plan=run.plan, counts=run.summary, archived=archived)


def with_earlier(night: Night, runs: Iterable[RunOutcome]) -> Night:
    """The night with the interrupted runs that it brought to their end. What these held counts unless there is a plan
    after them, which has it again.
    """
    counts, archived, settled = night.counts, night.archived, night.settled
    for run in runs:
        theirs = msgspec.structs.replace(run.summary, held=0 if night.plan is not None else run.summary.held)
        counts = Counts(
            *(ours + more for ours, more in zip(*map(msgspec.structs.astuple, (counts, theirs)), strict=True))
        )
        archived += night_of(run, exit_code=0).archived
        settled = (*settled, run.plan)
    return msgspec.structs.replace(night, counts=counts, archived=archived, settled=settled)


def reasons(night: Night) -> tuple[str, ...]:
    """Why a person has to hear of this night, in a few words each. Empty where nobody has to."""
    return tuple(_reasons(night))


def _reasons(night: Night) -> Iterator[str]:
    if night.error is not None:
        yield f"failed with {night.error}"
    if night.counts.held or night.exit_code == ExitCode.HELD:
        yield "held or refused something"
    failures = night.counts.failed + night.counts.unknown
    if failures > FAILURES_NOTED:
        yield f"{failures} failures"
    if night.archived > ARCHIVES_NOTED:
        yield f"{night.archived} archived"
    if night.silence is not None:
        yield "the webhook is silent"


def message(night: Night) -> str:
    """The body of the message: counts, the plan's id, the exit code; what was settled before, a silent webhook and a
    link, if there is one.
    """
    counts = ", ".join(f"{getattr(night.counts, name)} {name}" for name in Counts.__struct_fields__)
    plan = night.plan or "none was made"
    settled = f"\nBrought to their end before: {', '.join(night.settled)}" if night.settled else ""
    text = (
        f"Plan: {plan}{settled}\nActions: {counts}\nArchived or merged: {night.archived}\nExit code: {night.exit_code}"
    )
    if night.silence is not None:
        text += f"\n{night.silence}"
    return text if night.link is None else f"{text}\nRead it: {night.link}"


def tell(night: Night, *, notify: str | None, heartbeat: str | None) -> None:
    """Send what has to be sent of this night. notify: apprise URLs with spaces or commas between.

    Both hold secrets. Raises nothing.
    """
    why = reasons(night)
    if notify is not None and why:
        _send(notify, title=f"reconcile apply: {', '.join(why)}", body=message(night))
    if heartbeat is not None and night.exit_code == ExitCode.DONE:
        _beat(heartbeat)


def _send(urls: str, *, title: str, body: str) -> None:
    import apprise  # noqa: PLC0415 - it costs 0.1 s and is rarely needed

    logging.getLogger("apprise").disabled = True  # its lines hold the URLs, and with them their tokens
    try:
        asset = apprise.AppriseAsset(app_id="reconciler", storage_mode=apprise.PersistentStoreMode.MEMORY)
        receivers = apprise.Apprise(asset=asset)
        understood = receivers.add(urls)
        sent = bool(receivers) and receivers.notify(title=title, body=body)
    except Exception as error:  # noqa: BLE001 - whatever breaks in a messenger's plug-in must not fail the night
        _log.error("notification was not sent", because=type(error).__name__)
        return
    if not understood:
        _log.error("notification: an address in RECONCILER_NOTIFY is not understood", wanted="apprise URLs")
    if not sent:
        _log.error("notification was not sent", because="a receiver in RECONCILER_NOTIFY did not take it")


def _beat(url: str) -> None:
    try:
        answer = httpx.get(url, timeout=_SECONDS, follow_redirects=False)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _log.error("heartbeat was not sent", because=type(error).__name__)
        return
    if not answer.is_success:
        _log.error("heartbeat was not taken", status=answer.status_code)
