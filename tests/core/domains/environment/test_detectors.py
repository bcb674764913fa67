"""The environment's detectors from both sides of every threshold: windows as the engine makes them of observations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from services.core.frame import Frame
from services.core.kind import HOUR_MS, MINUTE_MS, Kind
from services.core.partition import Partition
from services.core.signals import Severity, Signal
from services.environment.domain import EMISSION, WEATHER
from services.environment.indices.emission import EmissionState

RUNNING, UNABATED, STOPPED, MAINTENANCE, CALIBRATION, FAULT = EmissionState
MISSING = math.nan
# 2024-06-03T00:00Z
T0 = 1_717_372_800_000
PERMIT = {"dust_limit_mg_m3": 10.0, "so2_limit_mg_m3": 35.0, "nox_limit_mg_m3": 50.0}
ANALYSERS = {f"{name}_range_mg_m3": 100.0 for name in ("dust", "so2", "nox")}
ANALYSERS |= {f"{name}_detection_limit_mg_m3": 1.0 for name in ("dust", "so2", "nox")}


Columns = Mapping[str, Sequence[float]]


def frame_of(kind: Kind, columns: Columns, period_s: int) -> Frame:
    """One entity's observations, one every period from T0 on."""
    rows = len(next(iter(columns.values())))
    return Frame(
        city="beijing",
        entity_ids=("stack-1",),
        entity=np.zeros(rows, np.uint32),
        time_ms=T0 + np.arange(rows, dtype=np.int64) * period_s * 1000,
        period_s=period_s,
        columns={c.name: np.array(columns.get(c.name, [MISSING] * rows), c.type.value) for c in kind.columns},
        clock_ms=T0 + rows * period_s * 1000,
    )


def heartbeat(kind: Kind) -> Frame:
    """The clock goes on until all windows have left for good."""
    nothing = {c.name: np.empty(0, c.type.value) for c in kind.columns}
    none, never = np.empty(0, np.uint32), np.empty(0, np.int64)
    return Frame("beijing", (), none, never, 0, nothing, clock_ms=T0 + 48 * HOUR_MS, heartbeat=True)


def signals_of(kind: Kind, columns: Columns, attributes: Mapping[str, float], *, period_s: int) -> list[Signal]:
    """All signals of these observations of an entity with these attributes."""
    partition = Partition("environment", kind, 0)
    wanted = {name: default for d in kind.detectors for name, default in d.attributes} | {**attributes}
    signals = []
    for closing in partition.fold([frame_of(kind, columns, period_s), heartbeat(kind)]):
        assert not closing.refused
        for batch in closing.batches:
            numbers = {name: np.full(len(batch), value) for name, value in wanted.items()}
            signals += partition.detect(replace(batch, attributes=numbers))
    return signals


def types_of(signals: list[Signal]) -> dict[str, list[int]]:
    """Hours after T0 at which the windows with each type of signal begin."""
    found: dict[str, list[int]] = {}
    for signal in signals:
        assert not signal.retracted
        found.setdefault(signal.type, []).append((signal.start_ms - T0) // HOUR_MS)
    return found


def minutes(*spells: tuple[EmissionState, int], dust: float = 5.0) -> dict[str, list[float]]:
    states = [float(state) for state, count in spells for _ in range(count)]
    # It varies, so that it does not look falsified.
    return {"state": states, "dust_mg_m3": [dust + (i % 2) for i in range(len(states))]}


@pytest.mark.parametrize(("dust", "exceeded"), [(10.0, False), (10.1, True)])
def test_the_limit_of_an_hour_is_exceeded_above_it(dust, exceeded):
    columns = {"state": [float(RUNNING)], "dust_mg_m3": [dust]}
    assert ("emission_exceeded" in types_of(signals_of(EMISSION, columns, PERMIT, period_s=3600))) == exceeded


def test_exceedance_is_told_with_the_worst_pollutant_and_grows_to_severe():
    columns = {"state": [float(RUNNING)], "dust_mg_m3": [12.0], "so2_mg_m3": [70.0], "nox_mg_m3": [MISSING]}
    (signal,) = signals_of(EMISSION, columns, PERMIT, period_s=3600)
    assert (signal.type, signal.severity, signal.score) == ("emission_exceeded", Severity.SEVERE, 1.0)
    times, dust, so2, nox = signal.evidence
    assert (times.measure, times.value, times.threshold) == ("times_limit", 2.0, 1.0)
    assert (dust.measure, dust.value, dust.threshold) == ("dust_mg_m3_mean", 12.0, 10.0)
    assert (so2.value, so2.threshold) == (70.0, 35.0)
    assert math.isnan(nox.value)


def test_without_a_limit_nothing_is_exceeded():
    columns = {"state": [float(RUNNING)], "dust_mg_m3": [9_000.0]}
    assert signals_of(EMISSION, columns, {}, period_s=3600) == []


@pytest.mark.parametrize(("running", "judged"), [(44, False), (45, True)])
def test_an_hour_is_judged_when_the_plant_ran_for_three_quarters_of_it(running, judged):
    columns = minutes((RUNNING, running), (STOPPED, 60 - running), dust=20.0)
    assert ("emission_exceeded" in types_of(signals_of(EMISSION, columns, PERMIT, period_s=60))) == judged


@pytest.mark.parametrize(("measured", "judged"), [(44, False), (45, True)])
def test_an_hour_is_judged_when_three_quarters_of_it_were_measured(measured, judged):
    columns = minutes((RUNNING, 60), dust=20.0)
    columns["dust_mg_m3"][measured:] = [MISSING] * (60 - measured)
    assert ("emission_exceeded" in types_of(signals_of(EMISSION, columns, PERMIT, period_s=60))) == judged


@pytest.mark.parametrize(("off", "told"), [(14, False), (15, True)])
def test_abatement_is_off_from_a_quarter_of_an_hour_on(off, told):
    columns = minutes((RUNNING, 60 - off), (UNABATED, off))
    assert ("abatement_off" in types_of(signals_of(EMISSION, columns, {}, period_s=60))) == told


def test_abatement_is_found_off_also_among_four_states_as_long():
    columns = minutes((MAINTENANCE, 15), (STOPPED, 15), (CALIBRATION, 15), (UNABATED, 15))
    assert types_of(signals_of(EMISSION, columns, {}, period_s=60)) == {"abatement_off": [0]}


HOURLY = {"observations_per_hour": 1.0}
VARIED = [20.0, 30.0, 25.0, 40.0, 22.0, 35.0, 28.0, 31.0]


def hourly(dust: Sequence[float], state: Sequence[EmissionState] | None = None) -> dict[str, list[float]]:
    return {"dust_mg_m3": list(dust), "state": [float(s) for s in (state or [RUNNING] * len(dust))]}


def test_a_value_that_hardly_varies_for_four_hours_is_told():
    flat = [50.0, 52.0, 51.0, 50.0, 50.0, 52.0]
    found = types_of(signals_of(EMISSION, hourly(flat), ANALYSERS | HOURLY, period_s=3600))
    # Windows that begin from an hour before to three hours after hold at least three of the six values.
    assert found == {"monitoring_flat": [-1, 0, 1, 2, 3]}
    varied = [50.0, 52.5, 50.0, 52.5, 50.0, 52.5]
    assert signals_of(EMISSION, hourly(varied), ANALYSERS | HOURLY, period_s=3600) == []


def test_a_value_about_the_detection_limit_is_told():
    found = types_of(signals_of(EMISSION, hourly([2.0, 0.0, 1.0, 2.0]), HOURLY | ANALYSERS, period_s=3600))
    assert found["monitoring_at_detection_limit"] == [-1, 0, 1]
    above = hourly([2.1, 0.0, 2.1, 2.1])
    found = types_of(signals_of(EMISSION, above, HOURLY | ANALYSERS, period_s=3600))
    assert "monitoring_at_detection_limit" not in found


def test_a_pollutant_that_the_permit_limits_and_nobody_measures_is_told():
    columns = hourly([MISSING] * 4)
    found = types_of(signals_of(EMISSION, columns, PERMIT | HOURLY, period_s=3600))
    assert found == {"monitoring_gap": [-1, 0, 1]}
    assert signals_of(EMISSION, columns, HOURLY, period_s=3600) == []


@pytest.mark.parametrize("dust", [[50.0] * 4, [1.0] * 4, [MISSING] * 4])
@pytest.mark.parametrize("state", [STOPPED, MAINTENANCE, CALIBRATION, FAULT])
def test_where_the_plant_stood_or_somebody_said_why_there_is_no_sign(dust, state):
    attributes = PERMIT | ANALYSERS | HOURLY
    assert signals_of(EMISSION, hourly(dust, [state] * 4), attributes, period_s=3600) == []
    # One hour of it is enough for every window of four hours that holds it.
    mixed = [RUNNING, RUNNING, state, RUNNING]
    limits = attributes | dict.fromkeys(PERMIT, MISSING)
    found = types_of(signals_of(EMISSION, hourly(dust, mixed), limits, period_s=3600))
    assert found == {}


def test_four_hours_of_which_too_few_numbers_came_are_not_judged():
    columns = hourly([50.0, 50.0])
    assert signals_of(EMISSION, columns, ANALYSERS | HOURLY, period_s=3600) == []
    assert signals_of(EMISSION, hourly([50.0] * 4), ANALYSERS, period_s=3600) == []


def test_an_honest_plant_raises_nothing():
    columns = hourly(VARIED) | {"so2_mg_m3": [v / 2 for v in VARIED], "nox_mg_m3": [v * 1.2 for v in VARIED]}
    permit = {"dust_limit_mg_m3": 50.0, "so2_limit_mg_m3": 35.0, "nox_limit_mg_m3": 100.0}
    assert signals_of(EMISSION, columns, permit | ANALYSERS | HOURLY, period_s=3600) == []


@pytest.mark.parametrize(
    ("visibility_m", "severity"),
    [(500.0, None), (499.0, Severity.MODERATE), (199.0, Severity.SEVERE), (49.0, Severity.EXTREME), (MISSING, None)],
)
def test_low_visibility_grows_worse_at_500_200_and_50_metres(visibility_m, severity):
    columns = {"visibility_m": [visibility_m] * 10, "temperature_c": [5.0] * 10}
    signals = signals_of(WEATHER, columns, {}, period_s=60)
    assert [s.severity for s in signals] == ([severity] if severity else [])
    assert all(s.type == "low_visibility" and s.end_ms - s.start_ms == 10 * MINUTE_MS for s in signals)
