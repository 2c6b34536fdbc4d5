"""Settings: the environment, read once into frozen values (design §7). Nothing else reads `os.environ`.

A malformed value stops every command (`load_settings` names all of them at once): it is always a mistake, and most
of all `RECONCILER_PAUSED=ture`. A missing value stops only the command that needs it (`Settings.require` and the
methods named after what they return). No text made here holds a value.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NoReturn, TypeAlias, TypeVar, assert_never
from urllib.parse import SplitResult, quote, urlsplit

from dotenv.parser import parse_stream

from reconciler.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable, as the documentation and `load_settings` know it."""

    name: str
    means: str
    default: str = ""
    """What stands in when it is not set; blank where nothing does."""
    secret: bool = False


SETTINGS: tuple[Setting, ...] = (
    Setting("INTERCOM_ACCESS_TOKEN", "the access token of the Intercom app", secret=True),
    Setting("INTERCOM_TOKEN_ISSUED", "the day the token was made, YYYY-MM-DD; `reconcile doctor` tells its age"),
    Setting("INTERCOM_BASE_URL", "where Intercom's API is", "https://api.intercom.io"),
    Setting(
        "INTERCOM_CLIENT_SECRET",
        "the app's client secret, which signs webhooks; a comma separates two during rotation",
        secret=True,
    ),
    Setting("INTERCOM_RATE_LIMIT", "calls per 10 seconds; a ceiling under what Intercom's headers allow"),
    Setting(
        "INTERCOM_SNAPSHOT",
        "cursors: contacts are read by several searches side by side, and by list where those do not say the same",
        "list",
    ),
    Setting("INTERCOM_BULK", "preview: many updates go in bulk, through Intercom's Preview API", "off"),
    Setting("SUPABASE_URL", "the address of the Supabase project"),
    Setting("SUPABASE_KEY", "the service key of the Supabase project", secret=True),
    Setting("MYSQL_URL", "the union's MySQL as one URL, e.g. mysql://USER:PASSWORD@HOST:3306/DATABASE", secret=True),
    Setting("MYSQL_HOST", "the host of the union's MySQL, where it is not given as one URL"),
    Setting("MYSQL_PORT", "its port", "3306"),
    Setting("MYSQL_USER", "the user who may read its tables"),
    Setting("MYSQL_PASSWORD", "that user's password; set but empty where there is none", secret=True),
    Setting("MYSQL_DATABASE", "the name of its database"),
    Setting(
        "RECONCILER_SOURCE",
        "`supabase`, or the SQLAlchemy URL of a database with the tables members and positions; wins over MYSQL_* "
        "(not where it is `supabase` and the target is the positions table there)",
        secret=True,
    ),
    Setting("RECONCILER_RULES", "the folder of the rules", "rules"),
    Setting("RECONCILER_PLANS", "where plans are kept: a folder, or s3://BUCKET/PREFIX", "plans"),
    Setting("RECONCILER_PLAN_RETENTION", "days after which personal data is taken out of stored plans, e.g. 400d"),
    Setting("AWS_*", "credentials, region and AWS_ENDPOINT_URL of the S3 bucket, by their usual names", secret=True),
    Setting("RECONCILER_STATE_URL", "where runs keep their state: sqlite:///FILE or postgresql://…", secret=True),
    Setting("RECONCILER_API_TOKEN", "the token that callers of the web service's own endpoints present", secret=True),
    Setting("RECONCILER_REDACT_KEY", "the key of --redact: at least 16 characters that nobody else knows", secret=True),
    Setting("RECONCILER_PUBLIC_URL", "where people reach `reconcile serve`, for links to plans"),
    Setting("RECONCILER_NOTIFY", "where alerts go: apprise URLs, with spaces or commas between", secret=True),
    Setting("RECONCILER_HEARTBEAT_URL", "fetched (GET) after an `apply` that ended with 0", secret=True),
    Setting("RECONCILER_PAUSED", "true: nothing is written to Intercom, whatever `resume` says", "false"),
)

SHORTEST_RETENTION = 14
"""Days. Plans of the last week are the memory of the limits (core/history.py), and must be whole to be undone."""

_BY_NAME = {setting.name: setting for setting in SETTINGS}
_AWS = "AWS_"
_TRUE = ("1", "true", "yes", "on")
_FALSE = ("0", "false", "no", "off")
_NO_SOURCE = (
    "No source is set. One of these is wanted: RECONCILER_SOURCE (`supabase`, or a SQLAlchemy URL), "
    "MYSQL_URL, or MYSQL_HOST with MYSQL_USER, MYSQL_PASSWORD and MYSQL_DATABASE."
)
_MIRROR_OF_ITSELF = "The positions table would be a mirror of itself: both sides are the same Supabase project."
_NAME_ANOTHER = "Name the union's own database with MYSQL_URL, MYSQL_HOST and the others, or RECONCILER_SOURCE."
_SET_IT = "Set it in the environment or in .env; the README lists every setting."
_CORRECT_IT = "Correct it in the environment or in .env, then run the command again."


class Secret:
    """A value that shows itself to nobody but the caller of `reveal`.

    Text forms are `***`; it can be neither pickled nor encoded by msgspec or json.
    """

    __slots__ = ("__value",)

    def __init__(self, value: str) -> None:
        self.__value = value

    def reveal(self) -> str:
        """The value itself: for the one call that needs it, never for a log, an error or a file."""
        return self.__value

    def __repr__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(
            self.__value.encode(errors="surrogateescape"), other.__value.encode(errors="surrogateescape")
        )

    def __hash__(self) -> int:
        return hash(self.__value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret can be neither pickled nor copied")


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


_Value = TypeVar("_Value", Secret, str)

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
    intercom_cursors: bool
    """Whether contacts are read by several search cursors."""
    """Whether many updates may go in bulk, through the Preview API."""
    source_chosen: SourceSetting | None
    source_missing: tuple[str, ...] = field(repr=False)
    """Where `source_chosen` is None: one line for each variable that is not set."""
    supabase_url: str | None
    supabase_key: Secret | None
    mysql: SourceSetting | None
    """What MYSQL_* name, whatever RECONCILER_SOURCE says."""
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
        if self.supabase_url is not None and _is_inside(found.url.reveal(), self.supabase_url):
            raise SettingsError(
                f"{found.variable} is the database of SUPABASE_URL. {_MIRROR_OF_ITSELF}", next_step=_NAME_ANOTHER
            )
        return found

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
                return () if self.mysql is not None else self.source_missing
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
        return tuple(_not_set(name) for name, value in there.items() if not value)


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
    read = _Values({**(_read_dotenv(dotenv) if dotenv is not None else {}), **environ})
    chosen, missing, mysql = _source(read)
    settings = Settings(
        intercom_access_token=read.token("INTERCOM_ACCESS_TOKEN"),
        intercom_token_issued=read.day("INTERCOM_TOKEN_ISSUED"),
        intercom_base_url=read.address("INTERCOM_BASE_URL", bare=True) or "",
        intercom_client_secrets=read.tokens("INTERCOM_CLIENT_SECRET"),
        intercom_rate_limit=read.number("INTERCOM_RATE_LIMIT", most=1_000_000),
        intercom_cursors=read.shaped("INTERCOM_SNAPSHOT", "list|cursors", "list or cursors") == "cursors",
        intercom_bulk=read.shaped("INTERCOM_BULK", "off|preview", "off or preview") == "preview",
        source_chosen=chosen,
        source_missing=missing,
        supabase_url=read.address("SUPABASE_URL", bare=True),
        supabase_key=read.token("SUPABASE_KEY"),
        mysql=mysql,
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
        heartbeat_url=_secret(read.address("RECONCILER_HEARTBEAT_URL", bare=False)),
        paused=read.flag("RECONCILER_PAUSED"),
    )
    return settings, {name: read.problems[name] for name in _BY_NAME if name in read.problems}


def _source(read: _Values) -> tuple[SourceSetting | None, tuple[str, ...], SourceSetting | None]:
    """The source that is set, or one line for each variable that keeps it from being complete; and MYSQL_* alone."""
    named = read.text("RECONCILER_SOURCE")
    supabase = (read.address("SUPABASE_URL", bare=True), read.token("SUPABASE_KEY"))
    mysql_url = read.secret("MYSQL_URL", r"(mysql|mariadb)(\+\w+)?://\S+", "a URL that starts with mysql://")
    parts, lacking = _mysql_parts(read)
    if mysql_url is not None or read.text("MYSQL_URL") is not None:
        parts, lacking = _database(mysql_url, "mysql", "MYSQL_URL"), ()
    if named == "supabase":
        url, key = supabase
        if url and key:
            return SupabaseSource(url=url, key=key), (), parts
        missing = (("SUPABASE_URL", url), ("SUPABASE_KEY", key))
        return None, tuple(_not_set(name) for name, value in missing if not value), parts
    if named is not None:
        shaped = read.secret("RECONCILER_SOURCE", r"[a-z][a-z0-9]*(\+\w+)?://.*", "`supabase` or a SQLAlchemy URL")
        return _database(shaped, "sql", "RECONCILER_SOURCE"), (), parts
    return parts, lacking, parts


def _is_inside(database: str, project: str) -> bool:
    """Whether a database is the one of a Supabase project, by its own host or by the user of the pooler.

    `db.REF.supabase.co`, or the user `postgres.REF` (Supabase documentation, "Connect to your database").
    """
    reference, _, host = (urlsplit(project).hostname or "").partition(".")
    try:
        parts = urlsplit(database)
        named, user = parts.hostname or "", parts.username or ""
    except ValueError:
        return False  # no URL that anything can be read from: whoever opens it says so
    return host == "supabase.co" and (named == f"db.{reference}.{host}" or user.endswith(f".{reference}"))


def _database(url: Secret | None, shape: Literal["sql", "mysql"], variable: str) -> DatabaseSource | None:
    return None if url is None else DatabaseSource(url=url, shape=shape, variable=variable)


def _mysql_parts(read: _Values) -> tuple[SourceSetting | None, tuple[str, ...]]:
    host = read.shaped("MYSQL_HOST", r"[\w.-]+|\[?[0-9A-Fa-f:.]+\]?", "a host name or an IP address")
    port = read.number("MYSQL_PORT", most=65_535)
    user = read.text("MYSQL_USER")
    password = read.exact("MYSQL_PASSWORD")
    database = read.shaped("MYSQL_DATABASE", r"[^\s/?#\\]+", "the plain name of a database")
    if not (host or user or password or database):
        return None, (_NO_SOURCE,)
    if host is None or user is None or password is None or database is None:
        given = {"MYSQL_HOST": host, "MYSQL_USER": user, "MYSQL_PASSWORD": password, "MYSQL_DATABASE": database}
        return None, tuple(_not_set(name) for name, value in given.items() if value is None)
    address = f"[{host.strip('[]')}]" if ":" in host else host
    url = f"mysql://{quote(user, safe='')}:{quote(password, safe='')}@{address}:{port}/{database}"
    return DatabaseSource(url=Secret(url), shape="mysql", variable="MYSQL_HOST"), ()


class _Values:
    """The variables as written; each reader notes what is malformed and returns something of the right type."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: dict[str, str] = {}

    def exact(self, name: str) -> str | None:
        """As written, an empty value included: passwords may be empty, and may begin with a space."""
        # By way of the table, so that a variable it does not list cannot be read.
        return self._values.get(_BY_NAME[name].name)

    def text(self, name: str) -> str | None:
        """Trimmed (a pasted value often ends in a line break), or the default; None where neither is there."""
        return (self.exact(name) or "").strip() or _BY_NAME[name].default or None

    def starting_with(self, prefix: str) -> tuple[tuple[str, str], ...]:
        return tuple((name, value) for name, value in sorted(self._values.items()) if name.startswith(prefix) and value)

    def shaped(self, name: str, pattern: str, wanted: str) -> str | None:
        """Text that as a whole fits `pattern`."""
        text = self.text(name)
        if text is None or re.fullmatch(pattern, text):
            return text
        self._wrong(name, wanted)
        return None

    def secret(self, name: str, pattern: str = r"[^\x00-\x1f]+", wanted: str = "one line of text") -> Secret | None:
        return _secret(self.shaped(name, pattern, wanted))

    def token(self, name: str) -> Secret | None:
        """One word of printable ASCII: it goes into an HTTP header."""
        return self.secret(name, r"[\x21-\x7e]+", "one word, without spaces or quotes around it")

    def tokens(self, name: str) -> tuple[Secret, ...]:
        text = self.shaped(name, r"[\x21-\x7e]+(\s*,\s*[\x21-\x7e]+)*", "one word, or two with a comma between")
        return tuple(Secret(word) for part in (text or "").split(",") if (word := part.strip()))

    def number(self, name: str, *, most: int) -> int | None:
        text = self.text(name)
        if text is None:
            return None
        if re.fullmatch(r"[0-9]{1,9}", text) and 0 < int(text) <= most:
            return int(text)
        self._wrong(name, f"a whole number from 1 to {most}")
        return None

    def day(self, name: str) -> date | None:
        text = self.text(name)
        try:
            return None if text is None else date.fromisoformat(text)
        except ValueError:
            self._wrong(name, "a day as in 2026-11-24")
            return None

    def days(self, name: str, *, least: int) -> timedelta | None:
        text = self.shaped(name, r"[1-9][0-9]{0,4}d", f"a number of days of at least {least}, e.g. 400d")
        if text is None or int(text[:-1]) >= least:
            return None if text is None else timedelta(days=int(text[:-1]))
        self._wrong(name, f"a number of days of at least {least}, e.g. 400d")
        return None

    def flag(self, name: str) -> bool:
        text = (self.text(name) or "").lower()
        if text not in _TRUE + _FALSE:
            self._wrong(name, "true or false")
        return text in _TRUE

    def address(self, name: str, *, bare: bool) -> str | None:
        """An https URL (http for this machine only); with `bare`, scheme, host and port and nothing else."""
        text = self.text(name)
        if text is None:
            return None
        parts = _split(text)
        if parts is None or not _is_safe(parts):
            self._wrong(name, "an https:// URL without user or password (http:// for this machine only)")
            return None
        if not bare:
            return text
        if parts.path.strip("/") or parts.query or parts.fragment:
            self._wrong(name, "a URL of scheme and host only, e.g. https://api.intercom.io")
            return None
        return f"{parts.scheme}://{parts.netloc}"

    def _wrong(self, name: str, wanted: str) -> None:
        self.problems[name] = f"{name} is malformed: wanted is {wanted}."


def _split(text: str) -> SplitResult | None:
    """The parts of a URL whose host and port are beyond doubt; None for any other text."""
    # urlsplit drops tabs and line breaks and lets backslashes through: two readers would see two hosts.
    if re.search(r"[\s\\\x00-\x1f\x7f]", text):
        return None
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if (
        not host
        or port == 0
        or not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]+)?|\[[0-9A-Fa-f:.]+\](:[0-9]+)?", parts.netloc)
    ):
        return None
    return parts


def _is_safe(parts: SplitResult) -> bool:
    return parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


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


def _secret(text: str | None) -> Secret | None:
    return None if text is None else Secret(text)


def _there(value: _Value | None, name: str) -> _Value:
    if value is None:
        raise SettingsError(_not_set(name), next_step=_SET_IT)
    return value


def _not_set(name: str) -> str:
    return f"{name} is not set: wanted is {_BY_NAME[name].means}."
