"""`reconcile serve`."""

from __future__ import annotations

import click
import structlog

from reconciler.cli import terminal
from reconciler.errors import ReconcilerError
from reconciler.settings import settings_here


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 in a container.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port to listen on; 0 lets the system choose.",
)
def command(*, host: str, port: int) -> int:
    """Serve the webhook that Intercom calls, and the service's own endpoints, until SIGTERM or Ctrl-C.

    POST /api/intercom/webhook, POST /api/intercom/lookup-email, GET /api/health, GET /api/ready, GET /metrics,
    GET /plans/ID by a link of `reconcile link`.
    """
    terminal.set_up_logging()
    settings = settings_here()
    settings.require("webhook", "intercom", "source")
    if settings.api_token is None:
        structlog.get_logger().warning(
            "RECONCILER_API_TOKEN is not set", closed=["/api/intercom/lookup-email", "/metrics"]
        )
    from reconciler.web.from_settings import open_service  # noqa: PLC0415 - what it takes is not needed to refuse

    service = open_service(settings)
    try:
        return service.run(host=host, port=port, ready=lambda url: structlog.get_logger().info("serving", url=url))
    except OSError as error:
        raise ReconcilerError(
            f"the service cannot listen on {host}, port {port}: {error.strerror}", next_step="Name another --port."
        ) from error
