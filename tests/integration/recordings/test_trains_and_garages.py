"""Real trains and garages through `urban replay` and real servers, held against the files, row by row.

As a part of `make test` it is two weeks of each, else URBAN_REAL_DAYS: `make test-real` takes the counts of Aarhus
whole, and 671 days of both logs of Toronto; 1,826 are all of them.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.integration.processor.city import City
from tests.integration.processor.real_data import need
from tests.integration.recordings.replaying import Service

# What a test takes of a file of years, so that it takes no minute.
DAYS = int(os.environ.get("URBAN_REAL_DAYS") or 14)
ALL = date(2014, 1, 1), date(2019, 1, 2)
GARAGES = ALL if DAYS > 90 else (date(2014, 8, 1), date(2014, 8, 1) + timedelta(DAYS))
DELAYS = ALL if DAYS >= 1_826 else (date(2018, 12, 15) - timedelta(DAYS), date(2018, 12, 15))
# On a large scale what is not looked at here is not to be most of what is done: the state, and what is unusual.
ENVIRONMENT = {"URBAN_CHECKPOINT_SECONDS": "15", "URBAN_WITHOUT_UNUSUAL": '["*"]'} if DAYS > 100 else {}
WAIT_S = 600.0 + 15 * DAYS  # a way out of a hang, on a machine that has much else to do
SEVERITIES = ("minor", "moderate", "severe", "extreme")
# Minutes at which the tiers of delay begin, and the longest gap that a call may tell.
TIERS_MIN = (5, 15, 30)
DAY_MIN = 1_440
# The columns that name a place in the log of each mode.
MODES = {"subway": ("Station", "Line", "Bound"), "streetcar": ("Route", "Location", "Direction")}

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

    await city.until(stored, f"{count} rows of {table}", WAIT_S)


@pytest.mark.timeout(2 * WAIT_S)
async def test_no_garage_of_aarhus_is_above_its_capacity_without_a_signal_that_says_so(city: City):
    path = "aarhus_citypulse/aarhus_parking.csv.gz"
    impossible: set[Window] = set()
    windows: set[Window] = set()
    counts: Counter[str] = Counter()
    above: Counter[str] = Counter()
    for row in rows_of(path):
        time = moment(row["updatetime"], "Europe/Copenhagen")
        if within(time, GARAGES):
            garage = f"garage-{row['garagecode']}"
            window = window_of(garage, time)
            windows.add(window)
            counts[garage] += 1
            if int(row["vehiclecount"]) > int(row["totalspaces"]):
                impossible.add(window)
                above[garage] += 1
    count = counts.total()
    service = await Service.start(city, "traffic", **ENVIRONMENT)
    told = await service.replay(
        "traffic.parking", need(path), "--format", "aarhus_parking", *span(GARAGES), wait_s=WAIT_S
    )
    # A count below 0 would be refused.
    assert (told["accepted"], told["refused"], told["entities"]) == (count, 0, 8)

    async def all_windows() -> bool:
        rows = await city.query("SELECT count() FROM traffic.parking_windows FINAL WHERE window = '15m'")
        return bool(rows[0][0] == len(windows))

    await city.until(all_windows, f"{len(windows)} windows", WAIT_S)
    stored = await city.query(
        "SELECT entity_id, start_time FROM traffic.parking_windows FINAL"
        " WHERE window = '15m' AND vehicles_max > spaces_max"
    )
    assert {(entity, start.replace(tzinfo=UTC)) for entity, start in stored} == impossible
    found = (await signals(city, "parking_impossible")).keys()
    by_garage = Counter(entity for entity, _ in found)
    print(
        f"Aarhus, {len(counts)} garages, {count:,} counts in {told['seconds']:.0f} s: {above.total():,} above the"
        f" capacity {dict(above)}, signals {dict(by_garage)}, {len(impossible - found)} missing,"
        f" {len(found - impossible)} too many"
    )
    assert found == impossible
    assert above["garage-BUSGADEHUSET"] > 100
    # And the archive has each count that cannot be, as it was told.
    await until_stored(city, "parking", count)
    rows = await city.query("SELECT entity_id, count(), countIf(vehicles > spaces) FROM traffic.parking GROUP BY 1")
    assert {entity: tuple(numbers) for entity, *numbers in rows} == {g: (counts[g], above[g]) for g in counts}
    assert await service.ledger("parking") == (count, count, 0, 0, 0)


def number(text: str) -> float:
    return float(text) if text else math.nan


@pytest.mark.timeout(2 * WAIT_S)
@pytest.mark.parametrize("mode", MODES)
async def test_delays_of_toronto_are_told_by_their_tier(city: City, mode: str):
    path = f"toronto_ttc/ttc_{mode}_delay.csv.gz"
    worst: dict[Window, int] = defaultdict(int)
    by_tier: Counter[int] = Counter()  # -1: the delay is not told
    refused = 0
    for row in rows_of(path):
        # Two rows have a date in place of a time, and two a gap of more than a day.
        if len(row["Time"]) > len("00:00:00") or number(row["Min Gap"]) > DAY_MIN:
            refused += 1
            continue
        time = moment(f"{row['Date']}T{row['Time']}", "America/Toronto")
        if within(time, DELAYS):
            place = ":".join(row[column] for column in MODES[mode])
            window = window_of(re.sub(r"[^A-Za-z0-9._~:-]+", "-", place).strip("-:"), time)
            minutes = number(row["Min Delay"])
            tier = sum(minutes >= least for least in TIERS_MIN)
            worst[window] = max(worst[window], tier)
            by_tier[-1 if math.isnan(minutes) else tier] += 1
    count = by_tier.total()
    expected = {window: SEVERITIES[tier] for window, tier in worst.items() if tier}
    service = await Service.start(city, "traffic", **ENVIRONMENT)
    # What cannot be is told wherever it stands in a file, and ends the command with 1.
    status = 1 if refused else 0
    form = ("--format", f"toronto_{mode}", *span(DELAYS))
    told = await service.replay("traffic.rail_call", need(path), *form, status=status, wait_s=WAIT_S)
    assert (told["accepted"], told["refused"]) == (count, refused)
    assert refused == {"subway": 0, "streetcar": 4}[mode]

    async def all_signals() -> bool:
        return len(await signals(city, "train_delay")) >= len(expected)

    await city.until(all_signals, f"{len(expected)} signals", WAIT_S)
    found = await signals(city, "train_delay")
    different = {window for window, severity in found.items() if expected.get(window) != severity}
    severities = Counter(expected.values())
    print(
        f"Toronto's {mode}, {DELAYS[0]} to {DELAYS[1]}: {count:,} delays in {told['seconds']:.0f} s, by tier"
        f" {dict(sorted(by_tier.items()))}, signals {dict(severities)}, {len(different)} different,"
        f" {len(expected.keys() - found.keys())} missing"
    )
    assert found == expected
    assert set(severities) == {"moderate", "severe", "extreme"}
    # And so has the archive each delay.
    await until_stored(city, "rail_call", count)
    tiers = "if(isNaN(delay_s), -1, toInt8(delay_s >= 300) + (delay_s >= 900) + (delay_s >= 1800))"
    assert dict(await city.query(f"SELECT {tiers} AS tier, count() FROM traffic.rail_call GROUP BY tier")) == by_tier
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
