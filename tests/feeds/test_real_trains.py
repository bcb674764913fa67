"""Real trains, where they are at hand: BART and Caltrain against their timetables, Toronto's delays by tier."""

from __future__ import annotations

import csv
import gzip
import math
from collections import Counter
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np

from services.core.frame import Frame
from services.core.kind import MINUTE_MS
from services.core.partition import Partition
from services.core.signals import Severity
from services.feeds.gtfs import Timetable, read_timetable
from services.feeds.gtfs_alerts import read_alerts
from services.feeds.gtfs_realtime import Reading, parse, read_calls, read_occupancy
from services.feeds.rail_calls import CallTracker
from services.traffic.domain import RAIL_CALL
from services.traffic.indices.punctuality import CallState, delay_tier
from tests.integration.processor.real_data import need

FEEDS = "gtfs_rt_bayarea"


def read(timetable: str, updates: str) -> tuple[Timetable, Reading]:
    found = read_timetable(need(f"{FEEDS}/{timetable}"))
    return found, read_calls(parse(need(f"{FEEDS}/{updates}").read_bytes()), found)


def delays(reading: Reading) -> np.ndarray:
    return np.array([call.delay_s for call in reading.calls])


def test_bart_on_the_day_of_an_emergency():
    message = parse(need(f"{FEEDS}/bart-trip-updates.pb").read_bytes())
    told = [stop.arrival.delay for entity in message.entity for stop in entity.trip_update.stop_time_update]
    assert (len(told), sum(delay > 60 for delay in told)) == (1060, 399)
    _, reading = read("bart-rt.zip", "bart-trip-updates.pb")
    # 26 of its 91 trips are not in the timetable, and the feed does not tell their line.
    assert (len(reading.calls), reading.unmatched) == (979, 81)
    assert {call.day for call in reading.calls} == {date(2019, 8, 7)}
    assert Counter(delay_tier(delays(reading)).tolist()) == {0: 705, 1: 153, 2: 97, 3: 24}
    # Every line runs every quarter of an hour at that time of a weekday; one train follows a gap in the timetable.
    assert Counter(call.scheduled_headway_s for call in reading.calls) == {900.0: 975, 1800.0: 4}
    (alert,) = read_alerts(parse(need(f"{FEEDS}/bart-alerts.pb").read_bytes()))
    assert (alert.cause, alert.effect) == ("MEDICAL_EMERGENCY", "SIGNIFICANT_DELAYS")
    assert "Montgomery" in alert.text


def test_caltrain_is_late_by_what_its_times_are_after_its_timetable():
    timetable, reading = read("ct.zip", "ct-trip-updates.pb")
    assert (len(reading.calls), reading.unmatched) == (220, 0)
    assert {call.day for call in reading.calls} == {date(2023, 11, 7)}
    # The feed tells times only, and trains stand for no time in this timetable: each delay is plain arithmetic.
    midnight = datetime.fromisoformat("2023-11-07T00:00-08:00").timestamp()
    planned = {(trip, c.sequence): c.arrival_s for trip, calls in timetable.calls.items() for c in calls}
    assert all(c.arrival_s == c.departure_s for calls in timetable.calls.values() for c in calls)
    for call in reading.calls:
        assert call.delay_s == call.time_ms / 1000 - midnight - planned[call.trip, call.sequence]
    assert Counter(delay_tier(delays(reading)).tolist()) == {0: 205, 1: 15}
    assert read_occupancy(parse(need(f"{FEEDS}/ct-vehicle-positions.pb").read_bytes())) == {}


def test_a_reading_tells_the_calls_that_were_made_by_its_time():
    for timetable, updates, count in (("bart-rt.zip", "bart-trip-updates.pb", 8), ("ct.zip", "ct-trip-updates.pb", 3)):
        _, reading = read(timetable, updates)
        made = CallTracker().follow(reading)
        assert len(made) == count
        assert all(found.call.time_ms <= reading.time_ms for found in made)


def test_headways_of_a_day_of_bart_are_the_times_between_its_trains_one_by_one():
    timetable = read_timetable(need(f"{FEEDS}/bart-rt.zip"))
    day = date(2019, 8, 7)
    found = timetable.headways_s(day)
    # Arrivals of the day, and those of the day before, which have no headway of their own.
    arrivals: dict[tuple[str, str, str], list[tuple[int, tuple[str, int] | None]]] = {}
    for trip in timetable.trips.values():
        for call in timetable.calls[trip.id]:
            times = arrivals.setdefault((call.stop, trip.route, trip.direction), [])
            if timetable.runs_on(trip.id, day):
                times.append((call.arrival_s, (trip.id, call.sequence)))
            if timetable.runs_on(trip.id, date(2019, 8, 6)):
                times.append((call.arrival_s - 86_400, None))
    compared = 0
    for times in arrivals.values():
        times.sort(key=lambda time: time[0])
        for before, (arrival_s, key) in zip([None, *times], times, strict=False):
            if key is not None:
                expected = math.nan if before is None else arrival_s - before[0]
                assert found[key] == expected or (math.isnan(expected) and math.isnan(found[key]))
                compared += 1
    assert compared == len(found) > 10_000


def toronto(year: str) -> list[tuple[str, int, float]]:
    """Station, time in ms and delay in minutes of each entry of the subway's log."""
    rows = []
    with gzip.open(need("toronto_ttc/ttc_subway_delay.csv.gz"), "rt") as lines:
        for row in csv.DictReader(lines):
            if row["Date"].startswith(year):
                time = datetime.fromisoformat(f"{row['Date']}T{row['Time']}").replace(tzinfo=UTC)
                rows.append((row["Station"], int(time.timestamp()) * 1000, float(row["Min Delay"])))
    return sorted(rows, key=lambda row: row[1])


def tier_of_minutes(minutes: float) -> int:
    return 3 if minutes >= 30 else 2 if minutes >= 15 else 1 if minutes >= 5 else 0


def test_toronto_s_delays_by_tier_are_what_its_log_tells():
    rows = toronto("2018")
    found = Counter(delay_tier([60.0 * minutes for *_, minutes in rows]).tolist())
    assert found == Counter(tier_of_minutes(minutes) for *_, minutes in rows)
    assert sum(found.values()) == len(rows) > 20_000
    assert all(found[tier] > 100 for tier in range(4))


def test_toronto_s_delays_become_one_signal_a_station_and_quarter_of_an_hour():
    rows = toronto("2018-0")
    stations = sorted({station for station, *_ in rows})
    worst: Counter[tuple[str, int]] = Counter()
    for station, time_ms, minutes in rows:
        window = station, time_ms // (15 * MINUTE_MS)
        worst[window] = max(worst[window], tier_of_minutes(minutes))
    missing = np.full(len(rows), np.nan, np.float32)
    columns = dict.fromkeys(("headway_s", "scheduled_headway_s", "load_p_m2"), missing) | {
        "delay_s": np.array([60.0 * minutes for *_, minutes in rows], np.float32),
        "state": np.full(len(rows), CallState.CALLED, np.uint32),
        "occupancy_status": np.zeros(len(rows), np.uint32),
    }
    entity = np.array([stations.index(station) for station, *_ in rows], np.uint32)
    times = np.array([time_ms for _, time_ms, _ in rows], np.int64)
    ids = tuple(f"station-{i}" for i in range(len(stations)))
    last_ms = int(times[-1])
    frame = Frame("toronto", ids, entity, times, 0, columns, clock_ms=last_ms)
    nothing = {name: values[:0] for name, values in columns.items()}
    end = Frame("toronto", (), entity[:0], times[:0], 0, nothing, clock_ms=last_ms + 86_400_000, heartbeat=True)
    partition = Partition("traffic", RAIL_CALL.without_unusual(), 0)
    signals = [
        signal
        for closing in partition.fold([frame, end])
        for batch in closing.batches
        for signal in partition.detect(replace(batch, attributes={}))
    ]
    told = {(stations[int(s.entity_id.removeprefix("station-"))], s.start_ms // (15 * MINUTE_MS)): s for s in signals}
    assert {s.type for s in signals} == {"train_delay"}
    assert told.keys() == {window for window, tier in worst.items() if tier}
    severities = {1: Severity.MODERATE, 2: Severity.SEVERE, 3: Severity.EXTREME}
    assert all(signal.severity is severities[worst[window]] for window, signal in told.items())
