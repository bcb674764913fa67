"""Response plans on a real Kafka: killed -9 at every transition, a responder loses nothing and tells nobody twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import clickhouse_connect
import pytest
from confluent_kafka import Producer

from deploy.local.process import Child
from deploy.local.servers import Endpoints
from services.cli import undelivered
from services.core.response.responder import GRACE_MS
from services.runtime.catalogue import INCIDENTS, NOTIFICATIONS, UNDELIVERED
from tests.integration.conftest import REPOSITORY
from tests.integration.correlation.city import read_topic
from tests.integration.correlation.conftest import PATIENCE_S, wait_until
from urban.common.v1.signal_pb2 import Severity
from urban.correlation.v1.incident_pb2 import Incident, IncidentState
from urban.correlation.v1.notification_pb2 import Notification, NotificationReason

# Seven starts, each of which may wait for a session to end on a machine that has much else to do.
START_S = 180.0
OPEN, RESOLVED = IncidentState.INCIDENT_STATE_OPEN, IncidentState.INCIDENT_STATE_RESOLVED
ACKNOWLEDGED = IncidentState.INCIDENT_STATE_ACKNOWLEDGED
SUPERSEDED = IncidentState.INCIDENT_STATE_SUPERSEDED
MODERATE, SEVERE = Severity.SEVERITY_MODERATE, Severity.SEVERITY_SEVERE
FIRST, HEIR, PLANNED = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))


class Desk:
    """The webhook of a receiver: refuses what is about FIRST, and takes the rest, each id once."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []  # bodies of all attempts
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                assert body["id"] == self.headers["webhook-id"]
                desk.asked.append(body)
                self.send_response(204 if body["incidentId"] != FIRST or desk.opened else 403)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        self.opened = False  # whether it takes everything
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        self.thread = Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@dataclass
class Responder:
    """`python -m services.correlation responder`, which may be killed and started again."""

    servers: Endpoints
    folder: Path
    desk: Desk
    child: Child | None = None
    starts: int = field(default=0)

    def start(self) -> None:
        ready, log = self.folder / f"ready-{self.starts}.json", self.folder / "responder.log"
        self.starts += 1
        env = os.environ | {
            "URBAN_KAFKA": self.servers.kafka,
            "URBAN_CLICKHOUSE": self.servers.clickhouse,
            "URBAN_READY_FILE": str(ready),
            "URBAN_CHECKPOINT_SECONDS": "0.5",
            "URBAN_SESSION_TIMEOUT_SECONDS": "6",
            # Else each start waits until the group has missed who was killed.
            "URBAN_STATIC_MEMBER": "true",
            "URBAN_INSTANCE": "the-responder",
            "URBAN_RECEIVERS": json.dumps({"city_command": self.desk.url}),
            "URBAN_RECEIVER_SECRETS": json.dumps({"city_command": "a shared secret"}),
        }
        argv = [sys.executable, "-m", "services.correlation", "responder"]
        child = self.child = Child.start("responder", argv, log, env=env, cwd=REPOSITORY)

        def look() -> bool:
            assert child.poll() is None, child.tail(40)
            return ready.exists()

        until = time.monotonic() + START_S
        while not look():
            assert time.monotonic() < until, child.tail(40)
            time.sleep(0.05)

    def kill(self) -> None:
        """kill -9."""
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)
        wait_until(lambda: self.child is not None and self.child.poll() is not None, "the end of the process")


def write(kafka: str, *incidents: Incident, age_s: float = 0.0) -> None:
    """Versions of incidents as the correlation writes them, so long ago."""
    producer = Producer({"bootstrap.servers": kafka, "enable.idempotence": True})
    for incident in incidents:
        at_ms = round((time.time() - age_s) * 1000)
        producer.produce(INCIDENTS, incident.SerializeToString(), key=incident.id.encode(), timestamp=at_ms)
    assert producer.flush(60) == 0


def version(id_: str, revision: int, **fields: Any) -> Incident:
    made = Incident(id=id_, city="auckland", revision=revision, state=OPEN, severity=MODERATE, title="Something")
    made.rule.name, made.rule.version = "no_other_plan_names_it", 1
    made.MergeFrom(Incident(**fields))
    return made


def told(kafka: str) -> list[tuple[str, str, str]]:
    """Which incident, why, and to whom; in the order of the topic."""
    found = [Notification.FromString(value) for _, _, value, _ in read_topic(kafka, NOTIFICATIONS)]
    return [(n.incident_id[-1], reason(n), n.receiver) for n in found]


def reason(n: Notification) -> str:
    name = NotificationReason.Name(n.reason).removeprefix("NOTIFICATION_REASON_").lower()
    return f"{name} {n.clock}".strip()


def check_delivery(responder: Responder, kafka: str) -> None:
    """Of the two for city_command one was refused and is put aside; it is delivered when it is sent again."""
    desk = responder.desk
    (ended,) = wait_until(lambda: {b["id"] for b in desk.asked if b["incidentId"] == HEIR}, "the delivery")
    ((_, _, value, headers),) = read_topic(kafka, UNDELIVERED)[:1]
    refused = Notification.FromString(value)
    assert (refused.incident_id, headers["urban_error"]) == (FIRST, b"HTTP status 403")
    desk.opened, before = True, len(desk.asked)
    put_aside = asyncio.run(undelivered.read_put_aside(kafka))
    asyncio.run(undelivered.write(kafka, [p.record for p in put_aside if not p.sent_again]))
    wait_until(lambda: refused.id in {b["id"] for b in desk.asked[before:]}, "the replay")
    assert ended != refused.id
    assert [p.sent_again for p in asyncio.run(undelivered.read_put_aside(kafka))] == [True]


def wait_until_told(kafka: str, expected: list[tuple[str, str, str]], responder: Responder) -> None:
    until = time.monotonic() + PATIENCE_S
    while len(found := told(kafka)) < len(expected):
        assert responder.child is not None
        assert time.monotonic() < until, f"{found} instead of {expected}\n{responder.child.tail(20)}"
        time.sleep(0.05)


# One after the other; after each step the responder is killed once it has told, and once before.
STEPS = [
    # It opened 25 minutes ago: nothing has run out.
    ([version(FIRST, 1)], 1500.0, [("1", "opened", "duty_officer")]),
    ([version(PLANNED, 1, planned_event="match")], 1400.0, []),
    # Raised to alarm 15 minutes ago: its clock of 10 minutes has run out 5 minutes ago.
    (
        [version(FIRST, 2, severity=SEVERE)],
        900.0,
        [
            ("1", "raised", "duty_officer"),
            ("1", "raised", "shift_leader"),
            ("1", "escalated acknowledge", "city_command"),
        ],
    ),
    # A late signal moves its start: the heir goes on, and nobody is told again.
    (
        [
            version(HEIR, 1, severity=SEVERE, supersedes=[FIRST]),
            version(FIRST, 3, severity=SEVERE, state=SUPERSEDED, superseded_by=HEIR),
        ],
        200.0,
        [],
    ),
    (
        [version(HEIR, 2, severity=SEVERE, state=ACKNOWLEDGED, acknowledged_by="Ana", acknowledge_time={"seconds": 1})],
        100.0,
        [],
    ),
    (
        [version(HEIR, 3, severity=SEVERE, state=RESOLVED, closed_by="Ana", close_time={"seconds": 1})],
        5.0,
        [("2", "ended", who) for who in ("duty_officer", "shift_leader", "city_command")],
    ),
]


@contextmanager
def responding(servers: Endpoints, folder: Path) -> Iterator[Responder]:
    """A running responder with a desk; it must end well."""
    made = Responder(servers, folder, Desk())
    made.start()
    yield made
    made.desk.close()
    assert made.child is not None
    assert made.child.stop(60) == 0, made.child.tail(40)


@pytest.fixture(scope="module")
def responder(own_servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Responder]:
    with responding(own_servers, tmp_path_factory.mktemp("responder")) as made:
        yield made


@pytest.mark.timeout(600)  # seven starts of a process
def test_killed_at_every_transition_and_escalation_it_loses_nothing_and_tells_nobody_twice(responder, own_servers):
    kafka, expected = own_servers.kafka, []
    for number, (versions, age_s, notices) in enumerate(STEPS):
        write(kafka, *versions, age_s=age_s)
        if number % 2:
            responder.kill()  # before it may have told, or right in the middle of it
            responder.start()
        expected += notices
        wait_until_told(kafka, expected, responder)
        if not number % 2:
            responder.kill()  # it has told, and has perhaps made no checkpoint of that
            responder.start()
    time.sleep(GRACE_MS / 1000 + 1.5)  # time for whatever would be told once more
    assert told(kafka) == expected
    ids = Counter(Notification.FromString(value).id for _, _, value, _ in read_topic(kafka, NOTIFICATIONS))
    assert max(ids.values()) == 1
    for _, key, value, headers in read_topic(kafka, NOTIFICATIONS):
        notification = Notification.FromString(value)
        assert headers["ce_id"] == notification.id.encode()
        assert key == notification.incident_id.encode()
    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as client:
        rows = client.query("SELECT toString(id), reason, text FROM correlation.notifications FINAL").result_rows
    assert {row[0] for row in rows} == set(ids)
    assert len(rows) == len(ids)
    assert [r[2] for r in rows if r[1] == "escalated"] == ["Nobody has taken it over in time, level alarm: Something."]
    check_delivery(responder, kafka)
