"""`reconcile simulate`."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.errors import ReconcilerError
from reconciler.simulator import FaultsError, Options, SeedError, parse_faults, parse_latency, serve


@click.command("simulate")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8900,
    show_default=True,
    help="Port to listen on; 0 lets the system choose.",
)
@click.option(
    "--seed",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Contacts to start with, one JSON object a line.",
)
@click.option("--limit", type=click.IntRange(min=1), default=1667, show_default=True, help="Calls allowed in a window.")
@click.option("--window", type=click.FloatRange(min=0.1), default=10.0, show_default=True, help="Seconds.")
@click.option("--latency", default="0", show_default=True, metavar="SECONDS[,JITTER]", help="What every call takes.")
@click.option("--lag", type=click.FloatRange(min=0), default=0.0, show_default=True, help="Seconds search is behind.")
@click.option("--faults", default="", metavar="KIND=SHARE,...", help="What goes wrong, e.g. 429=0.02,500-after=0.05.")
@click.option("--random-seed", type=int, default=0, show_default=True, help="The same seed, the same faults and ids.")
def command(
    *,
    host: str,
    port: int,
    seed: Path | None,
    limit: int,
    window: float,
    latency: str,
    lag: float,
    faults: str,
    random_seed: int,
) -> None:
    """Serve a stand-in for Intercom: stateful, with its limits, conflicts and faults.

    GET /_simulator/state and GET /_simulator/calls show what it holds and what it was asked.
    """
    try:
        options = Options(
            limit=limit,
            window=window,
            latency=parse_latency(latency),
            lag=lag,
            faults=parse_faults(faults),
            random_seed=random_seed,
        )
    except FaultsError as error:
        raise click.UsageError(str(error)) from error
    try:
        lines = seed.read_bytes().splitlines() if seed is not None else []
        serve(options, seed_contacts=lines, host=host, port=port, ready=_say_where)
    except OSError as error:
        raise ReconcilerError(f"the simulator cannot start: {error}", next_step="Name another --port.") from error
    except SeedError as error:
        raise ReconcilerError(f"{seed}: {error}", next_step="Correct that line of the seed file.") from error


def _say_where(url: str) -> None:
    click.echo(f"A stand-in for Intercom, at {url} until Ctrl-C.", err=True)
    click.echo(f"Use it with INTERCOM_BASE_URL={url} and any token.", err=True)
