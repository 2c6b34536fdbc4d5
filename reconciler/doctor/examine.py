"""The checks in the order in which they are shown, and how each becomes a line whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from traceback import extract_tb

from reconciler.core.health import Check, Health, amber, health, red
from reconciler.doctor import nights, setup, sides
from reconciler.doctor.around import Around
from reconciler.doctor.facts import Deadline, NotLookedAt, TooSlow
from reconciler.errors import ReconcilerError, SettingsError
from reconciler.settings import Settings

SECONDS = 10.0
"""How long all of it may take. A source of 20,000 rows behind a slow line takes most of it."""

CHECKS: tuple[tuple[str, Callable[[Around], Check]], ...] = (
    ("settings", setup.settings),
    ("rules", setup.rules),
    ("source", sides.source),
    ("source-age", sides.source_age),
    ("positions-source", sides.positions_source),
    ("token", sides.token),
    ("token-age", setup.token_age),
    ("permissions", sides.permissions),
    ("attributes", sides.attributes),
    ("clock", sides.clock),
    ("contacts", sides.contacts),
    ("plans", nights.plans),
    ("plan", nights.newest_plan),
    ("held", nights.held),
    ("orphans", nights.orphans),
    ("positions", nights.positions),
    ("last-run", nights.last_run),
    ("last-success", nights.last_success),
    ("state", nights.state),
    ("lock", nights.lock),
    ("pause", nights.pause),
    ("interrupted", nights.interrupted),
    ("webhook", setup.webhook),
    ("notify", setup.notify),
)
"""Id → what judges it."""


def examine(settings: Settings, malformed: Mapping[str, str], *, now: datetime, seconds: float = SECONDS) -> Health:
    """Look at everything. Reads alone; takes no longer than `seconds`.

    malformed: variable → one line (`settings.read_settings`).
    """
    around = Around(settings, malformed, now=now, deadline=Deadline(seconds))
    return health([line_of(check, judge, around) for check, judge in CHECKS], at=_second(now))


def unreadable(error: SettingsError, *, now: datetime) -> Health:
    """What is left to say where the settings cannot even be read."""
    others = [amber(check, *_not_looked_at("settings")) for check, _ in CHECKS if check != "settings"]
    return health([_refused("settings", error), *others], at=_second(now))


def line_of(check: str, judge: Callable[[Around], Check], around: Around) -> Check:
    """What a check says; whatever goes wrong in it is a line, too."""
    try:
        return judge(around)
    except NotLookedAt as error:
        return amber(check, *_not_looked_at(error.because))
    except TooSlow as error:
        return red(check, f"no answer within {error.seconds:g} seconds", "Run it again; if it lasts, see what is slow.")
    except ReconcilerError as error:
        return _refused(check, error)
    except Exception as error:  # noqa: BLE001 - a fault of ours must not hide the other checks
        return red(
            check,
            f"the check itself failed, with {type(error).__name__} at {_place(error)}",
            "Please report this: it is a bug.",
        )


def _not_looked_at(because: str) -> tuple[str, str]:
    return "not looked at", f"see to `{because}` first."


def _refused(check: str, error: ReconcilerError) -> Check:
    return red(check, " ".join(error.what.split()), error.next_step or "Correct it, and run this again.")


def _place(error: Exception) -> str:
    """File and line of an error: never its text, which may hold personal data."""
    frames = extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def _second(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
