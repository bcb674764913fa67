"""A replay out of ClickHouse gives all that was live: the service on a real topic, and signals as they are stored."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from deploy.local.servers import Endpoints
from services.cli.rule_history import found_in, show
from services.core.signals import Signal
from services.correlation.backtest import Past, compare
from services.correlation.history import read_incidents
from services.correlation.rules import load_rules
from services.runtime.migrations import migrate
from services.runtime.records import signals_table
from tests.core.correlation.city import HOUR, MINUTE, NOON, congestion, crowding
from tests.integration.correlation.city import placed, produce, reports, written
from tests.integration.correlation.conftest import Service, wait_until

DAY = 24 * HOUR
RULE = next(rule for rule in load_rules() if rule.name == "crowd_road_pressure")
# Places so far from each other that nothing links them.
PLACES_M = range(0, 40_000, 4_000)
LABELS = ((), (("line", "western"), ("place", "platform")), (("place", "square"),))


def city_of_two_days() -> list[Signal]:
    """Crowds and jams in the order in which they are told: some late, some corrected, some retracted.

    Some crowds stand on a platform, which the rule is `without`.
    """
    chance = random.Random(7)
    told: list[tuple[int, Signal]] = []
    for number in range(120):
        north_m, hour = chance.choice(PLACES_M), chance.randrange(40)
        for signal in (
            crowding(f"gate-{north_m}", NOON + hour * HOUR, north_m=north_m, attributes=LABELS[north_m % 3]),
            congestion(f"road-{number}", NOON + hour * HOUR + 5 * MINUTE * chance.randrange(12), north_m=north_m + 300),
        ):
            told.append((signal.end_ms + chance.choice([0, 0, 3 * HOUR]), signal))
            if chance.random() < 0.2:
                retracted = chance.random() < 0.5
                told.append((signal.end_ms + 4 * HOUR, replace(signal, revision=2, retracted=retracted)))
    return [placed(signal) for _, signal in sorted(told, key=lambda entry: entry[0])]


@pytest.fixture(scope="module")
def clickhouse(own_servers: Endpoints, service: Service) -> Iterator[Client]:
    """Two days of signals, live on the topic and as the domains store them: every version, in no order."""
    signals = city_of_two_days()
    migrate(own_servers.clickhouse)
    with clickhouse_connect.get_client(dsn=own_servers.clickhouse) as client:
        for domain in ("community", "traffic"):
            rows = [signal for signal in signals if signal.domain == domain]
            client.insert_arrow(f"{domain}.signals", signals_table(random.Random(1).sample(rows, len(rows))))
        produce(
            own_servers.kafka,
            (value for signal in signals for value in (*written(signal), *reports(signal.end_ms))),
        )
        produce(own_servers.kafka, reports(NOON + 5 * DAY))
        # All are over in the end; the last version of each is stored when the checkpoint after it is.
        count = "SELECT countIf(state = 'resolved'), count() FROM correlation.incidents FINAL WHERE state NOT IN"
        gone = "('superseded', 'retracted')"
        wait_until(lambda: all_over(client, f"{count} {gone}"), "that all incidents are over")
        yield client


def all_over(client: Client, query: str) -> bool:
    over, count = client.query(query).result_rows[0]
    return bool(count) and over == count


def live(client: Client, from_ms: int, to_ms: int) -> list[Past]:
    return read_incidents(client, RULE.name, "auckland", from_ms, to_ms)


@pytest.mark.parametrize("hours", [(0, 48), (7, 23), (30, 31)])
def test_a_replay_out_of_clickhouse_gives_the_live_set(clickhouse: Client, hours: tuple[int, int]):
    from_ms, to_ms = (NOON + hour * HOUR for hour in hours)
    found = found_in(clickhouse, RULE, "", from_ms, to_ms)
    assert found == live(clickhouse, from_ms, to_ms)
    if hours == (0, 48):
        assert len(found) > 20


def test_another_version_is_compared_by_signals(clickhouse: Client, capsys: pytest.CaptureFixture[str]):
    narrower = replace(RULE, version=2, within_s=0)
    found = found_in(clickhouse, narrower, "auckland", NOON, NOON + 2 * DAY)
    before = live(clickhouse, NOON, NOON + 2 * DAY)
    result = compare(found, before)
    assert 0 < result.same < len(result.both)
    assert len(result.both) + len(result.only_live) == len(before)
    show(result, "version 2", "live")
    assert f"both {len(result.both)} (of the same signals {result.same})" in capsys.readouterr().out


def test_another_city_has_none(clickhouse: Client):
    assert found_in(clickhouse, RULE, "beijing", NOON, NOON + DAY) == []
