"""`urban up --scenario`: beside Auckland an invented city, whose windows arrive in all four domains."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import clickhouse_connect
import pytest

from services.cli.city import City, CitySettings, claim
from services.cli.domains import find_domains
from services.cli.drain import read_end_offsets, wait_until_drained
from services.cli.views import make_views
from services.core.kind import Domain
from services.feeds.scenario.city import build_city

pytestmark = pytest.mark.timeout(900)

SEED = 5
# An hour and a half of event time: windows of an hour, and of less.
UNTIL = datetime.fromisoformat("2024-11-24T07:30+13:00")
PATIENCE_S = 400.0


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory, download_cache: Path) -> Iterator[City]:
    """One that has come to the end of its replay."""
    settings = CitySettings(tmp_path_factory.mktemp("city"), until=UNTIL, cache=download_cache, scenario=SEED)
    claim(settings, fresh=False)
    city = City(settings, print)
    try:
        addresses = city.start()
        make_views(addresses.clickhouse)
        city.start_feed()
        deadline = time.monotonic() + PATIENCE_S
        while not city.feed_ended():
            city.check()
            assert time.monotonic() < deadline, city.feed_progress()
            time.sleep(0.2)
        with clickhouse_connect.get_client(dsn=addresses.clickhouse, autogenerate_session_id=False) as client:
            ends = read_end_offsets(addresses.kafka, find_domains())
            assert wait_until_drained(addresses.kafka, client, ends, time.monotonic() + PATIENCE_S, city.check)
        yield city
    finally:
        city.stop()


def count(city: City, sql: str) -> dict[str, int]:
    """Numbers by city."""
    assert city.addresses is not None
    with clickhouse_connect.get_client(dsn=city.addresses.clickhouse, autogenerate_session_id=False) as client:
        rows: Any = client.query(sql).result_rows
    return {str(name): int(number) for name, number in rows}


@pytest.mark.parametrize("domain", find_domains(), ids=lambda domain: domain.name)
def test_windows_of_the_invented_city_arrive_in_every_domain(city: City, domain: Domain):
    fed = {group.kind.name for group in build_city(SEED).groups.values()}
    for kind in (kind for kind in domain.kinds if kind.name in fed):
        windows = f"SELECT city, count() FROM {domain.name}.{kind.name}_windows FINAL GROUP BY city"
        assert count(city, windows).get("scenario", 0) > 0, kind.name


def test_neither_city_makes_the_other_late(city: City):
    # Of the kinds that both feed; of the scenario one observation in two thousand comes half an hour late or more.
    shared = "FROM urban.v_ledger WHERE kind IN ('road_flow', 'people_count') GROUP BY kind"
    read, late = (count(city, f"SELECT kind, sum({column}) {shared}") for column in ("read", "late"))
    assert read.keys() == {"road_flow", "people_count"}
    assert {kind: number for kind, number in late.items() if number > 0.002 * read[kind]} == {}
    roads = "SELECT city, uniq(entity_id) FROM traffic.road_flow_windows FINAL WHERE window = '1m' GROUP BY city"
    assert count(city, roads).keys() == {"auckland", "scenario"}


def test_the_truth_is_there_and_the_feed_counts_both_cities(city: City):
    told = [json.loads(line) for line in city.settings.truth_file.read_text().splitlines()]
    assert {"heavy_pollution", "crowd_road_pressure"} <= {one["name"] for one in told}
    assert city.feed is not None
    progress = city.feed_progress()
    assert progress is not None
    assert progress.phase == "ended"
    assert progress.accepted > 100_000
