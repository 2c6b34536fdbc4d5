"""The settings as frozen values, and what a command asks them for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar, assert_never

from reconciler.errors import SettingsError
from reconciler.settings.addresses import is_inside
from reconciler.settings.secret import Secret
from reconciler.settings.table import not_set

_MIRROR_OF_ITSELF = "The positions table would be a mirror of itself: both sides are the same Supabase project."
_NAME_ANOTHER = "Name the union's own database with MYSQL_URL, MYSQL_HOST and the others, or RECONCILER_SOURCE."
_SET_IT = "Set it in the environment or in .env; docs/reference/settings.md lists them all."
_Value = TypeVar("_Value", Secret, str)


@dataclass(frozen=True, slots=True)
class DatabaseSource:
    """A database read by sources/sql.py: `sql` has members and positions, `mysql` is the union's own layout."""

    url: Secret
    shape: Literal["sql", "mysql"]
    variable: str
    """The variable that named it, for messages."""


@dataclass(frozen=True, slots=True)
class SupabaseSource:
    """The Supabase project, read through its HTTP interface."""

    url: str
    key: Secret


SourceSetting: TypeAlias = DatabaseSource | SupabaseSource
Need: TypeAlias = Literal["intercom", "source", "supabase", "positions-source", "webhook", "api", "public-url"]
"""What a command cannot do without: token, source, the Supabase project as a target, a source other than that, webhook
signature, token of the service's own endpoints, and where people reach the service.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting, checked. What a command cannot do without is asked for by a method, which raises SettingsError."""

    intercom_access_token: Secret | None
    intercom_token_issued: date | None
    intercom_base_url: str
    """Scheme, host and port; no slash at the end."""
    intercom_client_secrets: tuple[Secret, ...]
    intercom_rate_limit: int | None
    """Calls per 10 seconds, above 0; None: the headers alone decide."""
    intercom_bulk: bool
    """Whether many updates may go in bulk, through the Preview API."""
    intercom_cursors: bool
    """Whether contacts are read by several search cursors."""
    source_chosen: SourceSetting | None
    source_missing: tuple[str, ...] = field(repr=False)
    """Where `source_chosen` is None: one line for each variable that is not set."""
    supabase_url: str | None
    supabase_key: Secret | None
    mysql: DatabaseSource | None
    """What MYSQL_* name, whatever RECONCILER_SOURCE says."""
    mysql_missing: tuple[str, ...] = field(repr=False)
    """Where some of MYSQL_* are set and `mysql` is None: one line for each of them that is not."""
    rules: Path
    plans: str
    plan_retention: timedelta | None
    """How long personal data stays in stored plans; None: for ever."""
    aws: Mapping[str, Secret]
    """The AWS_* variables, for the store of plans: .env must count for them too."""
    state_url: Secret | None
    api_token: Secret | None
    public_url: str | None
    """Scheme, host and port of the service as people see it."""
    redact_key: Secret | None
    """Under which personal data becomes tokens."""
    notify: Secret | None
    heartbeat_url: Secret | None
    paused: bool

    def require(self, *needs: Need) -> None:
        """Raise one SettingsError with a line for every variable that these needs lack."""
        if lines := self.lacking(*needs):
            raise SettingsError("\n".join(lines), next_step=_SET_IT)

    def lacking(self, *needs: Need) -> tuple[str, ...]:
        """One line for every variable that these needs lack, each once."""
        return tuple(dict.fromkeys(line for need in needs for line in self._lacks(need)))

    def token(self) -> Secret:
        """The Intercom access token."""
        return _there(self.intercom_access_token, "INTERCOM_ACCESS_TOKEN")

    def source(self) -> SourceSetting:
        """Where members and positions are: RECONCILER_SOURCE, else MYSQL_URL, else MYSQL_HOST and the others."""
        self.require("source")
        if self.source_chosen is None:
            raise AssertionError("a source that is not chosen lacks a variable")
        return self.source_chosen

    def supabase(self) -> SupabaseSource:
        """The Supabase project whose positions table is a target."""
        self.require("supabase")
        if self.supabase_url is None:
            raise AssertionError("an address that is required is there")
        return SupabaseSource(url=self.supabase_url, key=_there(self.supabase_key, "SUPABASE_KEY"))

    def positions_source(self) -> DatabaseSource:
        """What the positions table is a mirror of: the source, or MYSQL_* where the source is Supabase itself.

        Raises SettingsError where both sides would be the same Supabase project.
        """
        self.require("positions-source")
        found = self.mysql if isinstance(self.source_chosen, SupabaseSource) else self.source_chosen
        if not isinstance(found, DatabaseSource):
            raise SettingsError(_MIRROR_OF_ITSELF, next_step=_NAME_ANOTHER)
        if self.supabase_url is not None and is_inside(found.url.reveal(), self.supabase_url):
            raise SettingsError(
                f"{found.variable} is the database of SUPABASE_URL. {_MIRROR_OF_ITSELF}", next_step=_NAME_ANOTHER
            )
        return found

    def other_source(self) -> DatabaseSource | None:
        """`positions_source`, where MYSQL_* name another database than `source`. Raises as that does."""
        if not isinstance(self.source(), SupabaseSource) or (self.mysql is None and not self.mysql_missing):
            return None
        return self.positions_source()

    def client_secrets(self) -> tuple[Secret, ...]:
        """The secrets that may have signed a webhook: one, or two during rotation."""
        self.require("webhook")
        return self.intercom_client_secrets

    def api(self) -> Secret:
        """The token of the service's own endpoints."""
        return _there(self.api_token, "RECONCILER_API_TOKEN")

    def service_url(self) -> str:
        """Where people reach the service, without a slash at the end."""
        return _there(self.public_url, "RECONCILER_PUBLIC_URL")

    def redacting(self) -> Secret:
        """The key under which personal data becomes tokens."""
        return _there(self.redact_key, "RECONCILER_REDACT_KEY")

    def _lacks(self, need: Need) -> tuple[str, ...]:
        match need:
            case "source":
                return self.source_missing
            case "positions-source":
                complete = self.mysql is not None or isinstance(self.source_chosen, DatabaseSource)
                return () if complete else (*self.source_missing, *self.mysql_missing)
            case "intercom":
                there: dict[str, object] = {"INTERCOM_ACCESS_TOKEN": self.intercom_access_token}
            case "supabase":
                there = {"SUPABASE_URL": self.supabase_url, "SUPABASE_KEY": self.supabase_key}
            case "webhook":
                there = {"INTERCOM_CLIENT_SECRET": self.intercom_client_secrets}
            case "api":
                there = {"RECONCILER_API_TOKEN": self.api_token}
            case "public-url":
                there = {"RECONCILER_PUBLIC_URL": self.public_url}
            case _:
                assert_never(need)
        return tuple(not_set(name) for name, value in there.items() if not value)


def _there(value: _Value | None, name: str) -> _Value:
    if value is None:
        raise SettingsError(not_set(name), next_step=_SET_IT)
    return value
