"""`make bench`: every figure that the design promises, each as a ratio against something measured in the same run.

A figure is never a test: machines are noisy. What is wanted stands beside what was measured.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import measure, union
from reconciler.simulator import Options, RunningSimulator, Simulator

HERE = Path(__file__).parent
RULES = HERE.parent / "rules"
RECONCILE = str(Path(sys.executable).with_name("reconcile"))
MODULES = (
    "intercom_transport",
    "intercom_pace",
    "intercom_snapshot",
    "intercom_bulk",
    "night_calls",
    "durable_cost",
    "apply_rate",
    "webhook",
    "webhook_latency",
)
"""Each in a process of its own: how fast Intercom is called, what durability costs, how soon the webhook
answers, and how long an agent waits."""

ROUNDS = 5
SMALL, LARGE = 20_000, 200_000


@dataclass(frozen=True, slots=True)
class Sizes:
    """The median figures of one size."""

    read: measure.Figures
    plan: measure.Figures


@contextmanager
def served_union(size: int) -> Iterator[dict[str, str]]:
    """A union in SQLite and its drifted workspace over HTTP, as settings."""
    with TemporaryDirectory(prefix="reconciler-bench-") as folder:
        database, seed = Path(folder, "union.db"), Path(folder, "contacts.jsonl")
        union.write_database(database, size)
        count = union.write_contacts(seed, size)
        print(f"\n{size:,} members, {count:,} contacts")
        simulator = Simulator(Options(limit=1_000_000))
        simulator.seed(seed.read_bytes().splitlines())
        with RunningSimulator(simulator) as server:
            yield measure.environment(
                INTERCOM_ACCESS_TOKEN="bench",
                INTERCOM_BASE_URL=server.base_url,
                RECONCILER_SOURCE=f"sqlite:///{database}",
                RECONCILER_RULES=str(RULES),
                RECONCILER_PLANS=str(Path(folder, "plans")),
            )


def read_and_plan(env: dict[str, str], rounds: int) -> Sizes:
    """Reading alone and the whole plan, in turns."""
    reads, plans = [], []
    for _ in range(rounds):
        reads.append(measure.run([sys.executable, str(HERE / "read_both_sides.py")], env))
        plans.append(measure.run([RECONCILE, "plan", "--format", "json"], env))
    return Sizes(measure.middle(reads), measure.middle(plans))


def show_sizes(sizes: Sizes) -> None:
    """Both figures and their ratio."""
    print(f"  reading both sides   {sizes.read.cpu:8.2f} s CPU   {sizes.read.peak:7.0f} MiB")
    print(f"  reconcile plan       {sizes.plan.cpu:8.2f} s CPU   {sizes.plan.peak:7.0f} MiB")
    print(f"  plan / reading       {sizes.plan.cpu / sizes.read.cpu:8.2f}  (wanted: at most 2)")


def main() -> None:
    """Measure and print."""
    with served_union(SMALL) as env:
        small = read_and_plan(env, ROUNDS)
    show_sizes(small)
    print(f"  peak of plan         {small.plan.peak:8.0f} MiB (wanted: at most 250)")
    with served_union(LARGE) as env:
        large = read_and_plan(env, 1)
    show_sizes(large)
    print(
        f"  growth of plan       {large.plan.cpu / small.plan.cpu:8.2f}  for ten times the members (wanted: at most 11)"
    )
    env = measure.environment()
    helps = measure.middle([measure.run([RECONCILE, "--help"], env) for _ in range(ROUNDS * 2)])
    click = measure.middle([measure.run([sys.executable, "-c", "import click"], env) for _ in range(ROUNDS * 2)])
    print(f"\nreconcile --help / import click: {helps.cpu / click.cpu:.2f}  (wanted: at most 3)")
    sys.stdout.flush()
    for name in MODULES:
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], cwd=HERE.parent, check=True)


if __name__ == "__main__":
    main()
