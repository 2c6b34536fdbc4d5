"""What the settings name, opened: rules, sources, targets, the store of plans, the state database, links.

The controller is handed these and knows no setting; whoever calls it (the CLI, the web service, the doctor) gets them
here. Nothing is connected by opening it, and what is slow to import is imported by whoever needs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

from reconciler.core import signed_link
from reconciler.core.findings import archive_duplicates, orphan_contact
from reconciler.core.model import ATTRIBUTE_PREFIX, Target
from reconciler.core.plan import Plan
from reconciler.core.rules import Rules
from reconciler.core.rules.loader import parse_mappings_json, parse_rules, with_mappings
from reconciler.errors import Problem, RulesError
from reconciler.runs.state import StateDatabase
from reconciler.runs.store import PlanStore
from reconciler.settings import DatabaseSource, Settings, SupabaseSource
from reconciler.sources import Source
from reconciler.targets import Writer

if TYPE_CHECKING:
    from reconciler.sources.sql import SqlSource
    from reconciler.sources.supabase import SupabaseSource as OpenedSupabase
    from reconciler.targets.intercom import IntercomTarget
    from reconciler.targets.intercom.checkup import Checkup
    from reconciler.targets.positions import PositionsTarget


SERVICE_SHARE = 0.1
"""Of each window: with 167 calls in 10 s that is two events, with 1,667 some twenty, while a plan is applied."""


def read_rules(folder: Path, *, mappings: Path | None = None) -> Rules:
    """The rules of a folder, with a mappings file laid over them. Raises RulesError with every problem."""
    files = {path.name: _text(path) for path in _rule_files(folder)}
    rules = parse_rules(files)
    if mappings is None:
        return rules
    return with_mappings(rules, parse_mappings_json(_text(mappings), where=str(mappings)))


def _rule_files(folder: Path) -> Sequence[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in {".yaml", ".yml"} and path.is_file())
    except OSError as error:
        raise RulesError(
            [Problem(str(folder), 0, f"cannot be read as the folder of the rules: {error.strerror}")]
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise RulesError([Problem(str(path), 0, f"cannot be read: {error.strerror}")]) from error
    except UnicodeDecodeError as error:
        raise RulesError([Problem(str(path), 0, f"is not UTF-8 text: byte {error.start}")]) from error


def open_source(settings: Settings, rules: Rules) -> SqlSource | OpenedSupabase:
    """The source that the settings name, to be read whole (Source) or asked for some (LookUp). Nothing is connected
    yet.
    """
    match settings.source():
        case DatabaseSource() as database:
            return _open_database(database, rules)
        case SupabaseSource() as project:
            from reconciler.sources.supabase import open_supabase  # noqa: PLC0415 - slow to import, as above

            return open_supabase(project.url, project.key.reveal(), rules.sources)


def _open_database(database: DatabaseSource, rules: Rules) -> SqlSource:
    from reconciler.sources.sql import open_sql  # noqa: PLC0415 - SQLAlchemy costs 0.1 s, for those who need it

    return open_sql(database.url.reveal(), rules.sources, shape=database.shape)


def open_positions_source(settings: Settings, rules: Rules) -> Source:
    """The source that the positions table is a mirror of. Raises SettingsError where that would be the table itself."""
    return _open_database(settings.positions_source(), rules)


def open_positions(settings: Settings, rules: Rules) -> PositionsTarget:
    """The positions table of the Supabase project that the settings name. Nothing is connected yet."""
    from reconciler.sources.rows import written  # noqa: PLC0415 - the client is slow to import, for those who need it
    from reconciler.supabase.wire import Wire  # noqa: PLC0415 - as above
    from reconciler.targets.position_rows import READS, PositionRows, open_position_rows  # noqa: PLC0415 - as above
    from reconciler.targets.position_table import PositionTable  # noqa: PLC0415 - as above
    from reconciler.targets.positions import PositionsTarget  # noqa: PLC0415 - as above

    project, table = settings.supabase(), rules.sources.sql.positions
    key = project.key.reveal()

    def open_table() -> PositionTable:
        wire = Wire(project.url, key, sleep=time.sleep, clock=time.monotonic, reads=READS)
        return PositionTable(PositionRows(wire, table, text=written), sleep=time.sleep)

    return PositionsTarget(project.url, open_position_rows(project.url, key, table, text=written), open_table)


def open_target(settings: Settings, rules: Rules, *, reserve: float = 0.0, own: float = 0.0) -> IntercomTarget:
    """Intercom, as the settings name it. Nothing is connected yet. reserve, own: as for IntercomTarget."""
    from reconciler.targets.intercom import IntercomTarget  # noqa: PLC0415 - aiohttp costs 0.2 s, for those who need it
    from reconciler.targets.intercom.cursors import CursorSnapshot  # noqa: PLC0415 - as above
    from reconciler.targets.intercom.snapshot import read_by_list  # noqa: PLC0415 - as above

    return IntercomTarget(
        token=settings.token().reveal(),
        base_url=settings.intercom_base_url,
        owned=owned_attributes(rules),
        rate_limit=settings.intercom_rate_limit,
        snapshot_by=CursorSnapshot(now=time.time) if settings.intercom_cursors else read_by_list,
        reserve=reserve,
        own=own,
        hiding_for=may_hide_conversations(rules),
    )


def open_writer(settings: Settings, rules: Rules, target: Target) -> AbstractAsyncContextManager[Writer]:
    """Whoever may write to this target for a run of a plan. Nothing is connected yet."""
    match target:
        case "contacts":
            return open_target(settings, rules, reserve=reserve_for_service(settings))
        case "positions":
            return open_positions(settings, rules)
        case _:
            assert_never(target)


def goes_in_bulk(made: Plan, settings: Settings) -> bool:
    """Whether the plain updates of a plan go through Intercom's Preview API: where that is set, and fewer calls."""
    from reconciler.targets.intercom.bulk import costs_less, is_plain  # noqa: PLC0415 - as above

    if not settings.intercom_bulk or made.target != "contacts":
        return False
    return costs_less(sum(map(is_plain, made.actions)), made.inputs.actual.count or 0, reread=False)


def open_checkup(settings: Settings) -> Checkup:
    """Intercom, for somebody who asks how things stand. Nothing is connected yet."""
    from reconciler.targets.intercom.checkup import Checkup  # noqa: PLC0415 - as above

    return Checkup(token=settings.token().reveal(), base_url=settings.intercom_base_url)


def open_store(settings: Settings) -> PlanStore:
    """The store of plans: a folder or a bucket. Nothing is connected yet."""
    return PlanStore(settings.plans, {name: value.reveal() for name, value in settings.aws.items()})


def reserve_for_service(settings: Settings) -> float:
    """The share of Intercom's limit that a run of a plan leaves to the web service, where there is one.

    Who signs webhooks for us has set INTERCOM_CLIENT_SECRET, and without it the service does not start.
    """
    return SERVICE_SHARE if settings.intercom_client_secrets else 0.0


def erase_old(store: PlanStore, settings: Settings, *, now: Callable[[], datetime]) -> tuple[str, ...]:
    """Take personal data out of what is older than RECONCILER_PLAN_RETENTION; the names of the records changed."""
    if settings.plan_retention is None:
        return ()
    return store.erase_old(before=now() - settings.plan_retention)


def link_to(plan_id: str, settings: Settings, *, until: datetime) -> str:
    """The address that shows a plan to whoever has it until then. Raises SettingsError where there can be none."""
    settings.require("api", "public-url")
    path = signed_link.path_of(plan_id)
    query = signed_link.query_of(path, token=settings.api().reveal(), expires=int(until.timestamp()))
    return f"{settings.service_url()}{path}?{query}"


def open_state(settings: Settings) -> StateDatabase:
    """The state database: what the settings name, else a SQLite file beside the plans."""
    if settings.state_url is not None:
        return StateDatabase(settings.state_url.reveal())
    folder = "." if settings.plans.startswith("s3://") else settings.plans
    return StateDatabase(f"sqlite:///{Path(folder, 'state.sqlite')}")


def owned_attributes(rules: Rules) -> frozenset[str]:
    """The custom attributes that we own, by their own names."""
    return frozenset(
        field.removeprefix(ATTRIBUTE_PREFIX) for field in rules.contacts.fields if field.startswith(ATTRIBUTE_PREFIX)
    )


def may_hide_conversations(rules: Rules) -> frozenset[str]:
    """The rules that archive a contact also where that hides an open conversation."""
    unless = {
        archive_duplicates.RULE: rules.findings.archive_duplicates.unless,
        orphan_contact.RULE: rules.findings.orphan_contact.unless,
    }
    return frozenset(rule for rule, exception in unless.items() if exception == "nothing")
