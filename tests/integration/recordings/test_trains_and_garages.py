"""Real trains and garages through `urban replay` and real servers, held against the files, row by row."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.integration.processor.city import City
from tests.integration.processor.real_data import need
from tests.integration.recordings.replaying import Service

QUARTER = timedelta(minutes=15)
# What a test takes of a file of years, so that it takes no minute.
GARAGES = date(2014, 8, 1), date(2014, 8, 15)
DELAYS = date(2018, 12, 1), date(2018, 12, 15)
SEVERITIES = ("minor", "moderate", "severe", "extreme")

Window = tuple[str, datetime]


def rows_of(path: str) -> Iterator[dict[str, str]]:
    with gzip.open(need(path), "rt", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


def moment(text: str, zone: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def window_of(entity: str, time: datetime) -> Window:
    seconds = int(time.timestamp())
    return entity, datetime.fromtimestamp(seconds - seconds % 900, UTC)


def within(time: datetime, days: tuple[date, date]) -> bool:
    first, end = (datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days)
    return first <= time < end


def span(days: tuple[date, date]) -> tuple[str, ...]:
    return "--from", str(days[0]), "--to", str(days[1])


async def signals(city: City, kind: str) -> dict[Window, str]:
    rows = await city.query(
        f"SELECT entity_id, start_time, severity FROM traffic.signals FINAL WHERE type = '{kind}' AND state = 'raised'"
    )
    return {(entity, start.replace(tzinfo=UTC)): severity for entity, start, severity in rows}


async def until_stored(city: City, table: str, count: int) -> None:
    async def stored() -> bool:
        return bool((await city.query(f"SELECT count() FROM traffic.{table}"))[0][0] == count)

    await city.until(stored, f"{count} rows of {table}")


@pytest.mark.timeout(600)
async def test_no_garage_of_aarhus_is_above_its_capacity_without_a_signal_that_says_so(city: City):
    path = "aarhus_citypulse/aarhus_parking.csv.gz"
    impossible: set[Window] = set()
    windows: set[Window] = set()
    count = 0
    for row in rows_of(path):
        time = moment(row["updatetime"], "Europe/Copenhagen")
        if within(time, GARAGES):
            window = window_of(f"garage-{row['garagecode']}", time)
            windows.add(window)
            count += 1
            if int(row["vehiclecount"]) > int(row["totalspaces"]):
                impossible.add(window)
    service = await Service.start(city, "traffic")
    told = await service.replay("traffic.parking", need(path), "--format", "aarhus_parking", *span(GARAGES))
    assert (told["accepted"], told["refused"], told["entities"]) == (count, 0, 8)

    async def all_windows() -> bool:
        rows = await city.query("SELECT count() FROM traffic.parking_windows FINAL WHERE window = '15m'")
        return bool(rows[0][0] == len(windows))

    await city.until(all_windows, f"{len(windows)} windows")
    above = await city.query(
        "SELECT entity_id, start_time FROM traffic.parking_windows FINAL"
        " WHERE window = '15m' AND vehicles_max > spaces_max"
    )
    assert {(entity, start.replace(tzinfo=UTC)) for entity, start in above} == impossible
    assert (await signals(city, "parking_impossible")).keys() == impossible
    assert {entity for entity, _ in impossible} == {"garage-BUSGADEHUSET"}
    assert len(impossible) > 100


@pytest.mark.timeout(600)
async def test_delays_of_toronto_are_told_by_their_tier(city: City):
    path = "toronto_ttc/ttc_subway_delay.csv.gz"
    worst: dict[Window, float] = defaultdict(float)
    count = 0
    for row in rows_of(path):
        time = moment(f"{row['Date']}T{row['Time']}", "America/Toronto")
        if within(time, DELAYS):
            place = ":".join((row["Station"], row["Line"], row["Bound"]))
            window = window_of(re.sub(r"[^A-Za-z0-9._~:-]+", "-", place).strip("-:"), time)
            worst[window] = max(worst[window], float(row["Min Delay"]))
            count += 1
    tiers = {window: sum(minutes >= least for least in (5, 15, 30)) for window, minutes in worst.items()}
    expected = {window: SEVERITIES[tier] for window, tier in tiers.items() if tier}
    service = await Service.start(city, "traffic")
    told = await service.replay("traffic.rail_call", need(path), "--format", "toronto_subway", *span(DELAYS))
    assert (told["accepted"], told["refused"]) == (count, 0)

    async def all_signals() -> bool:
        return len(await signals(city, "train_delay")) >= len(expected)

    await city.until(all_signals, f"{len(expected)} signals")
    assert await signals(city, "train_delay") == expected
    by_tier = Counter(expected.values())
    print(f"Toronto, {DELAYS[0]} to {DELAYS[1]}: {count} delays, signals {dict(by_tier)}")
    assert set(by_tier) == {"moderate", "severe", "extreme"}
    assert await service.ledger("rail_call") == (count, count, 0, 0, 0)


@pytest.mark.timeout(600)
async def test_bart_and_caltrain_are_as_late_as_their_feeds_are_against_their_timetables(city: City):
    feeds = "gtfs_rt_bayarea"
    tiers = (
        "SELECT countIf(delay_s < 300), countIf(delay_s >= 300 AND delay_s < 900),"
        " countIf(delay_s >= 900 AND delay_s < 1800), countIf(delay_s >= 1800) FROM traffic.rail_call"
    )
    service = await Service.start(city, "traffic")
    bart = [need(f"{feeds}/{name}") for name in ("bart-rt.zip", "bart-trip-updates.pb", "bart-alerts.pb")]
    told = await service.replay("traffic.rail_call,traffic.service_alert", *bart, "--format", "gtfs-rt-expected")
    assert told["accepted"] == 979 + 1
    assert told["registered"] > 200
    assert "MEDICAL_EMERGENCY, SIGNIFICANT_DELAYS" in service.answers[-1].errors
    await until_stored(city, "rail_call", 979)
    # As tests/feeds/test_real_trains.py has it of the feed itself.
    assert await city.query(tiers) == [(705, 153, 97, 24)]
    headways = "SELECT scheduled_headway_s, count() FROM traffic.rail_call GROUP BY 1 ORDER BY 1"
    assert await city.query(headways) == [(900.0, 975), (1800.0, 4)]
    assert (await signals(city, "train_delay")).values()
    assert [*(await signals(city, "service_alert")).values()] == ["moderate"]

    # Four years later, in the same city.
    caltrain = [need(f"{feeds}/{name}") for name in ("ct.zip", "ct-trip-updates.pb", "ct-vehicle-positions.pb")]
    told = await service.replay("traffic.rail_call", *caltrain, "--format", "gtfs-rt-expected")
    assert told["accepted"] == 220
    await until_stored(city, "rail_call", 979 + 220)
    assert await city.query(f"{tiers} WHERE time > toDateTime('2023-01-01 00:00:00')") == [(205, 15, 0, 0)]
    assert await service.ledger("rail_call") == (1199, 1199, 0, 0, 0)
