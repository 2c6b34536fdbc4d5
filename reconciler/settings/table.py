"""The table of the settings: what each is called, what it means, what stands in for it, and whether it is secret.

The reference (docs/reference/settings.md) is written from it, and what it does not list cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass


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

BY_NAME = {setting.name: setting for setting in SETTINGS}


def not_set(name: str) -> str:
    """The line for a variable that is wanted and not there."""
    return f"{name} is not set: wanted is {BY_NAME[name].means}."
