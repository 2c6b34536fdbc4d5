"""The service as the settings name it: the one place where its receiving and its handling half are joined."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import TYPE_CHECKING

from reconciler import controller
from reconciler.settings import Settings
from reconciler.web.service import Service

if TYPE_CHECKING:
    from reconciler.web.events import Handler
    from reconciler.web.lookup import LookUp


def open_service(settings: Settings) -> Service:
    """The service. Nothing is connected yet. Raises SettingsError or RulesError."""
    settings.require("webhook", "intercom", "source")
    rules = controller.read_rules(settings.rules)

    async def workspace() -> str:
        async with controller.open_target(settings, rules) as target:
            return (await target.reader.workspace()).id

    # By name: the handling half is a module of its own, and tests of this one bring another handler.
    handling = import_module("reconciler.web.handling")
    open_handler: Callable[[Settings], AbstractAsyncContextManager[Handler]] = handling.open_handler
    open_look_up: Callable[[Settings], LookUp] = handling.open_look_up
    return Service(
        database=controller.open_state(settings),
        open_handler=lambda: open_handler(settings),
        look_up=open_look_up(settings),
        workspace=workspace,
        secrets=settings.client_secrets(),
        api_token=settings.api_token,
        is_paused=settings.paused,
    )
