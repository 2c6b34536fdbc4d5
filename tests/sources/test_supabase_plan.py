"""From a Supabase project to a plan, through the command that people type."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli import run
from reconciler.core.plan import decode
from reconciler.simulator import RunningSimulator
from tests.services.postgrest.server import SERVICE_KEY
from tests.services.supabase import project

REPOSITORY = Path(__file__).parents[2]
MEMBERS = [
    {
        "membernumber": f"{100 + at}",
        "firstname": "Ann",
        "lastname": f"Lee {at}",
        "email": f"ann{at}@example.org",
        "status": "Active",
        "membertypeid": 6,
    }
    for at in range(3)
]


def test_a_plan_from_supabase(postgres_shared_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RECONCILER_SOURCE=supabase and the project's address and key are all it takes."""
    monkeypatch.chdir(tmp_path)
    with project(postgres_shared_url, MEMBERS, []) as supabase, RunningSimulator() as intercom:
        for name, value in {
            "RECONCILER_SOURCE": "supabase",
            "SUPABASE_URL": supabase.shim.base_url,
            "SUPABASE_KEY": SERVICE_KEY,
            "INTERCOM_ACCESS_TOKEN": "t",
            "INTERCOM_BASE_URL": intercom.base_url,
            "RECONCILER_RULES": str(REPOSITORY / "rules"),
        }.items():
            monkeypatch.setenv(name, value)
        assert run(["plan", "--out", "plan.json"]) == 0
    made = decode((tmp_path / "plan.json").read_bytes(), where="plan.json")
    assert made.inputs.members.source == "supabase"
    assert made.summary.create == len(MEMBERS)
