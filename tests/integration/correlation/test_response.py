"""Response plans on a real Kafka: killed, stopped and relieved, responders lose nothing and tell nobody twice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import clickhouse_connect
import pytest
import trustme
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
Told = tuple[str, str, str]  # which incident, why, to whom
MODERATE, SEVERE = Severity.SEVERITY_MODERATE, Severity.SEVERITY_SEVERE
FIRST, HEIR, PLANNED = (f"00000000-0000-0000-0000-00000000000{n}" for n in (1, 2, 3))


class Desk:
    """The webhook of a receiver, by https: refuses what is about FIRST, and takes the rest, each id once."""

    def __init__(self, authority: trustme.CA) -> None:
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
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}/hook"
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
    authority: Path  # file with the certificates that vouch for the desk
    name: str
    static: bool  # else each start after a kill waits until the group has missed it
    child: Child | None = None
    starts: int = field(default=0)

    def start(self) -> None:
        ready, log = self.folder / f"{self.name}-{self.starts}.json", self.folder / f"{self.name}.log"
        self.starts += 1
        env = os.environ | {
            "URBAN_KAFKA": self.servers.kafka,
            "URBAN_CLICKHOUSE": self.servers.clickhouse,
            "URBAN_READY_FILE": str(ready),
            "URBAN_CHECKPOINT_SECONDS": "0.5",
            "URBAN_SESSION_TIMEOUT_SECONDS": "6",
            "URBAN_STATIC_MEMBER": json.dumps(self.static),
            "URBAN_INSTANCE": self.name,
            "SSL_CERT_FILE": str(self.authority),
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

    def stop(self) -> None:
        """SIGTERM; it must end well."""
        assert self.child is not None
        assert self.child.stop(60) == 0, self.child.tail(40)


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


def told(kafka: str, story: str) -> list[Told]:
    """Of the incidents of one story: which, why, and to whom; in the order of the topic."""
    found = [Notification.FromString(value) for _, _, value, _ in read_topic(kafka, NOTIFICATIONS)]
    return [(n.incident_id[-1], reason(n), n.receiver) for n in found if n.incident_id.startswith(story)]


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


def wait_until_told(kafka: str, story: str, expected: list[Told], responder: Responder) -> None:
    until = time.monotonic() + PATIENCE_S
    while len(found := told(kafka, story)) < len(expected):
        assert responder.child is not None
        assert time.monotonic() < until, f"{found} instead of {expected}\n{responder.child.tail(20)}"
        time.sleep(0.05)


Step = tuple[list[Incident], float, list[Told]]
MakeResponder = Callable[..., Responder]
KILLED, RELIEVED = "00000000", "00000001"  # two stories of the same incidents


def steps(story: str) -> list[Step]:
    """Versions, how long ago they were written, and who is told; one after the other."""
    first, heir, planned = (story + id_[len(story) :] for id_ in (FIRST, HEIR, PLANNED))
    closed = {"state": RESOLVED, "closed_by": "Ana", "close_time": {"seconds": 1}}
    taken_over = {"state": ACKNOWLEDGED, "acknowledged_by": "Ana", "acknowledge_time": {"seconds": 1}}
    return [
        # It opened 25 minutes ago: nothing has run out.
        ([version(first, 1)], 1500.0, [("1", "opened", "duty_officer")]),
        ([version(planned, 1, planned_event="match")], 1400.0, []),
        # Raised to alarm 15 minutes ago: its clock of 10 minutes has run out 5 minutes ago.
        (
            [version(first, 2, severity=SEVERE)],
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
                version(heir, 1, severity=SEVERE, supersedes=[first]),
                version(first, 3, severity=SEVERE, state=SUPERSEDED, superseded_by=heir),
            ],
            200.0,
            [],
        ),
        ([version(heir, 2, severity=SEVERE, **taken_over)], 100.0, []),
        (
            [version(heir, 3, severity=SEVERE, **closed)],
            5.0,
            [("2", "ended", who) for who in ("duty_officer", "shift_leader", "city_command")],
        ),
    ]


@contextmanager
def responding(servers: Endpoints, folder: Path) -> Iterator[MakeResponder]:
    """Makes responders with one desk, by name; those that run in the end must end well."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    desk, made = Desk(authority), list[Responder]()

    def make(name: str, static: bool) -> Responder:
        made.append(Responder(servers, folder, desk, folder / "ca.pem", name, static))
        return made[-1]

    yield make
    for one in made:
        if one.child is not None and one.child.poll() is None:
            one.stop()
    desk.close()


@pytest.fixture(scope="module")
def make_responder(own_servers: Endpoints, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeResponder]:
    with responding(own_servers, tmp_path_factory.mktemp("responders")) as make:
        yield make


def check_told_once(servers: Endpoints, story: str, expected: list[Told]) -> None:
    """On the topic and in the store: what is expected and no more, each under an id of its own."""
    time.sleep(GRACE_MS / 1000 + 1.5)  # time for whatever would be told once more
    assert told(servers.kafka, story) == expected
    ids = Counter[str]()
    for _, key, value, headers in read_topic(servers.kafka, NOTIFICATIONS):
        notification = Notification.FromString(value)
        assert headers["ce_id"] == notification.id.encode()
        assert key == notification.incident_id.encode()
        ids[notification.id] += notification.incident_id.startswith(story)
    assert max(ids.values()) == 1
    with clickhouse_connect.get_client(dsn=servers.clickhouse) as client:
        query = (
            "SELECT toString(id), reason, text FROM correlation.notifications FINAL"
            " WHERE startsWith(toString(incident_id), %(story)s)"
        )
        rows = client.query(query, {"story": story}).result_rows
    assert sorted(row[0] for row in rows) == sorted(id_ for id_, count in ids.items() if count)
    assert [r[2] for r in rows if r[1] == "escalated"] == ["Nobody has taken it over in time, level alarm: Something."]


@pytest.mark.timeout(600)  # seven starts of a process
def test_killed_at_every_transition_and_escalation_it_loses_nothing_and_tells_nobody_twice(make_responder, own_servers):
    kafka, expected = own_servers.kafka, []
    responder = make_responder("the-responder", static=True)
    responder.start()
    for number, (versions, age_s, notices) in enumerate(steps(KILLED)):
        write(kafka, *versions, age_s=age_s)
        if number % 2:
            responder.kill()  # before it may have told, or right in the middle of it
            responder.start()
        expected += notices
        wait_until_told(kafka, KILLED, expected, responder)
        if not number % 2:
            responder.kill()  # it has told, and has perhaps made no checkpoint of that
            responder.start()
    check_told_once(own_servers, KILLED, expected)
    check_delivery(responder, kafka)
    responder.stop()


@pytest.mark.timeout(600)
def test_two_responders_relieve_each_other_and_tell_nobody_twice(make_responder, own_servers):
    kafka, expected = own_servers.kafka, []
    early, late = make_responder("early", static=False), make_responder("late", static=False)
    early.start()
    on_duty = early
    for number, (versions, age_s, notices) in enumerate(steps(RELIEVED)):
        write(kafka, *versions, age_s=age_s)
        match number:
            case 1:
                late.start()  # the group is shared anew
            case 3:
                early.stop()
                on_duty = late
            case 4:
                early.start()
            case 5:
                late.kill()
                on_duty = early
        expected += notices
        wait_until_told(kafka, RELIEVED, expected, on_duty)
    check_told_once(own_servers, RELIEVED, expected)
    brought = {(RELIEVED, "NOTIFICATION_REASON_ESCALATED"), (RELIEVED, "NOTIFICATION_REASON_ENDED")}
    asked = early.desk.asked
    wait_until(lambda: brought <= {(b["incidentId"][: len(RELIEVED)], b["reason"]) for b in asked}, "the deliveries")
