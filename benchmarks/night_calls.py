"""How many calls a night costs: none for what is as it should be, and one for each contact that is not.

The command itself, against the stand-in. Run from the repository's root: `python -m benchmarks.night_calls`.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import measure, union
from benchmarks.run import RECONCILE, RULES
from reconciler.simulator import Options, RunningSimulator, Simulator

SIZE = 20_000
CHANGED = (0, 100, 2_000)


def night(changed: int) -> int:
    """The calls of `reconcile apply` where so many of SIZE contacts have an old name."""
    with TemporaryDirectory(prefix="reconciler-bench-") as folder:
        database = Path(folder, "union.db")
        union.write_database(database, SIZE)
        simulator = Simulator(Options(limit=1_000_000))
        simulator.seed(json.dumps(_contact(place, changed)) for place in range(SIZE))
        with RunningSimulator(simulator) as server:
            env = measure.environment(
                INTERCOM_ACCESS_TOKEN="bench",
                INTERCOM_BASE_URL=server.base_url,
                RECONCILER_SOURCE=f"sqlite:///{database}",
                RECONCILER_RULES=str(RULES),
                RECONCILER_PLANS=str(Path(folder, "plans")),
            )
            measure.run([RECONCILE, "apply", "--auto-approve"], env)
        written = sum(call.effect for call in simulator.calls)
        if written != changed:
            raise AssertionError(f"{written} contacts written, not {changed}")
        return len(simulator.calls)


def _contact(place: int, changed: int) -> dict[str, object]:
    """The first contacts of members who have not left have an old name."""
    number = place - place // 10  # every tenth has left, beginning with the first, and is nobody's to write
    old = place % 10 != 0 and number <= changed
    return union.converged(place) | ({"name": "Old Name"} if old else {})


def main() -> None:
    """Measure and print."""
    pages = math.ceil(SIZE / 150)
    print(f"\nCalls of a night, {SIZE:,} contacts")
    for changed in CHANGED:
        most = pages + 5 + changed
        print(f"  {changed:6,} changed                {night(changed):8} calls (wanted: at most {most})")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
