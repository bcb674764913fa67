"""The daily mean of a permit, through the engine: hours of a local day, of which the plant ran in some."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from services.core.cities import Cities
from services.core.frame import Frame
from services.core.kind import HOUR_MS
from services.core.local_time import LocalTime
from services.core.partition import Partition
from services.core.signals import Severity, Signal
from services.environment.domain import EMISSION
from services.environment.indices.emission import EmissionState
from tests.core.domains.environment.stations import frame_of, heartbeat, ms

RUNNING, STOPPED = EmissionState.RUNNING, EmissionState.STOPPED
MONDAY = "2026-03-02T00:00+08:00"
LIMITS = {"dust_day_limit_mg_m3": 10.0, "observations_per_hour": 1.0}
CHINA = LocalTime((0,), (8 * HOUR_MS,))
# Clocks are put on and back at 01:00Z.
EUROPE = LocalTime((0, 1_774_746_000_000, 1_792_890_000_000), (HOUR_MS, 2 * HOUR_MS, HOUR_MS))
NAN = math.nan


def hours(dust: Sequence[float], start: str = MONDAY, state: Sequence[float] | None = None) -> Frame:
    """An observation an hour."""
    return frame_of(EMISSION, ms(start), {"dust_mg_m3": dust, "state": state or [float(RUNNING)] * len(dust)})


def found(*frames: Frame, clock: LocalTime = CHINA, permit: Mapping[str, float] = LIMITS) -> dict[str, Signal]:
    """What stands in the end of the days' means, by the end of its window in local time."""
    partition = Partition("environment", EMISSION, 0, Cities({"beijing": clock}))
    defaults = {name: default for d in EMISSION.detectors for name, default in d.attributes} | {**permit}
    standing: dict[str, Signal] = {}
    for closing in partition.fold([*frames, heartbeat(EMISSION, max(f.clock_ms for f in frames) + 48 * HOUR_MS)]):
        assert not closing.refused
        assert not closing.late
        for batch in closing.batches:
            numbers = {name: np.full(len(batch), value) for name, value in defaults.items()}
            standing |= {s.id: s for s in partition.detect(replace(batch, attributes=numbers))}
    told = [s for s in standing.values() if s.type == "emission_day_exceeded" and not s.retracted]
    return {_local(s.end_ms, clock): s for s in told}


def _local(time_ms: int, clock: LocalTime) -> str:
    return str(np.datetime64(time_ms + int(clock.offset_ms(np.array([time_ms]))[0]), "ms"))[5:16]


@pytest.mark.parametrize(("dust", "told"), [(10.0, []), (10.1, ["03-03T00:00"])])
def test_the_mean_of_a_local_day_is_judged_above_the_limit_when_the_day_is_over(dust, told):
    assert [*found(hours([dust] * 24))] == told


def test_hours_above_the_limit_are_none_of_a_day_that_is_below_it():
    assert found(hours([30.0] * 6 + [2.0] * 18)) == {}
    (signal,) = found(hours([30.0] * 12 + [10.0] * 12)).values()
    assert (signal.severity, signal.score) == (Severity.SEVERE, 1.0)
    assert [(e.measure, e.value, e.threshold) for e in signal.evidence[:2]] == [
        ("times_limit", 2.0, 1.0),
        ("dust_mg_m3_day_mean", 20.0, 10.0),
    ]


def test_each_local_day_has_a_mean_of_its_own():
    dust = [12.0] * 24 + [2.0] * 24 + [12.0] * 24
    assert [*found(hours(dust))] == ["03-03T00:00", "03-05T00:00"]
    # The same hours eight hours later are of other days.
    assert [*found(hours(dust), clock=LocalTime((0,), (0,)))] == []


def test_a_permit_without_a_daily_limit_is_not_judged():
    assert found(hours([900.0] * 24), permit={"dust_limit_mg_m3": 10.0}) == {}


def test_what_is_measured_while_the_plant_stands_takes_no_part():
    ran = [float(RUNNING)] * 8 + [float(STOPPED)] * 16
    (signal,) = found(hours([12.0] * 8 + [0.0] * 16, state=ran)).values()
    assert signal.evidence[1].value == 12.0


@pytest.mark.parametrize(("measured", "told"), [(17, 0), (18, 1)])
def test_a_day_counts_with_three_quarters_of_the_hours_in_which_the_plant_ran(measured, told):
    values = [NAN] * (24 - measured) + [12.0] * measured
    assert len(found(hours(values))) == told


@pytest.mark.parametrize(("silent", "told"), [(6, 1), (7, 0)])
def test_an_hour_of_silence_is_not_taken_for_one_in_which_the_plant_stood(silent, told):
    assert len(found(hours([12.0] * (24 - silent), f"2026-03-02T{silent:02d}:00+08:00"))) == told


def test_an_hour_counts_with_three_quarters_of_its_observations():
    permit = LIMITS | {"observations_per_hour": 4.0}
    quarters = [12.0] * 4 * 24
    some = frame_of(EMISSION, ms(MONDAY), {"dust_mg_m3": quarters, "state": [float(RUNNING)] * 96}, period_s=900)
    assert len(found(some, permit=permit)) == 1
    assert found(hours([12.0] * 24), permit=permit) == {}


@pytest.mark.parametrize(("start", "length"), [("2026-10-25T00:00+02:00", 25), ("2026-03-29T00:00+01:00", 23)])
def test_the_day_on_which_clocks_are_put_on_or_back_has_23_or_25_hours(start, length):
    dust = [2.0] * (length - 12) + [22.0] * 12
    (signal,) = found(hours([*dust, 900.0], start), clock=EUROPE).values()
    assert signal.evidence[1].value == pytest.approx(sum(dust) / length, rel=1e-6)


def test_a_late_hour_changes_the_mean_of_its_day_whatever_the_order():
    clean = hours([0.0], "2026-03-02T20:00+08:00")
    rest = [hours([10.2], f"2026-03-02T{hour:02d}:00+08:00") for hour in range(24) if hour != 20]
    assert len(found(*rest)) == 1
    assert found(*rest, clean) == {}
    for seed in range(5):
        mixed = [replace(frame, clock_ms=rest[-1].clock_ms) for frame in (*rest[18:], clean)]
        random.Random(seed).shuffle(mixed)
        assert found(*rest[:18], *mixed) == {}
