"""A stateful stand-in for Intercom's REST API, over HTTP.

    simulator = Simulator(Options(limit=100), clock=clock)
    simulator.seed([b'{"external_id": "12345", "email": "ann@example.com"}'])
    transport = httpx.ASGITransport(app=build_app(simulator))         # in-process
    with RunningSimulator(simulator) as server: ... server.base_url   # over a socket

It knows nothing of the client that is tested against it, so that each checks the other.
"""

from reconciler.simulator.app import build_app
from reconciler.simulator.faults import Fault, FaultsError, parse_faults, parse_latency
from reconciler.simulator.seed import SeedError
from reconciler.simulator.server import RunningSimulator, serve
from reconciler.simulator.simulator import Call, LoggedCall, Options, SimulatedReset, Simulator
from reconciler.simulator.world import Workspace

__all__ = [
    "Call",
    "Fault",
    "FaultsError",
    "LoggedCall",
    "Options",
    "RunningSimulator",
    "SeedError",
    "SimulatedReset",
    "Simulator",
    "Workspace",
    "build_app",
    "parse_faults",
    "parse_latency",
    "serve",
]
