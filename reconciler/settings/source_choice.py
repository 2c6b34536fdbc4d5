"""Which of several variables says where the source is, and what it lacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from reconciler.settings.secret import Secret
from reconciler.settings.settings import DatabaseSource, SourceSetting, SupabaseSource
from reconciler.settings.table import not_set
from reconciler.settings.values import Values

_NO_SOURCE = (
    "No source is set. One of these is wanted: RECONCILER_SOURCE (`supabase`, or a SQLAlchemy URL), "
    "MYSQL_URL, or MYSQL_HOST with MYSQL_USER, MYSQL_PASSWORD and MYSQL_DATABASE."
)


@dataclass(frozen=True, slots=True)
class SourceChoice:
    """The source, and what it lacks: one line for each variable."""

    source: SourceSetting | None
    source_missing: tuple[str, ...]
    """What keeps `source` from being complete."""
    mysql: DatabaseSource | None
    """What MYSQL_* name, whatever RECONCILER_SOURCE says."""
    mysql_missing: tuple[str, ...]
    """What keeps `mysql` from being complete, where some of it is set."""


def choose_source(read: Values) -> SourceChoice:
    """RECONCILER_SOURCE, else MYSQL_URL, else MYSQL_HOST and the others."""
    named = read.text("RECONCILER_SOURCE")
    supabase = (read.address("SUPABASE_URL", bare=True), read.token("SUPABASE_KEY"))
    mysql_url = read.secret("MYSQL_URL", r"(mysql|mariadb)(\+\w+)?://\S+", "a URL that starts with mysql://")
    mysql, lacking = _mysql_parts(read)
    if mysql_url is not None or read.text("MYSQL_URL") is not None:
        mysql, lacking = _database(mysql_url, "mysql", "MYSQL_URL"), ()
    if named == "supabase":
        url, key = supabase
        if url and key:
            return SourceChoice(SupabaseSource(url=url, key=key), (), mysql, lacking)
        missing = (("SUPABASE_URL", url), ("SUPABASE_KEY", key))
        return SourceChoice(None, tuple(not_set(name) for name, value in missing if not value), mysql, lacking)
    if named is not None:
        shaped = read.secret("RECONCILER_SOURCE", r"[a-z][a-z0-9]*(\+\w+)?://.*", "`supabase` or a SQLAlchemy URL")
        return SourceChoice(_database(shaped, "sql", "RECONCILER_SOURCE"), (), mysql, lacking)
    nothing = mysql is None and not lacking and read.text("MYSQL_URL") is None
    return SourceChoice(mysql, (_NO_SOURCE,) if nothing else lacking, mysql, lacking)


def _database(url: Secret | None, shape: Literal["sql", "mysql"], variable: str) -> DatabaseSource | None:
    return None if url is None else DatabaseSource(url=url, shape=shape, variable=variable)


def _mysql_parts(read: Values) -> tuple[DatabaseSource | None, tuple[str, ...]]:
    """The database of MYSQL_HOST and the others, or what they lack where one of them is set."""
    host = read.shaped("MYSQL_HOST", r"[\w.-]+|\[?[0-9A-Fa-f:.]+\]?", "a host name or an IP address")
    port = read.number("MYSQL_PORT", most=65_535)
    user = read.text("MYSQL_USER")
    password = read.exact("MYSQL_PASSWORD")
    database = read.shaped("MYSQL_DATABASE", r"[^\s/?#\\]+", "the plain name of a database")
    if not (host or user or password or database):
        return None, ()
    if host is None or user is None or password is None or database is None:
        given = {"MYSQL_HOST": host, "MYSQL_USER": user, "MYSQL_PASSWORD": password, "MYSQL_DATABASE": database}
        return None, tuple(not_set(name) for name, value in given.items() if value is None)
    address = f"[{host.strip('[]')}]" if ":" in host else host
    url = f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@{address}:{port}/{database}"
    return DatabaseSource(url=Secret(url), shape="mysql", variable="MYSQL_HOST"), ()
