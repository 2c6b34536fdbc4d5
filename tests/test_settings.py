"""Settings: what is read, what is refused, and that no secret is ever shown."""

from __future__ import annotations

import ast
import copy
import dataclasses
import json
import pickle
import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from sqlalchemy.engine import make_url
from syrupy.assertion import SnapshotAssertion

import reconciler
from reconciler.errors import SettingsError
from reconciler.settings import (
    SETTINGS,
    DatabaseSource,
    Need,
    Secret,
    Settings,
    SupabaseSource,
    load_settings,
    settings_here,
)

OF_THE_ENVIRONMENT = {"environ", "environb", "getenv", "getenvb"}
CANARY = "k4narienvogel"
MYSQL = {"MYSQL_HOST": "db.union.org", "MYSQL_USER": "reader", "MYSQL_PASSWORD": "p", "MYSQL_DATABASE": "union"}

GOOD = {
    "INTERCOM_ACCESS_TOKEN": "dG9rOjEyMw==",
    "INTERCOM_TOKEN_ISSUED": "2026-11-24",
    "INTERCOM_BASE_URL": "https://api.eu.intercom.io",
    "INTERCOM_CLIENT_SECRET": "s1,s2",
    "INTERCOM_RATE_LIMIT": "800",
    "INTERCOM_SNAPSHOT": "cursors",
    "INTERCOM_BULK": "preview",
    "SUPABASE_URL": "https://abc.supabase.co",
    "SUPABASE_KEY": "key",
    "MYSQL_URL": "mysql://u:p@h/d",
    "MYSQL_HOST": "other",
    "MYSQL_PORT": "3307",
    "MYSQL_USER": "other",
    "MYSQL_PASSWORD": "other",
    "MYSQL_DATABASE": "other",
    "RECONCILER_SOURCE": "sqlite:///union.db",
    "RECONCILER_RULES": "elsewhere/rules",
    "RECONCILER_PLANS": "s3://bucket/prefix",
    "RECONCILER_PLAN_RETENTION": "400d",
    "AWS_ENDPOINT_URL": "https://fra1.digitaloceanspaces.com",
    "RECONCILER_STATE_URL": "postgresql://u:p@h/d",
    "RECONCILER_API_TOKEN": "api",
    "RECONCILER_REDACT_KEY": "one-word-of-22-letters",
    "RECONCILER_PUBLIC_URL": "https://reconciler.union.example",
    "RECONCILER_NOTIFY": "slack://a/b/c",
    "RECONCILER_HEARTBEAT_URL": "https://hc-ping.com/uuid",
    "RECONCILER_PAUSED": "true",
}
"""A good value for every variable, none of them its default."""


def load(**environ: str) -> Settings:
    """The settings of an environment that holds these variables and nothing else."""
    return load_settings(environ, dotenv=None)


def error_of(call: Callable[[], object]) -> SettingsError:
    """The SettingsError that a call ends in."""
    with pytest.raises(SettingsError) as caught:
        call()
    return caught.value


# the table


def test_every_variable_of_the_table_is_read() -> None:
    """The documentation is made from the table. (A variable beside it cannot be read: that is a KeyError.)"""
    base = {
        "MYSQL_PORT": MYSQL,
        "MYSQL_PASSWORD": MYSQL,
        "MYSQL_USER": MYSQL,
        "MYSQL_DATABASE": MYSQL,
        "MYSQL_HOST": MYSQL,
    }
    base |= {name: {**GOOD, "RECONCILER_SOURCE": "supabase"} for name in ("SUPABASE_URL", "SUPABASE_KEY")}
    for name, value in GOOD.items():
        before = {other: text for other, text in base.get(name, {}).items() if other != name}
        assert load_settings(before, dotenv=None) != load_settings({**before, name: value}, dotenv=None), name
    assert [setting.name for setting in SETTINGS] == [re.sub("^AWS_.*", "AWS_*", name) for name in GOOD]


def test_defaults_of_the_table_are_the_defaults() -> None:
    """What the documentation calls the default is what happens."""
    plain = {setting.name: setting.default for setting in SETTINGS if setting.default}
    assert load() == load_settings(plain, dotenv=None)


def test_nothing_else_reads_the_environment() -> None:
    """Under none of the names that `os` has for it: what the table does not list has no effect."""
    package = Path(reconciler.__file__).parent
    readers = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in OF_THE_ENVIRONMENT)
        or (isinstance(node, ast.ImportFrom) and {one.name for one in node.names} & OF_THE_ENVIRONMENT)
    }
    assert readers == {"settings/reading.py"}


def test_an_empty_environment_is_enough_to_begin() -> None:
    """Commands that touch nothing outside (rules check, show) need no setting at all."""
    settings = load()
    assert settings.intercom_base_url == "https://api.intercom.io"
    assert (settings.rules, settings.plans, settings.paused) == (Path("rules"), "plans", False)
    assert (settings.intercom_rate_limit, settings.intercom_bulk, settings.intercom_cursors) == (None, False, False)
    settings.require()


# .env


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """What is set for one run stands above what is kept in a folder; an empty variable switches a value off."""
    path = tmp_path / ".env"
    path.write_text(
        "# of the union\nexport INTERCOM_RATE_LIMIT=500\nINTERCOM_ACCESS_TOKEN='from file'\n"
        "RECONCILER_API_TOKEN=file # why\n"
        'RECONCILER_RULES="a $HOME/${X} b"\nAWS_REGION=fra1\n',
        encoding="utf-8",
    )
    settings = load_settings({"INTERCOM_ACCESS_TOKEN": "environment", "INTERCOM_RATE_LIMIT": ""}, dotenv=path)
    assert settings.token().reveal() == "environment"
    assert settings.intercom_rate_limit is None
    assert settings.api().reveal() == "file"
    assert settings.rules == Path("a $HOME/${X} b"), "nothing is put in for names in braces"
    assert settings.aws["AWS_REGION"].reveal() == "fra1"


def test_no_file_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`.env` is a convenience; containers have none. It is looked for in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERCOM_RATE_LIMIT", "7")
    assert settings_here().intercom_rate_limit == 7
    (tmp_path / ".env").write_text("RECONCILER_PLANS=kept", encoding="utf-8")
    assert settings_here().plans == "kept"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (f"A=1\n{CANARY}\nB='{CANARY}\n".encode(), ".env:2: this is not NAME=value.\n.env:3: this is not NAME=value."),
        (f"A={CANARY}\xff".encode("latin-1"), ".env cannot be read: it is not UTF-8 text."),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_that_shows_none_of_it(
    tmp_path: Path, content: bytes, says: str
) -> None:
    """A line that is skipped in silence is a setting that somebody believes to be in force."""
    path = tmp_path / ".env"
    path.write_bytes(content)
    error = error_of(lambda: load_settings({}, dotenv=path))
    assert str(error) == says
    assert CANARY not in "".join(traceback.format_exception(error))


# what is malformed

MALFORMED = {
    "INTERCOM_ACCESS_TOKEN": (f"two {CANARY}", f'"{CANARY}\N{RIGHT DOUBLE QUOTATION MARK}', f"{CANARY}\nx"),
    "INTERCOM_TOKEN_ISSUED": (CANARY, "24.11.2026", "2026-13-01", "2026-02-30"),
    "INTERCOM_BASE_URL": (
        f"http://{CANARY}.example.org",
        f"https://user:{CANARY}@api.intercom.io",
        f"https://api.intercom.io/{CANARY}",
        f"https://api.intercom.io?{CANARY}",
        f"https://api.intercom.io\\@{CANARY}.org",
        f"https://api.intercom.io:{CANARY}",
        "https://api.intercom.io:0",
        "https://api.intercom.io:99999",
        f"https://{CANARY}\u3002org",
        "http://127.0.0.1.example.org",
        f"ftp://{CANARY}",
        CANARY,
        "https://",
        "https://[::1",
    ),
    "INTERCOM_CLIENT_SECRET": (f"{CANARY} x", f"{CANARY},,x y"),
    "INTERCOM_RATE_LIMIT": ("0", "-1", "1.5", "1e3", CANARY, "\u0661", "1000001"),
    "INTERCOM_SNAPSHOT": ("search", "List", CANARY),
    "INTERCOM_BULK": ("on", "Preview", "true", CANARY),
    "SUPABASE_URL": (f"http://{CANARY}.org", f"https://u:{CANARY}@x.org"),
    "SUPABASE_KEY": (f"{CANARY} x",),
    "MYSQL_URL": (f"postgresql://u:{CANARY}@h/d", CANARY),
    "MYSQL_HOST": (f"h/{CANARY}", f"u:{CANARY}@h", "h h"),
    "MYSQL_PORT": ("65536", "0", CANARY),
    "MYSQL_DATABASE": (f"a?{CANARY}", f"a/{CANARY}"),
    "RECONCILER_SOURCE": (CANARY, "Supabase"),
    "RECONCILER_PLANS": (f"gs://{CANARY}", "s3://"),
    "RECONCILER_PLAN_RETENTION": ("400", "13d", "0d", "-400d", "1y", "100000d", "\u0664\u0660\u0660d", CANARY),
    "RECONCILER_STATE_URL": (f"mysql://u:{CANARY}@h/d", CANARY),
    "RECONCILER_API_TOKEN": (f"{CANARY} x",),
    "RECONCILER_PUBLIC_URL": (f"http://{CANARY}.org", f"https://{CANARY}.org/path", CANARY),
    "RECONCILER_NOTIFY": (f"slack://a\n{CANARY}",),
    "RECONCILER_HEARTBEAT_URL": (f"http://{CANARY}.org", CANARY),
    "RECONCILER_PAUSED": ("ture", "2", CANARY),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in MALFORMED.items() for value in values])
def test_a_malformed_value_is_one_line_that_names_the_variable_and_not_the_value(name: str, value: str) -> None:
    """The person who reads it knows which variable and what is wanted; the log that keeps it knows no secret."""
    error = error_of(lambda: load(**{name: value}))
    assert re.fullmatch(rf"{name} is malformed: wanted is .+\.", str(error))
    assert error.next_step
    assert CANARY not in "".join(traceback.format_exception(error))


def test_all_malformed_values_are_reported_at_once(snapshot: SnapshotAssertion) -> None:
    """One run is enough to know everything that has to be corrected."""
    assert snapshot == str(error_of(lambda: load(**{name: values[0] for name, values in MALFORMED.items()})))


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("https://api.eu.intercom.io/", "https://api.eu.intercom.io"),
        (" https://api.intercom.io:8443\n", "https://api.intercom.io:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_base_url_is_https_or_this_machine(value: str, kept: str) -> None:
    """The token goes to this host: in the clear only where nobody else can listen (the simulator)."""
    assert load(INTERCOM_BASE_URL=value).intercom_base_url == kept


@pytest.mark.parametrize(
    ("value", "paused"), [("", False), ("0", False), ("No", False), ("1", True), ("TRUE ", True), ("on", True)]
)
def test_paused_is_said_in_the_usual_words(value: str, paused: bool) -> None:
    """The emergency stop is set in haste."""
    assert load(RECONCILER_PAUSED=value).paused is paused


def test_two_client_secrets_count_during_rotation() -> None:
    """Webhooks signed with the old secret still arrive while the new one is put in place."""
    settings = load(INTERCOM_CLIENT_SECRET=" old , new ")
    assert [secret.reveal() for secret in settings.client_secrets()] == ["old", "new"]


# the source


def test_reconciler_source_wins_then_mysql_url_then_the_parts() -> None:
    """One order, written in the design: what is named most directly counts."""
    parts = load(**MYSQL).source()
    url = load(**MYSQL, MYSQL_URL="mysql://u:p@h/d").source()
    named = load(**MYSQL, MYSQL_URL="mysql://u:p@h/d", RECONCILER_SOURCE="sqlite:///x.db").source()
    assert parts == DatabaseSource(Secret("mysql://reader:p@db.union.org:3306/union"), "mysql", "MYSQL_HOST")
    assert url == DatabaseSource(Secret("mysql://u:p@h/d"), "mysql", "MYSQL_URL")
    assert named == DatabaseSource(Secret("sqlite:///x.db"), "sql", "RECONCILER_SOURCE")


def test_supabase_is_a_word_and_needs_address_and_key() -> None:
    """The source that has no URL of SQLAlchemy's."""
    settings = load(RECONCILER_SOURCE="supabase", SUPABASE_URL="https://abc.supabase.co/", SUPABASE_KEY="k")
    assert settings.source() == SupabaseSource(url="https://abc.supabase.co", key=Secret("k"))


@pytest.mark.parametrize("password", ["", " with spaces ", "a@b/c:d?e#f%20", "pä€5"])
@pytest.mark.parametrize("host", ["db.union.org", "10.0.0.5", "[fd00::1]", "fd00::1"])
def test_parts_make_a_url_that_reads_back_the_same(password: str, host: str) -> None:
    """Passwords hold every character that means something in a URL."""
    source = load(**{**MYSQL, "MYSQL_PASSWORD": password, "MYSQL_USER": "u@x", "MYSQL_HOST": host}).source()
    assert isinstance(source, DatabaseSource)
    url = make_url(source.url.reveal())
    assert (url.username, url.password or "", url.host) == ("u@x", password, host.strip("[]"))
    assert (url.port, url.database) == (3306, "union")


@pytest.mark.parametrize(
    ("environ", "variable", "reason"),
    [
        ({"MYSQL_URL": "mysql://u:p@h/d"}, "MYSQL_URL", "the union's own database"),
        ({"RECONCILER_SOURCE": "sqlite:///x.db"}, "RECONCILER_SOURCE", "or whatever database the source is"),
        (
            {"RECONCILER_SOURCE": "sqlite:///x.db", "MYSQL_URL": "mysql://u:p@h/d"},
            "RECONCILER_SOURCE",
            "which wins here too",
        ),
        (
            {"RECONCILER_SOURCE": "supabase", "MYSQL_URL": "mysql://u:p@h/d"},
            "MYSQL_URL",
            "unless it is Supabase itself",
        ),
        ({"RECONCILER_SOURCE": "supabase"}, None, "which would be a mirror of itself"),
        ({"RECONCILER_SOURCE": "postgresql://postgres:p@db.abc.supabase.co/postgres"}, None, "also by its own host"),
        (
            {"RECONCILER_SOURCE": "postgresql://postgres.abc:p@aws-0-eu.pooler.supabase.com:6543/postgres"},
            None,
            "or through its pooler",
        ),
        (
            {"RECONCILER_SOURCE": "postgresql://postgres:p@db.other.supabase.co/postgres"},
            "RECONCILER_SOURCE",
            "another project is another database",
        ),
    ],
)
def test_what_the_positions_table_mirrors(environ: dict[str, str], variable: str | None, reason: str) -> None:
    """The source, unless that is the very project whose table is written."""
    project = {"SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_KEY": "k"}
    settings = load(**project, **environ)
    if variable is None:
        assert "both sides are the same Supabase project" in str(error_of(settings.positions_source)), reason
    else:
        assert settings.positions_source().variable == variable, reason
    assert settings.supabase() == SupabaseSource(url="https://abc.supabase.co", key=Secret("k"))


def test_half_of_a_database_beside_supabase_is_told_by_what_it_lacks() -> None:
    """Who began to name the union's own database meant it: that it is missing altogether would be no help."""
    project = {"RECONCILER_SOURCE": "supabase", "SUPABASE_URL": "https://abc.supabase.co", "SUPABASE_KEY": "k"}
    half = load(**project, MYSQL_HOST="h", MYSQL_USER="u", MYSQL_DATABASE="d")
    for ask in (half.positions_source, half.other_source, lambda: half.require("positions-source")):
        assert str(error_of(ask)).startswith("MYSQL_PASSWORD is not set")
    half.require("source")
    ignored = load(MYSQL_HOST="h", RECONCILER_SOURCE="sqlite:///union.db")
    assert ignored.positions_source().variable == "RECONCILER_SOURCE"


@pytest.mark.parametrize(
    ("environ", "variable"),
    [
        ({"MYSQL_URL": "mysql://u:p@h/d"}, None),
        ({"RECONCILER_SOURCE": "sqlite:///x.db", "MYSQL_URL": "mysql://u:p@h/d"}, None),
        ({"RECONCILER_SOURCE": "supabase"}, None),
        ({"RECONCILER_SOURCE": "supabase", "MYSQL_URL": "mysql://u:p@h/d"}, "MYSQL_URL"),
    ],
)
def test_a_second_source_is_there_only_beside_supabase(environ: dict[str, str], variable: str | None) -> None:
    """Every other source feeds contacts and positions alike."""
    found = load(SUPABASE_URL="https://abc.supabase.co", SUPABASE_KEY="k", **environ).other_source()
    assert (None if found is None else found.variable) == variable


@pytest.mark.parametrize(
    ("environ", "needs"),
    [
        ({}, ("intercom", "source", "webhook", "api", "public-url")),
        ({"MYSQL_HOST": "h"}, ("source",)),
        ({"MYSQL_USER": "u", "MYSQL_PASSWORD": ""}, ("source", "source")),
        ({"RECONCILER_SOURCE": "supabase"}, ("source", "intercom")),
    ],
)
def test_all_that_a_command_lacks_is_reported_at_once(
    environ: dict[str, str], needs: tuple[Need, ...], snapshot: SnapshotAssertion
) -> None:
    """One line for each variable, with what it is, and the ways to set a source."""
    error = error_of(lambda: load(**environ).require(*needs))
    assert snapshot == f"{error}\n{error.next_step}"


def test_what_is_asked_for_is_there_or_an_error() -> None:
    """A command that asks gets a value or one clear line; never None in the middle of a run."""
    asked: dict[Need, Callable[[Settings], object]] = {
        "intercom": Settings.token,
        "source": Settings.source,
        "supabase": Settings.supabase,
        "positions-source": Settings.positions_source,
        "webhook": Settings.client_secrets,
        "api": Settings.api,
        "public-url": Settings.service_url,
    }
    assert tuple(asked) == get_args(Need)
    for need, ask in asked.items():
        assert str(error_of(lambda ask=ask: ask(load()))) == str(error_of(lambda need=need: load().require(need)))  # type: ignore[misc]
        settings = load_settings(GOOD, dotenv=None)
        settings.require(need)
        assert ask(settings)


# secrets


def test_a_secret_shows_itself_to_nobody() -> None:
    """Logs, tracebacks and debuggers print whatever they hold."""
    secret = Secret(CANARY)
    texts = (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r:>9}",
        f"{secret:>9}",
        " ".join(map(str, [secret])),
        str({"token": secret}),
        repr([secret]),
    )
    assert all("***" in text and CANARY not in text for text in texts)
    assert not hasattr(secret, "__dict__")
    assert secret.reveal() == CANARY


@pytest.mark.parametrize(
    "encode",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        json.dumps,
        msgspec.json.encode,
        msgspec.msgpack.encode,
        msgspec.to_builtins,
    ],
)
def test_a_secret_cannot_leave_as_data(encode: Callable[[object], object]) -> None:
    """What cannot be encoded cannot end up in a plan, a cache or another process by mistake."""
    with pytest.raises(TypeError) as caught:
        encode(Secret(CANARY))
    assert CANARY not in str(caught.value)
    with pytest.raises(TypeError):
        encode({"settings": load(INTERCOM_ACCESS_TOKEN=CANARY)} if encode is not copy.copy else Secret(CANARY))


def test_secrets_are_compared_by_value() -> None:
    """Two settings are equal where their secrets are, without anybody looking."""
    assert Secret("pä€") == Secret("pä€")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("\udcff") == Secret("\udcff"), "bytes of the environment that are not UTF-8"


def test_settings_show_no_secret() -> None:
    """Every variable that the table calls secret, in every text form of the settings and of an error under them."""
    secret = {setting.name for setting in SETTINGS if setting.secret}
    hidden = {
        name: (value if name not in secret and not name.startswith("AWS_") else f"{value}{CANARY}")
        for name, value in GOOD.items()
    }
    for source in (hidden["RECONCILER_SOURCE"], "supabase", ""):
        settings = load_settings({**hidden, "RECONCILER_SOURCE": source}, dotenv=None)
        error = error_of(lambda settings=settings: _fail_with(settings))  # type: ignore[misc]
        shown = traceback.TracebackException.from_exception(error, capture_locals=True)
        inner = shown.stack[-1].locals or {}
        assert CANARY not in f"{settings} {settings!r} {settings.source()!r} {inner} {error!r}"


def _fail_with(settings: Settings) -> None:
    source = settings.source()
    raise SettingsError(f"{settings} {source}")


def test_settings_cannot_be_changed() -> None:
    """What was checked stays what is used."""
    settings = load(AWS_REGION="fra1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.paused = True  # type: ignore[misc]
    with pytest.raises(TypeError):
        settings.aws["AWS_REGION"] = Secret("x")  # type: ignore[index]
