"""The same replay gives the same windows, signals and incidents, whatever dies on the way."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from services.cli.city import City, CitySettings, claim
from services.cli.domains import find_domains
from services.cli.drain import read_end_offsets, wait_until_drained
from services.cli.summary import Stored, read_stored
from services.cli.views import make_views

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

UNTIL = datetime.fromisoformat("2024-11-24T12:30+13:00")
SPEED = 2400.0
DRAIN_S = 150.0

# What dies, and at which event time: in a quiet morning, as the crowds come, and when the first incidents stand.
DEATHS = (
    ("traffic", datetime.fromisoformat("2024-11-24T07:00+13:00")),
    ("community", datetime.fromisoformat("2024-11-24T09:15+13:00")),
    ("correlation", datetime.fromisoformat("2024-11-24T11:10+13:00")),
)

FINAL = {
    "road flow windows": "SELECT * FROM traffic.road_flow_windows FINAL ORDER BY ALL",
    "people count windows": "SELECT * FROM community.people_count_windows FINAL ORDER BY ALL",
    "signals": "SELECT * FROM urban.v_signals ORDER BY ALL",
    "incidents": "SELECT id, city, rule, rule_version, state, severity, title, start_time, end_time, latitude,"
    " longitude, extent_m, arraySort(signal_ids), query, superseded_by FROM correlation.incidents FINAL ORDER BY ALL",
    "road flow": "SELECT DISTINCT city, entity_id, time, period_s, flow_veh_h, speed_kmh, occupancy, heavy_share"
    " FROM traffic.road_flow ORDER BY ALL",
    "people count": "SELECT DISTINCT city, entity_id, time, period_s, count FROM community.people_count ORDER BY ALL",
}


@dataclass
class Outcome:
    """What a replay leaves behind."""

    rows: dict[str, list[str]]  # lines of text by table, NaN included
    stored: Stored


def replay(root: Path, cache: Path, deaths: tuple[tuple[str, datetime], ...]) -> Outcome:
    settings = CitySettings(root, speed=SPEED, until=UNTIL, cache=cache)
    claim(settings, fresh=False)
    city = City(settings, print)
    try:
        addresses = city.start()
        make_views(addresses.clickhouse)
        city.start_feed()
        for name, moment in deaths:
            wait_until_fed(city, moment)
            city.service(name).kill()
            city.service(name).wait()
            city.restart(name)
        wait_until_fed(city, None)
        with clickhouse_connect.get_client(dsn=addresses.clickhouse, autogenerate_session_id=False) as client:
            ends = read_end_offsets(addresses.kafka, find_domains())
            drained = wait_until_drained(addresses.kafka, client, ends, time.monotonic() + DRAIN_S, city.check)
            assert drained, "not everything was worked off"
            return Outcome(
                {name: lines_of(client, sql) for name, sql in FINAL.items()}, read_stored(client, find_domains())
            )
    finally:
        city.stop()


def wait_until_fed(city: City, moment: datetime | None) -> None:
    """Until the feed has come to a moment of event time, or to its end."""
    while not city.feed_ended():
        city.check()
        progress = city.feed_progress()
        if moment and progress and progress.clock_ms and progress.clock_ms >= moment.timestamp() * 1000:
            return
        time.sleep(0.05)


def lines_of(client: Any, sql: str) -> list[str]:
    return bytes(client.raw_query(sql, fmt="TSV")).decode().splitlines()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Outcome:
    return replay(tmp_path_factory.mktemp("undisturbed"), download_cache, ())


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Outcome:
    """The same replay; three services are killed without warning, one after the other, and start again."""
    return replay(tmp_path_factory.mktemp("disturbed"), download_cache, DEATHS)


def test_the_replay_is_one_worth_comparing(undisturbed):
    assert undisturbed.stored.signals["traffic"] > 0
    assert undisturbed.stored.signals["community"] > 0
    assert undisturbed.stored.incidents["all"] >= 1
    assert len(undisturbed.rows["road flow windows"]) > 50_000


@pytest.mark.parametrize("table", FINAL)
def test_every_final_row_is_that_of_an_undisturbed_run(undisturbed, disturbed, table):
    left, right = undisturbed.rows[table], disturbed.rows[table]
    assert sorted(set(left) - set(right))[:3] == sorted(set(right) - set(left))[:3] == []
    assert left == right


def test_nothing_is_unaccounted_for(undisturbed, disturbed):
    assert undisturbed.stored.duplicate == 0
    for stored in (undisturbed.stored, disturbed.stored):
        assert stored.ledger_difference == stored.late == stored.dead_lettered == 0
    # What was in doubt when a service died was sent again and known again.
    assert disturbed.stored.observations["all"] - disturbed.stored.duplicate == undisturbed.stored.observations["all"]
