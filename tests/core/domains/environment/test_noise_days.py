"""From levels of a meter to its local day: Ld, Le, Ln, Lden, the limits of its zone by day and night, sudden sounds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from services.core.kind import HOUR_MS
from services.core.local_time import LocalTime
from services.core.signals import Severity
from services.core.windows import Place
from services.environment.domain import NOISE
from tests.core.domains.environment.stations import Station, frame_of, heartbeat, ms

MONDAY = "2026-03-02T00:00+08:00"
NAN = math.nan
# Class 2: 60 dB by day, 50 dB at night.
ZONE_2 = {"noise_zone": 2.0}


def by_hour(day: float, evening: float, night: float) -> list[float]:
    """A local day from midnight on, by the parts of directive 2002/49/EC."""
    return [night] * 7 + [day] * 12 + [evening] * 4 + [night]


def heard(laeq: list[float], start: str = MONDAY, lamax: list[float] | None = None, **given) -> Station:
    columns = {"laeq_db": laeq, "lamax_db": lamax or [NAN] * len(laeq)}
    frame = frame_of(NOISE, ms(start), columns)
    return Station(NOISE, **given).fold(frame, heartbeat(NOISE, frame.clock_ms + 12 * HOUR_MS))


def test_lden_of_60_55_and_50_is_60():
    row = heard(by_hour(60, 55, 50)).row("noise_days", MONDAY)
    levels = [row[f"l{part}_db"] for part in ("day", "evening", "night", "den")]
    assert levels == pytest.approx([60.0, 55.0, 50.0, 60.0], abs=1e-6)
    assert (row["revision"], row["end_ms"]) == (24, ms("2026-03-03T00:00+08:00"))


def test_a_level_of_hours_is_the_mean_of_their_energy_whatever_they_are_measured_in():
    minutes = [70.0 if minute < 6 else 40.0 for minute in range(60)] * 24
    frame = frame_of(NOISE, ms(MONDAY), {"laeq_db": minutes}, period_s=60)
    row = Station(NOISE).fold(frame, heartbeat(NOISE, frame.clock_ms + 12 * HOUR_MS)).row("noise_days", MONDAY)
    expected = 10 * math.log10(0.1 * 1e7 + 0.9 * 1e4)
    assert row["lday_db"] == pytest.approx(expected, abs=1e-6)
    assert row["zone_night_db"] == pytest.approx(expected, abs=1e-6)


def test_a_part_that_lacks_an_hour_is_not_known_and_the_others_are():
    levels = by_hour(60, 55, 50)
    levels[10] = NAN
    row = heard(levels).row("noise_days", MONDAY)
    assert np.isnan([row["lday_db"], row["lden_db"], row["zone_day_db"]]).all()
    assert [row["levening_db"], row["lnight_db"]] == pytest.approx([55.0, 50.0])


def test_what_is_not_over_is_not_told_yet():
    row = heard(by_hour(60, 55, 50)[:20]).row("noise_days", MONDAY)
    assert row["lday_db"] == pytest.approx(60.0)
    assert np.isnan([row["levening_db"], row["lnight_db"], row["zone_day_db"], row["zone_night_db"]]).all()
    assert row["end_ms"] == ms("2026-03-03T00:00+08:00")


@pytest.mark.parametrize(("zone", "code", "limits"), [(0, "0", (50, 40)), (4, "4a", (70, 55)), (5, "4b", (70, 60))])
def test_the_zone_is_the_meters_own(zone, code, limits):
    row = heard([58.0] * 24, attributes={"noise_zone": float(zone)}).row("noise_days", MONDAY)
    assert (row["zone"], row["zone_day_limit_db"], row["zone_night_limit_db"]) == (code, *limits)
    assert row["over_day_db"] == pytest.approx(58 - limits[0])
    assert row["over_night_db"] == pytest.approx(58 - limits[1])


@pytest.mark.parametrize("zone", [NAN, 6.0, 1.5, -1.0])
def test_a_meter_without_a_zone_is_not_judged(zone):
    station = heard([90.0] * 24, lamax=[120.0] * 24, attributes={"noise_zone": zone})
    assert station.signals == []
    assert station.row("noise_days", MONDAY)["zone"] == ""


@pytest.mark.parametrize(("level", "over"), [(60.0, False), (60.5, True)])
def test_a_day_over_its_limit_is_a_signal_when_it_ends(level, over):
    found = heard([40.0] * 6 + [level] * 16 + [40.0] * 2, attributes=ZONE_2).standing("noise_over_limit")
    assert sorted(found) == ([ms("2026-03-02T21:00+08:00")] if over else [])
    for signal in found.values():
        assert (signal.severity, signal.model) == (Severity.MODERATE, "gb-3096-2008")
        assert signal.evidence[0].value == pytest.approx(60.5)
        assert signal.evidence[0].threshold == 60.0


def test_a_night_goes_on_after_midnight_and_is_judged_in_the_morning():
    # From six o'clock in the evening on: 40 dB before midnight, 56 dB after it.
    found = heard([40.0] * 6 + [56.0] * 6 + [40.0], start="2026-03-02T18:00+08:00", attributes=ZONE_2)
    (signal,) = found.standing("noise_over_limit").values()
    assert signal.start_ms == ms("2026-03-03T05:00+08:00")
    assert signal.evidence[0].value == pytest.approx(10 * math.log10((2 * 1e4 + 6 * 10**5.6) / 8))


@pytest.mark.parametrize(
    ("hour", "lamax", "found"),
    [(3, 65.0, False), (3, 65.5, True), (12, 90.0, False), (22, 65.5, True), (21, 90.0, False)],
)
def test_a_sudden_sound_at_night_may_be_15_db_above_the_limit(hour, lamax, found):
    greatest = [45.0] * 24
    greatest[hour] = lamax
    station = heard([40.0] * 24, lamax=greatest, attributes=ZONE_2)
    assert sorted(station.standing("noise_burst")) == ([ms(MONDAY) + hour * HOUR_MS] if found else [])


def test_a_late_hour_withdraws_what_the_night_was_called():
    levels = [52.0] * 7 + [NAN]
    start = ms("2026-03-02T22:00+08:00")
    station = Station(NOISE, ZONE_2).fold(frame_of(NOISE, start, {"laeq_db": levels[:7]}))
    # The last hour comes in two pieces: a loud one in time, and a calm one late, which makes the mean quiet enough.
    loud = frame_of(NOISE, start + 7 * HOUR_MS, {"laeq_db": [53.0]}, period_s=60)
    station.fold(loud, heartbeat(NOISE, start + 9 * HOUR_MS))
    assert len(station.standing("noise_over_limit")) == 1
    calm = frame_of(NOISE, start + 6 * HOUR_MS + 60_000, {"laeq_db": [0.0] * 50}, period_s=60)
    more = [frame_of(NOISE, start + h * HOUR_MS + 60_000, {"laeq_db": [0.0] * 50}, period_s=60) for h in (4, 5)]
    station.fold(calm, *more, heartbeat(NOISE, start + 11 * HOUR_MS))
    assert station.standing("noise_over_limit") != {}
    quiet = [frame_of(NOISE, start + h * HOUR_MS + 60_000, {"laeq_db": [0.0] * 50}, period_s=60) for h in (3, 7)]
    station.fold(*quiet, heartbeat(NOISE, start + 13 * HOUR_MS))
    assert station.standing("noise_over_limit") == {}


# Clocks are put back at 02:00Z: local hours 3, 3, 4. The change lies in the night.
CENTRAL_EUROPE = Place(LocalTime((0, 1_774_746_000_000, 1_792_890_000_000), (HOUR_MS, 2 * HOUR_MS, HOUR_MS)), "cn")


@pytest.mark.parametrize(("start", "hours"), [("2026-10-25T00:00+02:00", 25), ("2026-03-29T00:00+01:00", 23)])
def test_the_day_on_which_clocks_are_put_on_or_back_has_23_or_25_hours(start, hours):
    station = heard([50.0] * 26, start=start, places={"beijing": CENTRAL_EUROPE})
    row = station.row("noise_days", start)
    assert (row["revision"], row["end_ms"]) == (hours, ms(start) + hours * HOUR_MS)
    assert row["lden_db"] == pytest.approx(10 * math.log10((12 * 1e5 + 4 * 10**5.5 + 8 * 1e6) / 24))
