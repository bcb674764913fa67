"""Major-emergency plan, as a city asks for it: from a forecast of bad air to a level, from its opening to its close.

The plan of 2017 (m.wenke99.com/p-9609601.html) judges a forecast of the index of any 24 hours: blue above 200; yellow
above 200 for 48 h; orange above 200 for 72 h and above 300 on one day; red above 200 for 96 h and above 300 for 48 h,
or 500.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident
from services.core.correlation.rulebook import Rulebook
from services.core.kind import HOUR_MS
from services.core.response.case import Notice
from services.core.response.responder import GRACE_MS, Responder
from services.core.signals import Signal
from services.correlation.notices import seen_of
from services.correlation.plans import load_plans
from services.correlation.rules import load_rules
from services.correlation.wire import IncidentWriter
from services.environment.domain import AIR_QUALITY
from services.environment.indices.heavy_pollution import Alert, alert_levels, plan_of_day
from services.environment.indices.programmes import find_programme
from services.environment.indices.standard import Pollutant
from services.environment.indices.station_index import rolling_by_date
from tests.core.domains.environment.stations import CHINA, Station, frame_of, heartbeat, ms
from urban.correlation.v1.incident_pb2 import Incident as IncidentMessage

START = "2018-01-10T00:00+08:00"
MINUTE_MS = 60_000

# PM2.5 in µg/m³ that is an index of so much by HJ 633-2012: 150 to 250 are 200 to 300, 350 to 500 are 400 to 500.
GOOD, INDEX_200, INDEX_201, INDEX_300, INDEX_301, INDEX_499, INDEX_500 = 20.0, 150.0, 151.0, 250.0, 251.0, 498.0, 500.0

Spells = Sequence[tuple[float, int]]  # µg/m³ and hours


def forecast_levels(spells: Spells) -> list[int]:
    """The level at each hour of a forecast that begins with a good day."""
    hours = np.concatenate([np.full(n, value) for value, n in [(GOOD, 24), *spells]])
    newest_ms = ms(START) + (len(hours) - 1) * HOUR_MS
    unknown = np.full((len(hours), 1), np.nan)
    hourly = {p: hours[:, np.newaxis] if p is Pollutant.PM2_5 else unknown for p in Pollutant}
    index = rolling_by_date(find_programme("cn-2012"), CHINA.clock, newest_ms, hourly, len(hours))
    plan = plan_of_day(date.fromisoformat(START[:10]))
    assert plan is not None
    return [int(level) for level in alert_levels(plan, index)[:, 0]]


@pytest.mark.parametrize(
    ("spells", "highest"),
    [
        pytest.param([(INDEX_200, 200)], Alert.NONE, id="200 is not above 200, however long"),
        pytest.param([(INDEX_201, 23)], Alert.NONE, id="not a whole day above 200"),
        pytest.param([(INDEX_201, 24)], Alert.BLUE, id="a day above 200"),
        pytest.param([(INDEX_201, 47)], Alert.BLUE, id="47 hours above 200"),
        pytest.param([(INDEX_201, 48)], Alert.YELLOW, id="48 hours above 200"),
        pytest.param([(INDEX_201, 48), (INDEX_301, 23)], Alert.YELLOW, id="71 hours above 200, 300 not reached"),
        pytest.param([(INDEX_201, 47), (INDEX_301, 24)], Alert.YELLOW, id="71 hours above 200, above 300 for a day"),
        pytest.param([(INDEX_201, 48), (INDEX_300, 24)], Alert.YELLOW, id="72 hours above 200, 300 is not above 300"),
        pytest.param([(INDEX_201, 48), (INDEX_301, 24)], Alert.ORANGE, id="72 hours above 200, above 300 for a day"),
        pytest.param([(INDEX_201, 47), (INDEX_301, 48)], Alert.ORANGE, id="95 hours above 200, 48 above 300"),
        pytest.param([(INDEX_201, 49), (INDEX_301, 47)], Alert.ORANGE, id="96 hours above 200, 47 above 300"),
        pytest.param([(INDEX_201, 48), (INDEX_301, 48)], Alert.RED, id="96 hours above 200, 48 above 300"),
        pytest.param([(INDEX_499, 24)], Alert.BLUE, id="a day of 499"),
        pytest.param([(INDEX_500, 24)], Alert.RED, id="a day of 500"),
    ],
)
def test_major_emergency_plan_works_from_a_forecast_of_the_rolling_24_hour_index(spells: Spells, highest: Alert):
    assert max(forecast_levels(spells)) == highest


def test_major_emergency_plan_works_from_what_two_stations_observe_as_their_forecast_would_have_said():
    spells = [(INDEX_201, 48), (INDEX_301, 72)]
    expected = forecast_levels(spells)[24 : 24 + 120]
    for signals in observed(spells):
        levels = {signal.start_ms: int(signal.evidence[0].value) for signal in signals}
        assert [levels.get(ms(START) + (24 + hour) * HOUR_MS, 0) for hour in range(120)] == expected
        assert {signal.model for signal in signals} == {"cn-heavy-pollution-2017"}
    assert [*dict.fromkeys(expected)] == [Alert.NONE, Alert.BLUE, Alert.YELLOW, Alert.ORANGE, Alert.RED]


def observed(spells: Spells) -> list[list[Signal]]:
    """What the detector tells of two stations 10 km apart that measure the same, a good day before and after."""
    values = [value for value, n in [(GOOD, 24), *spells, (GOOD, 24)] for _ in range(n)]
    frame = frame_of(AIR_QUALITY, ms(START), {"pm2_5_ug_m3": values})
    station = Station(AIR_QUALITY).fold(frame, heartbeat(AIR_QUALITY, frame.clock_ms + 12 * HOUR_MS))
    found = sorted(station.standing("heavy_pollution").values(), key=lambda signal: signal.start_ms)
    return [[_of(number, signal) for signal in found] for number in range(2)]


def _of(number: int, signal: Signal) -> Signal:
    north = 39.9 + 0.09 * number
    return replace(
        signal, id=f"{number}{signal.id[1:]}", entity_id=f"station-{number}", latitude=north, longitude=116.4
    )


class Episode:
    """The shipped rule and plan over the hours of an episode; record time is event time."""

    def __init__(self) -> None:
        rules = [rule for rule in load_rules() if rule.name == "heavy_pollution"]
        self._rules = Rulebook(rules, {("environment", "air_quality"): 1}, silence_ms=HOUR_MS)
        self._responder = Responder(load_plans())
        self._writer, self._actions = IncidentWriter(), 0
        self.incident: Incident | None = None
        self.notices: list[Notice] = []

    def hour(self, end_ms: int, signals: Sequence[Signal]) -> None:
        """An hour has ended, and this was told of it."""
        records: list[Signal | Watermarks] = [*signals, Watermarks("environment", "air_quality", {0: end_ms})]
        for record in records:
            self._tell(self._rules.take(record, end_ms), end_ms)

    def act(self, time_ms: int, kind: ActionKind, note: str = "", about: str = "") -> None:
        """Somebody does something about the incident."""
        assert self.incident is not None
        self._actions += 1
        place, seen_ms = self._actions, self.incident.end_ms
        action = Action(self.incident.id, f"r{place}", "Ana", time_ms, note, kind, about, seen_ms, place)
        self._tell(self._rules.act(action), time_ms)

    def wait(self, time_ms: int) -> None:
        """Nothing is written until then."""
        self.notices += self._responder.advance(time_ms)

    def told(self) -> list[tuple[str, str, str, str]]:
        """Level, reason, clock and receiver of what was told since this was asked last."""
        told, self.notices = self.notices, []
        return [(n.level, n.reason.name.lower(), n.clock, n.receiver) for n in told]

    def _tell(self, versions: Sequence[Incident], time_ms: int) -> None:
        for version in versions:
            assert self.incident is None or version.id == self.incident.id, "one episode is one incident"
            self.incident = version
            message = IncidentMessage.FromString(self._writer.message(version))
            self.notices += self._responder.take(seen_of(message, signals=True), time_ms)


@pytest.fixture(scope="module")
def hours() -> list[tuple[int, list[Signal]]]:
    """The end of each hour of an episode, and what was told of it: blue from hour 0, yellow 24, orange 48, red 72."""
    told: dict[int, list[Signal]] = {}
    for signals in observed([(INDEX_201, 48), (INDEX_301, 48)]):
        for signal in signals:
            told.setdefault(signal.end_ms, []).append(signal)
    return sorted(told.items())


def test_major_emergency_plan_works_in_that_a_breached_clock_escalates_once(hours: list[tuple[int, list[Signal]]]):
    episode = Episode()
    (opened_ms, signals), *later = hours[:24]
    episode.hour(opened_ms, signals)
    assert episode.told() == [("blue", "opened", "", "environment_office")]
    episode.wait(opened_ms + HOUR_MS + GRACE_MS - 1)
    assert episode.told() == []
    # However often anybody looks, and whatever comes then.
    for minute in range(60, 63):
        episode.wait(opened_ms + minute * MINUTE_MS + GRACE_MS)
    assert episode.told() == [("blue", "escalated", "acknowledge", "duty_officer")]
    for end_ms, signals in later:
        episode.hour(end_ms, signals)
    assert episode.told() == []


def test_major_emergency_plan_works_from_opening_to_a_verified_close(hours: list[tuple[int, list[Signal]]]):
    episode, (opened_ms, _), (last_ms, _) = Episode(), hours[0], hours[-1]
    deeds = {
        0: (ActionKind.ACKNOWLEDGE, "on it", ""),
        26: (ActionKind.DISPATCH, "dust", "two sprinklers"),
        50: (ActionKind.FEEDBACK, "kilns are off", ""),
    }
    for hour, (end_ms, signals) in enumerate(hours):
        episode.hour(end_ms, signals)
        if hour in deeds:
            episode.act(end_ms + 10 * MINUTE_MS, *deeds[hour])
    # Everything was done in time: nobody hears of a clock, at no level.
    told = episode.told()
    assert {reason for _, reason, _, _ in told} == {"opened", "raised"}
    assert [*dict.fromkeys(level for level, *_ in told)] == ["blue", "yellow", "orange", "red"]
    # The air is good again, which resolves it; somebody verifies that and closes it, which is the end.
    over_ms = last_ms + 3 * HOUR_MS
    episode.hour(over_ms, ())
    assert {reason for _, reason, _, _ in episode.told()} == {"ended"}
    episode.act(over_ms + MINUTE_MS, ActionKind.RESOLVE, "measured at both stations")
    episode.wait(over_ms + 48 * HOUR_MS)
    assert episode.told() == []
    assert episode.incident is not None
    hands = episode.incident.hands
    assert (hands.acknowledged_by, hands.dispatched, hands.closed_by) == ("Ana", "two sprinklers", "Ana")
    times = (hands.acknowledge_time_ms, hands.dispatch_time_ms, hands.feedback_time_ms, hands.close_time_ms)
    assert opened_ms < times[0] < times[1] < times[2] < times[3]
    assert [action.kind.name for action in hands.actions] == ["ACKNOWLEDGE", "DISPATCH", "FEEDBACK", "RESOLVE"]
