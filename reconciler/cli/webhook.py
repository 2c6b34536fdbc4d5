"""`reconcile webhook`: what is good for trying the web service out."""

from __future__ import annotations

import asyncio
import uuid

import click

from reconciler import from_settings
from reconciler.cli import terminal
from reconciler.settings import Settings, settings_here
from reconciler.web.send import SENDABLE, check_address, notification_of, send

ADDRESS = "http://127.0.0.1:8080/api/intercom/webhook"


@click.group("webhook")
def command() -> None:
    """Try the web service out."""


@command.command("send", short_help="Send the service one event, signed as Intercom signs.")
@click.argument("topic", type=click.Choice(SENDABLE), metavar="TOPIC")
@click.option("--url", default=ADDRESS, show_default=True, help="The service; https, or on this machine.")
@click.option("--contact", default="", metavar="ID", help="The contact it is about.")
@click.option("--conversation", default="test", show_default=True, metavar="ID", help="The conversation it is about.")
@click.option("--tag", default=None, metavar="ID", help="The tag that was added.")
@click.option("--workspace", default=None, metavar="ID", help="Its workspace; else Intercom is asked for ours.")
def send_command(
    *, topic: str, url: str, contact: str, conversation: str, tag: str | None, workspace: str | None
) -> None:
    """Send an event to the service, signed as Intercom signs: TOPIC is one of those that are acted on, or ping.

    The service treats it like any other: what is wrong with that contact is put right.
    """
    settings = settings_here()
    (secret, *_) = settings.client_secrets()
    check_address(url)
    identity = f"notif_test_{uuid.uuid4()}"
    app = workspace or asyncio.run(_our_workspace(settings))
    body = notification_of(
        topic,
        identity=identity,
        app=app,
        now=int(terminal.now().timestamp()),
        contact=contact,
        conversation=conversation,
        tag=tag,
    )
    click.echo(f"{identity}: {send(body, url=url, secret=secret)}")


async def _our_workspace(settings: Settings) -> str:
    settings.require("intercom")
    async with from_settings.open_target(settings, from_settings.read_rules(settings.rules)) as target:
        return (await target.reader.workspace()).id
