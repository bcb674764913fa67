"""The city of docker-compose.yml, unchanged, with Kafka itself and the embedded ClickHouse behind the official names.

One run tells everything: the services before their servers, up, observations in, windows and an incident out, a worker
killed, figures and alerts, down, up again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from deploy.k8s.alerts import alerts
from deploy.k8s.roles import City
from services.cli.domains import find_domains, service_names
from services.feeds import auckland_feed
from services.feeds.__main__ import DEFAULT_SEED
from tests.deploy.roles import roles
from tests.images.city import ROLES, ComposedCity
from tests.images.engine import Engine, wait_for
from tests.images.report import note

pytestmark = [pytest.mark.slow, pytest.mark.timeout(5400)]

# The morning of the replay, and the eight weeks before that say what is normal: by half past twelve the crowd and the
# roads beside it have made incidents. As fast as it is taken.
UNTIL = datetime.fromisoformat("2024-11-24T12:30+13:00")
FEED = {"CITY_FEED_UNTIL": UNTIL.isoformat(), "CITY_FEED_SPEED": "100000"}
REPLAY_TIMEOUT_S = 1800.0
ANSWER_TIMEOUT_S = 900.0

STATION = "victoria-park"
WINDOWS = "SELECT count() FROM urban.v_air_quality_windows WHERE entity_id = 'victoria-park' AND window = '1h'"
STORED = {
    "people": "SELECT count() FROM community.people_count FINAL",
    "roads": "SELECT count() FROM traffic.road_flow FINAL",
    "windows of people": "SELECT count(), sum(revision) FROM community.people_count_windows FINAL",
    "windows of roads": "SELECT count(), sum(revision) FROM traffic.road_flow_windows FINAL",
    "signals": "SELECT count(), sum(revision) FROM urban.v_signals",
    "incidents": "SELECT id, revision FROM urban.v_incidents ORDER BY ALL",
}
BOOKS = (
    "SELECT topic, kafka_partition, difference, archive_difference FROM urban.v_ledger"
    " WHERE difference != 0 OR ifNull(archive_difference, 0) != 0"
)


# What Prometheus is right to tell of a city in which two of four domains are fed, with a day of the past.
OF_A_REPLAY = {
    "UrbanEventTimeBehind": "the clock of the replay is that of the day which it replays",
    "UrbanNothingComes": "nothing was sent to security, and nothing any more to environment",
    "UrbanCorrelationHeldBack": "of a domain that is not fed, a replay has no clock",
    "UrbanPartitionUnowned": "an archiver tells the lag of a partition once it has read from it",
}

CITY = City(find_domains())


@dataclass
class Observed:
    """What was seen of the one run."""

    _seconds: dict[str, float] = field(default_factory=dict)
    healthy_without_servers: list[str] = field(default_factory=list)
    restarts: dict[str, int] = field(default_factory=dict)
    sent: str = ""
    windows: int = 0
    more_windows: int = 0
    incidents: list[dict[str, Any]] = field(default_factory=list)
    status: str = ""
    serving: set[tuple[str, str]] = field(default_factory=set)
    rules: list[dict[str, Any]] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    books: list[list[str]] = field(default_factory=list)
    alerts_on: list[str] = field(default_factory=list)

    def took(self, what: str, seconds: float) -> None:
        """Told at once, so that a run that fails shows how far it came."""
        self._seconds[what] = round(seconds, 1)
        note(seconds=self._seconds)


def _fed() -> dict[str, int]:
    """How many observations the feed has, by its own plan: all of them are to be stored, each once."""
    people = roads = 0
    for step in auckland_feed.steps(auckland_feed.plan(DEFAULT_SEED, round(UNTIL.timestamp() * 1000))):
        people += len(step.people.entity) if step.people else 0
        roads += len(step.roads.entity) if step.roads else 0
    return {"people": people, "roads": roads}


def _hours(first: int, last: int) -> str:
    """One observation an hour of a station in Auckland, in the form that `urban send` reads."""
    rows = (
        {
            "entity_id": STATION,
            "time": f"2024-11-{23 + hour // 24}T{hour % 24:02}:00:00Z",
            "period_s": 3600,
            "no2_ug_m3": 20,
        }
        for hour in range(first, last)
    )
    return "".join(json.dumps(row) + "\n" for row in rows)


def _stored(city: ComposedCity) -> dict[str, Any]:
    return {name: city.rows(statement) for name, statement in STORED.items()}


def _windows(city: ComposedCity) -> int:
    rows = city.rows(WINDOWS)
    return int(rows[0][0]) if rows else 0


@pytest.fixture(scope="module")
def observed(
    engine: Engine, image: str, standins: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Observed]:
    """The whole story, told once."""
    city = ComposedCity(engine, image, tmp_path_factory.mktemp("city"), FEED)
    try:
        yield _run(city)
    finally:
        engine.clean(keep_images=True)


def _run(city: ComposedCity) -> Observed:
    seen = Observed()
    city.up_without_servers()
    waited = wait_for("the first service to try again", lambda: any(city.restarts().values()), ANSWER_TIMEOUT_S)
    seen.took("restart without servers", waited)
    seen.healthy_without_servers = [name for name in ROLES if city.is_healthy(name)]
    seen.took("up to healthy", city.up())
    seen.restarts = city.restarts()
    seen.took("views", wait_for("the views", lambda: city.has_ended("migrate"), ANSWER_TIMEOUT_S))
    seen.sent = city.urban("send", "environment.air_quality", "-", typed=_hours(1, 20)).stdout
    seen.took("windows", wait_for("windows", lambda: _windows(city) >= 10, ANSWER_TIMEOUT_S))
    city.kill("environment-processor")
    waited = wait_for("the worker", lambda: city.is_healthy("environment-processor"), ANSWER_TIMEOUT_S)
    seen.took("killed worker back", waited)
    seen.took("replay to its end", wait_for("the replay", lambda: city.has_ended("feed"), REPLAY_TIMEOUT_S))
    settled = wait_for("the books", lambda: city.inside("status").returncode == 0, ANSWER_TIMEOUT_S)
    seen.took("replay worked off", settled)
    seen.status = city.inside("status").stdout
    seen.incidents = json.loads(city.urban("incidents", "list", "--json").stdout)
    note(memory_mib=city.memory_mib(), restarts=seen.restarts)
    _monitor(city, seen)
    _down_and_up(city, seen)
    return seen


def _monitor(city: ComposedCity, seen: Observed) -> None:
    prometheus = city.up_prometheus()
    waited = wait_for("figures of every role", lambda: prometheus.serving() == set(roles()), ANSWER_TIMEOUT_S)
    seen.took("figures of every role", waited)
    # A rate needs two answers of a service.
    wait_for("rates", lambda: bool(prometheus.query("rate(urban_windows_total[1m])")), ANSWER_TIMEOUT_S)
    # Of what was evaluated before it had heard everybody, much was absent.
    heard = datetime.now(UTC)
    wait_for("rules", lambda: prometheus.evaluated_since(heard), ANSWER_TIMEOUT_S)
    seen.serving, seen.rules = prometheus.serving(), prometheus.rules()
    # Every panel is asked here: one that Prometheus cannot evaluate ends the run.
    seen.alerts_on = sorted({rule["name"] for rule in seen.rules if rule["state"] != "inactive"})
    note(alerts_on=seen.alerts_on, empty_panels=prometheus.empty_panels())


def _down_and_up(city: ComposedCity, seen: Observed) -> None:
    seen.windows = _windows(city)
    seen.before = _stored(city)
    began = time.monotonic()
    seen.ended = city.down()
    seen.took("down", time.monotonic() - began)
    seen.took("up again to healthy", city.up())
    seen.after = _stored(city)
    city.urban("send", "environment.air_quality", "-", typed=_hours(20, 40))
    waited = wait_for("more windows", lambda: _windows(city) >= seen.windows + 15, ANSWER_TIMEOUT_S)
    seen.took("more windows", waited)
    seen.more_windows = _windows(city)
    seen.books = city.rows(BOOKS)


def test_services_that_start_before_kafka_try_again_until_it_is_there(observed):
    assert observed.healthy_without_servers == []
    assert any(observed.restarts.values())


def test_an_observation_goes_in_by_grpc_and_comes_out_as_a_window(observed):
    assert observed.sent == "19 accepted, 0 rejected\n"
    assert observed.windows >= 10


def test_the_replay_ends_in_an_incident(observed):
    assert "crowd_road_pressure" in {incident["rule"]["name"] for incident in observed.incidents}


def test_every_observation_of_the_replay_is_stored_once(observed):
    stored = {name: int(observed.before[name][0][0]) for name in ("people", "roads")}
    assert stored == _fed()


def test_the_command_of_the_file_finds_every_service(observed):
    assert [name for name in service_names() if name not in observed.status] == []


def test_prometheus_hears_every_role_and_evaluates_every_alert(observed):
    assert observed.serving == set(roles())
    assert [rule for rule in observed.rules if rule["health"] != "ok"] == []
    assert [rule["name"] for rule in observed.rules] == [alert.name for alert in alerts(CITY)]


def test_no_alert_is_on_but_those_that_a_replay_explains(observed):
    assert set(observed.alerts_on) <= set(OF_A_REPLAY)


def test_every_role_stops_clean_when_it_is_asked(observed):
    assert {name: observed.ended[name] for name in ROLES} == dict.fromkeys(ROLES, 0)


def test_what_was_stored_before_a_down_is_there_after_an_up(observed):
    assert all(observed.before.values())
    assert observed.after == observed.before


def test_it_goes_on_where_it_was_and_the_books_balance(observed):
    assert observed.more_windows >= observed.windows + 15
    assert observed.books == []
