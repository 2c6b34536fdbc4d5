"""Both halves as one: `reconcile serve`, before a real MariaDB and the stand-in, called as Intercom calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.settings import Secret
from reconciler.simulator import RunningSimulator
from tests.services.worlds import write_mysql
from tests.support.silence import overheard
from tests.web.handling.desk import ANNS, LEAD, TAG_ID, conversation
from tests.web.handling.test_end_to_end import MEMBERS, POSITIONS, ROOT, TOKEN, simulator_with, state_of
from tests.web.world import CREATED, REPLIED, TAGGED, WEBHOOK, encoded, notification, part, signed, until
from tests.web.world import conversation as item

SECRET = Secret("served-canary-secret")
API = {"Authorization": "Bearer served-canary-token"}


@contextmanager
def serving(database: str, intercom: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """`reconcile serve` as a process, and where it is."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "INTERCOM_ACCESS_TOKEN": TOKEN,
        "INTERCOM_BASE_URL": intercom,
        "INTERCOM_CLIENT_SECRET": SECRET.reveal(),
        "MYSQL_URL": database,
        "RECONCILER_API_TOKEN": "served-canary-token",
        "RECONCILER_RULES": str(ROOT / "rules"),
        "RECONCILER_PLANS": str(folder / "plans"),
    }
    command = [sys.executable, "-m", "reconciler.cli", "serve", "--port", "0"]
    log = folder / "log"
    with log.open("wb") as says, subprocess.Popen(command, cwd=folder, env=environment, stderr=says) as process:
        try:
            until(lambda: process.poll() is not None or b'"serving"' in log.read_bytes())
            url = next(line["url"] for line in lines_of(log) if line["event"] == "serving")
            until(lambda: httpx.get(f"{url}/api/ready", timeout=10).status_code == 200)
            yield process, url
        finally:
            process.kill()
            overheard(log.read_text())


def lines_of(log: Path) -> list[dict[str, Any]]:
    """Everything it logged: each line is JSON."""
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_everything_at_once(mariadb_url: str, tmp_path: Path) -> None:
    """Messages put contacts right, a look-up finds a member, and none of it is in the log."""
    write_mysql(mariadb_url, MEMBERS, POSITIONS)
    anns = ANNS | {"phone": "(617) 555-0123"}
    renee = ANNS | {"id": "r1", "external_id": "1003", "email": "RENEE@example.org", "name": "R", "phone": None}
    renee["custom_attributes"] = {"member_number": "1003"}
    with (
        RunningSimulator(simulator_with(anns, renee)) as server,
        serving(mariadb_url, server.base_url, tmp_path) as (process, url),
    ):
        ours = server.simulator.world.workspace.id

        def post(topic: str, about: Any, identity: str) -> None:
            body = encoded(notification(topic, about, identity=identity, app_id=ours))
            assert httpx.post(url + WEBHOOK, content=body, headers=signed(body, SECRET)).status_code == 200

        post(CREATED, item("1", contact="a1"), "notif_1")
        post(REPLIED, item("2", contact="r1"), "notif_2")
        until(lambda: state_of(server.simulator)["a1"]["phone"] == "+16175550123")
        until(lambda: state_of(server.simulator)["r1"]["name"] == "Renee Roy")
        found = httpx.post(f"{url}/api/intercom/lookup-email", headers=API, json={"email": " ANN@EXAMPLE.org"})
        assert (found.status_code, found.json()["member_number"]) == (200, "1001")
        assert httpx.post(f"{url}/api/intercom/lookup-email", headers=API, json={"email": "x@x"}).status_code == 404
        assert "reconciler_events_handled_total" in overheard(httpx.get(f"{url}/metrics", headers=API).text)
        until(lambda: len([line for line in lines_of(tmp_path / "log") if line["event"] == "handled"]) == 2)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
    log = (tmp_path / "log").read_text()
    assert not [word for word in ("example.org", "Renee", "Canary", "5550123", "canary", TOKEN) if word in log]


ADDED = {"tags": [{"type": "tag", "id": TAG_ID, "name": "mynatca-sync"}]}


@pytest.mark.parametrize(
    "shape", [item("51", contact="l1", tags_added=ADDED), part("51", tags=ADDED["tags"])], ids=["conversation", "part"]
)
def test_a_tag(shape: dict[str, Any], mariadb_url: str, tmp_path: Path) -> None:
    """In whichever shape it is told: the lead is the member, and the tag is off."""
    write_mysql(mariadb_url, MEMBERS, POSITIONS)
    simulator = simulator_with(LEAD, conversation("l1", number="1001"))
    simulator.seed([b'{"_conversation_attribute": {"name": "member_number_verification"}}'])
    with RunningSimulator(simulator) as server, serving(mariadb_url, server.base_url, tmp_path) as (_, url):
        body = encoded(notification(TAGGED, shape, app_id=simulator.world.workspace.id))
        assert httpx.post(url + WEBHOOK, content=body, headers=signed(body, SECRET)).status_code == 200
        until(lambda: simulator.world.conversations["51"].tags == ())
    lead = state_of(simulator)["l1"]
    assert (lead["role"], lead["external_id"]) == ("user", "1001")
