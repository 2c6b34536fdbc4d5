"""Checks of what was set up: settings, rules, who is told, webhooks, the age of the token."""

from __future__ import annotations

from reconciler.core.health import Check, amber, green, red
from reconciler.doctor.around import Around
from reconciler.doctor.words import ago, listed
from reconciler.runs.silence import SILENT_AFTER

ROTATE_AFTER = 90
"""Days after which a token is to be replaced (docs/runbook.md)."""

REMIND_AFTER = 80
"""Days after which the doctor reminds of it."""

_WEBHOOK = "docs/runbook.md, `The webhook is silent`."

_SET_IT = "Set it; docs/reference/settings.md has them all."
_ROTATE = (
    "Make a new token in Intercom's Developer Hub, set INTERCOM_ACCESS_TOKEN and INTERCOM_TOKEN_ISSUED, and run "
    "`reconcile doctor` again."
)


def settings(around: Around) -> Check:
    """Everything that a night cannot do without is set, and nothing is malformed."""
    lines = (*around.malformed.values(), *around.settings.lacking("source", "intercom"))
    if lines:
        return red("settings", " ".join(lines), _SET_IT)
    return green("settings", "all that a night needs is set")


def rules(around: Around) -> Check:
    """The rule files can be used."""
    found = around.rules.value(asks="rules")
    return green("rules", f"{around.settings.rules} is sound (sha256 {found.sha256[:12]})")


def webhook(around: Around) -> Check:
    """Webhooks can be checked for their signature, and come in."""
    secrets, token = around.settings.intercom_client_secrets, around.settings.api_token
    unset = [
        name for name, value in (("INTERCOM_CLIENT_SECRET", secrets), ("RECONCILER_API_TOKEN", token)) if not value
    ]
    if unset:
        whom = "Intercom alone" if secrets else "nobody"
        return amber("webhook", f"{listed(unset)} not set: the web service answers {whom}", _SET_IT)
    books = around.books.value(asks="webhook")
    newest = books.heard.newest
    if newest is None:
        return amber("webhook", "the secrets are set; no event has come in yet", _WEBHOOK)
    if around.now - newest > SILENT_AFTER:
        return amber("webhook", f"silent: the newest event came {ago(newest, around.now)}", _WEBHOOK)
    if books.given_up:
        return amber("webhook", f"{books.given_up} events were given up after their last try", _WEBHOOK)
    return green("webhook", f"the secrets are set; the newest event came {ago(newest, around.now)}")


def notify(around: Around) -> Check:
    """Somebody hears of a bad night, and misses one that never ran."""
    unset = [
        name
        for name, value in (
            ("RECONCILER_NOTIFY", around.settings.notify),
            ("RECONCILER_HEARTBEAT_URL", around.settings.heartbeat_url),
        )
        if value is None
    ]
    if unset:
        return amber("notify", f"{listed(unset)} not set: a bad night may go unnoticed", _SET_IT)
    return green("notify", "alerts and the heartbeat have somewhere to go")


def token_age(around: Around) -> Check:
    """The token is replaced every 90 days. No call of Intercom's tells its age."""
    issued = around.settings.intercom_token_issued
    if issued is None:
        return amber(
            "token-age",
            "unknown, as INTERCOM_TOKEN_ISSUED is not set",
            "Set it to the day the token was made, as in 2026-11-24.",
        )
    days = (around.now.date() - issued).days
    if days < 0:
        return amber("token-age", f"INTERCOM_TOKEN_ISSUED is {-days} days ahead", "Set it to the day it was made.")
    says = f"{days} days old"
    if days > ROTATE_AFTER:
        return red("token-age", f"{says}, over {ROTATE_AFTER}", _ROTATE)
    if days > REMIND_AFTER:
        return amber("token-age", f"{says}; after {ROTATE_AFTER} it is to be replaced", _ROTATE)
    return green("token-age", says)
