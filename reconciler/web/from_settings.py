"""The service as the settings name it: the one place where its receiving and its handling half are joined."""

from __future__ import annotations

from reconciler import from_settings
from reconciler.settings import Settings
from reconciler.web.handling import open_handler
from reconciler.web.service import Service


def open_service(settings: Settings) -> Service:
    """The service. Nothing is connected yet. Raises SettingsError or RulesError."""
    settings.require("webhook", "intercom", "source")
    rules = from_settings.read_rules(settings.rules)

    async def workspace() -> str:
        async with from_settings.open_target(settings, rules) as target:
            return (await target.reader.workspace()).id

    return Service(
        database=from_settings.open_state(settings),
        open_handler=lambda: open_handler(settings),
        look_up=from_settings.open_source(settings, rules),
        plans=from_settings.open_store(settings),
        workspace=workspace,
        secrets=settings.client_secrets(),
        api_token=settings.api_token,
        is_paused=settings.paused,
    )
