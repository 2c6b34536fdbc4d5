"""Read members, positions and contacts as `reconcile plan` does, and do nothing with them: the yardstick of `plan`."""

from __future__ import annotations

import asyncio
import gc

from reconciler import controller, from_settings
from reconciler.core.model import silent
from reconciler.settings import settings_here


async def read() -> None:
    """Both sides, at once, through the same source and the same client."""
    settings = settings_here()
    rules = from_settings.read_rules(settings.rules)
    source = from_settings.open_source(settings, rules)
    async with from_settings.open_target(settings, rules) as target:
        with controller.collector_paused():
            await controller.gather(source, target.reader, silent)


if __name__ == "__main__":
    asyncio.run(read())
    gc.freeze()  # as the command ends (cli/__init__.py): what is compared is what a plan costs beside reading
