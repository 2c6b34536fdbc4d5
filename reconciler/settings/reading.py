"""Reading the environment and `.env`, once: the only place that looks at `os.environ`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from types import MappingProxyType

from dotenv.parser import parse_stream

from reconciler.errors import SettingsError
from reconciler.settings.secret import Secret
from reconciler.settings.settings import Settings
from reconciler.settings.source_choice import choose_source
from reconciler.settings.table import BY_NAME
from reconciler.settings.values import Values, secret_of

SHORTEST_RETENTION = 14
"""Days. Plans of the last week are the memory of the limits (core/history.py), and must be whole to be undone."""

_AWS = "AWS_"
_CORRECT_IT = "Correct it in the environment or in .env, then run the command again."


def settings_here() -> Settings:
    """The settings of this process: its environment, and `.env` in the current folder."""
    return load_settings(os.environ, dotenv=Path(".env"))


def settings_to_examine() -> tuple[Settings, Mapping[str, str]]:
    """The settings of this process as far as they can be read, for `reconcile doctor`; and what is malformed, as
    `read_settings`.
    """
    return read_settings(os.environ, dotenv=Path(".env"))


def load_settings(environ: Mapping[str, str], *, dotenv: Path | None) -> Settings:
    """Read every setting. `dotenv` is a file that need not exist; a variable of `environ`, even an empty one, wins.

    Raises SettingsError with one line for each malformed value (and each line of the file that is not NAME=value).
    """
    settings, problems = read_settings(environ, dotenv=dotenv)
    if problems:
        raise SettingsError("\n".join(problems.values()), next_step=_CORRECT_IT)
    return settings


def read_settings(environ: Mapping[str, str], *, dotenv: Path | None) -> tuple[Settings, Mapping[str, str]]:
    """As `load_settings`; what is malformed counts as not set and comes back as variable → one line.

    Raises SettingsError where `dotenv` cannot be read.
    """
    read = Values({**(_read_dotenv(dotenv) if dotenv is not None else {}), **environ})
    choice = choose_source(read)
    settings = Settings(
        intercom_access_token=read.token("INTERCOM_ACCESS_TOKEN"),
        intercom_token_issued=read.day("INTERCOM_TOKEN_ISSUED"),
        intercom_base_url=read.address("INTERCOM_BASE_URL", bare=True) or "",
        intercom_client_secrets=read.tokens("INTERCOM_CLIENT_SECRET"),
        intercom_rate_limit=read.number("INTERCOM_RATE_LIMIT", most=1_000_000),
        intercom_cursors=read.shaped("INTERCOM_SNAPSHOT", "list|cursors", "list or cursors") == "cursors",
        intercom_bulk=read.shaped("INTERCOM_BULK", "off|preview", "off or preview") == "preview",
        source_chosen=choice.source,
        source_missing=choice.source_missing,
        supabase_url=read.address("SUPABASE_URL", bare=True),
        supabase_key=read.token("SUPABASE_KEY"),
        mysql=choice.mysql,
        mysql_missing=choice.mysql_missing,
        rules=Path(read.text("RECONCILER_RULES") or ""),
        plans=read.shaped("RECONCILER_PLANS", r"(?!\w+://).+|s3://[^/\s]+\S*", "a folder, or s3://BUCKET/PREFIX") or "",
        plan_retention=read.days("RECONCILER_PLAN_RETENTION", least=SHORTEST_RETENTION),
        aws=MappingProxyType({name: Secret(value) for name, value in read.starting_with(_AWS)}),
        state_url=read.secret(
            "RECONCILER_STATE_URL",
            r"sqlite:///.+|postgresql(\+\w+)?://.+",
            "a URL that starts with sqlite:/// or postgresql://",
        ),
        api_token=read.token("RECONCILER_API_TOKEN"),
        public_url=read.address("RECONCILER_PUBLIC_URL", bare=True),
        redact_key=read.secret("RECONCILER_REDACT_KEY", r"[\x21-\x7e]{16,}", "one word of at least 16 characters"),
        notify=read.secret("RECONCILER_NOTIFY"),
        heartbeat_url=secret_of(read.address("RECONCILER_HEARTBEAT_URL", bare=False)),
        paused=read.flag("RECONCILER_PAUSED"),
    )
    return settings, {name: read.problems[name] for name in BY_NAME if name in read.problems}


def _read_dotenv(path: Path) -> dict[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        # From None: a UnicodeDecodeError holds the whole file, secrets included.
        raise SettingsError(f"{path.name} cannot be read: {reason}.", next_step=_CORRECT_IT) from None
    bindings = tuple(parse_stream(StringIO(text)))
    bad = [each.original.line for each in bindings if each.error or (each.key is not None and each.value is None)]
    if bad:
        lines = "\n".join(f"{path.name}:{line}: this is not NAME=value." for line in bad)
        raise SettingsError(lines, next_step=_CORRECT_IT)
    return {each.key: each.value for each in bindings if each.key is not None and each.value is not None}
