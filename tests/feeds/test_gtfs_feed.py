"""A recording goes through the real api of traffic, and every call that it tells is taken."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from services.feeds.gtfs_feed import Messages, RailFeed, platforms, polled, read_arguments, run
from services.feeds.gtfs_realtime import parse
from services.feeds.sender import FrameSender
from services.runtime.catalogue import ENTITIES
from services.traffic.domain import TRAFFIC
from services.traffic.indices.punctuality import CallState
from services.traffic.indices.service_alert import AlertEffect
from tests.contract.calls import memory_log, observations_in, serving
from tests.feeds.trains import BRITOMART, EIGHT_MS, MINUTE_MS, WYNYARD, message, timetable_in, update, write_timetable
from urban.common.v1.entity_pb2 import Entity

ADDRESS = "127.0.0.1:1"


async def test_a_recording_becomes_observations_and_platforms(tmp_path, caplog):
    timetable = write_timetable(tmp_path / "gtfs.zip")
    readings = [
        message(6, update("t1", ("WYN", 1, 1), ("BRI", 2, 6)), update("t2", ("WYN", 1, 12), ("BRI", 2, 17))),
        message(20, update("t2", ("WYN", 1, 13), ("BRI", 2, 18))),
    ]
    files = []
    for number, reading in enumerate(readings):
        files.append(tmp_path / f"{number}.pb")
        files[-1].write_bytes(reading.SerializeToString())
    alert = message(6)
    told = alert.entity.add(id="a1").alert
    told.header_text.translation.add(text="Slow trains.")
    told.informed_entity.add(stop_id="BRI")
    (tmp_path / "alerts.pb").write_bytes(alert.SerializeToString())
    log = memory_log(TRAFFIC)
    with caplog.at_level(logging.WARNING, "gtfs"):
        async with serving(TRAFFIC, log, clock="replay") as client:
            where = ["--traffic", f"127.0.0.1:{client.port}", "--city", "auckland"]
            what = ["--timetable", timetable, "--alerts", tmp_path / "alerts.pb", "--updates", *files]
            await run(read_arguments([*where, *map(str, what)]))
    rows = sorted(
        (frame.time_ms[i], frame.entity_ids[frame.entity[i]], *(frame.columns[c][i] for c in ("delay_s", "headway_s")))
        for frame in observations_in(log, "rail_call")
        for i in range(len(frame))
    )
    found = [((time_ms - EIGHT_MS) / MINUTE_MS, where, delay_s) for time_ms, where, delay_s, _ in rows]
    assert found == [(1, WYNYARD, 60), (6, BRITOMART, 60), (13, WYNYARD, 180), (18, BRITOMART, 180)]
    assert np.array([row[-1] for row in rows]) == pytest.approx([np.nan, np.nan, 720, 720], nan_ok=True)
    states = [frame.columns["state"].tolist() for frame in observations_in(log, "rail_call")]
    assert {state for found in states for state in found} == {CallState.CALLED}
    # Two platforms, and the stop that the alert is about.
    assert sum(map(len, log.records(ENTITIES))) == 3
    (frame,) = observations_in(log, "service_alert")
    assert (frame.entity_ids, frame.time_ms.tolist()) == (("stop:BRI",), [EIGHT_MS + 6 * MINUTE_MS])
    assert frame.columns["effect"].tolist() == [AlertEffect.UNKNOWN_EFFECT]
    assert "Slow trains." in caplog.text


class Kept(FrameSender):
    """Keeps what it is given and sends nothing."""

    def __init__(self) -> None:
        super().__init__("traffic", ADDRESS, "auckland")
        self.frames: list[Any] = []

    async def send(self, kind: str, frame: Any, refused: Any = None) -> None:
        self.frames.append(frame)

    async def register(self, entities: Sequence[Entity]) -> None:
        pass


async def test_an_alert_that_comes_while_the_message_stands_still_is_told_with_the_next_one(tmp_path):
    sender = Kept()
    feed = RailFeed(sender, "auckland", timetable_in(tmp_path))
    alert = message(6)
    alert.entity.add(id="a1").alert.informed_entity.add(stop_id="BRI")
    for minute, alerts in ((6, message(6)), (7, message(6)), (7, alert), (8, alert), (9, alert)):
        messages = Messages(message(minute).SerializeToString(), alerts=alerts.SerializeToString())
        await feed.take(messages, replayed=False)
    # A frame of the number of the seventh minute could be taken for one that was there before.
    assert [frame.header.sequence for frame in sender.frames] == [EIGHT_MS + 8 * MINUTE_MS]


class Operator(BaseHTTPRequestHandler):
    """Answers with messages; every second time it cannot."""

    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        self.send_response(503 if Operator.asked % 2 else 200)
        self.end_headers()
        if not Operator.asked % 2:
            self.wfile.write(message(float(Operator.asked), update("t1", ("WYN", 1, 1))).SerializeToString())

    def log_message(self, format: str, *args: object) -> None:
        pass


async def test_an_address_is_asked_again_and_again_also_when_it_does_not_answer(caplog):
    with ThreadingHTTPServer(("127.0.0.1", 0), Operator) as server:
        serving_it = threading.Thread(target=server.serve_forever)
        serving_it.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/updates"
            where = ["--traffic", ADDRESS, "--city", "x", "--timetable", "x.zip", "--every", "0.01"]
            asking = polled(read_arguments([*where, "--updates", address]))
            found = [await anext(asking) for _ in range(2)]
            await asking.aclose()
        finally:
            server.shutdown()
            serving_it.join()
    assert [parse(f.updates).header.timestamp - EIGHT_MS // 1000 for f in found] == [120, 240]
    assert [f.positions for f in found] == [b"", b""]
    assert Operator.asked == 4
    assert caplog.text.count("no answer: HTTP Error 503") == 2


async def test_a_page_in_place_of_a_message_ends_a_recording_with_an_error(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<html>gone</html>")
    timetable = write_timetable(tmp_path / "gtfs.zip")
    async with serving(TRAFFIC, memory_log(TRAFFIC), clock="replay") as client:
        where = ["--traffic", f"127.0.0.1:{client.port}", "--city", "auckland", "--timetable", str(timetable)]
        with pytest.raises(ValueError, match="no GTFS-Realtime message"):
            await run(read_arguments([*where, "--updates", str(page)]))


def test_platforms_lie_where_their_stop_is(tmp_path):
    found = {entity.name.rpartition("/")[2]: entity for entity in platforms(timetable_in(tmp_path), "auckland")}
    assert found.keys() == {WYNYARD, BRITOMART}
    assert found[WYNYARD].position.latitude == -36.84
    labels = {"stop": "WYN", "route": "east", "direction": "0", "line": "east", "line_m": "0"}
    assert dict(found[WYNYARD].labels) == labels
    assert found[BRITOMART].labels["line_m"] == "2099"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--updates", "http://a", "http://b"],
        ["--updates", "http://a", "--every", "0"],
        ["--updates", "http://a", "--alerts", "http://b", "http://c"],
        [],
    ],
)
def test_arguments_that_cannot_be_are_refused(arguments, capsys):
    with pytest.raises(SystemExit):
        read_arguments(["--traffic", ADDRESS, "--city", "x", "--timetable", "x.zip", *arguments])
    assert "error" in capsys.readouterr().err
