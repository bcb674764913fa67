"""Sub-indices against a calculation in fractions, at every breakpoint from both sides, and the index made of them."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.environment.indices.air_quality import air_quality_index, round_concentration, sub_index
from services.environment.indices.epa import EPA_2024, ppb_of_ug_m3
from services.environment.indices.hj633 import HJ633_2012, HJ633_2026
from services.environment.indices.standard import (
    Beyond,
    ConcentrationRounding,
    IndexRounding,
    Period,
    Pollutant,
    Segment,
    Standard,
    Table,
)

PM2_5, PM10, SO2, NO2, O3, CO = Pollutant
HOUR, EIGHT_HOURS, DAY = Period
STANDARDS = (HJ633_2012, HJ633_2026, EPA_2024)
TABLES = [(standard, table) for standard in STANDARDS for table in standard.tables]
NAMES = [f"{standard.id}-{table.pollutant}-{table.period}" for standard, table in TABLES]
every_table = pytest.mark.parametrize(("standard", "table"), TABLES, ids=NAMES)


def index_of(standard: Standard, pollutant: Pollutant, period: Period, concentration: float) -> float:
    return float(sub_index(standard, standard.table(pollutant, period), np.array([concentration]))[0])


def by_hand(standard: Standard, table: Table, steps: int) -> float:
    """The sub-index of a concentration of so many steps of the table's decimals, in exact fractions."""

    def exact(number: float) -> Fraction:
        return Fraction(round(number * 10**table.decimals), 10**table.decimals)

    concentration = Fraction(steps, 10**table.decimals)
    if concentration < exact(table.segments[0].concentration_low):
        return math.nan
    inside = [s for s in table.segments if concentration <= exact(s.concentration_high)]
    if not inside and table.beyond is Beyond.ABSENT:
        return math.nan
    segment = inside[0] if inside else table.segments[-1]
    if not inside and table.beyond is Beyond.CAPPED:
        return segment.index_high
    low, high = exact(segment.concentration_low), exact(segment.concentration_high)
    line = segment.index_low + (segment.index_high - segment.index_low) * (concentration - low) / (high - low)
    if standard.index_rounding is IndexRounding.UP:
        return math.ceil(line)
    return math.floor(line + Fraction(1, 2))


@pytest.mark.parametrize(
    ("standard", "pollutant", "period", "concentration", "index"),
    [
        (HJ633_2012, PM2_5, DAY, 75, 100),
        (HJ633_2026, PM2_5, DAY, 75, 114),
        (HJ633_2012, PM10, DAY, 150, 100),
        (HJ633_2026, PM10, DAY, 150, 112),
        (HJ633_2026, PM2_5, DAY, 60, 100),
        (HJ633_2026, PM10, DAY, 120, 100),
        (HJ633_2026, PM2_5, HOUR, 75, 114),
        (HJ633_2012, O3, EIGHT_HOURS, 800, 300),
        (HJ633_2012, O3, EIGHT_HOURS, 801, math.nan),
        (HJ633_2026, O3, EIGHT_HOURS, 801, 300),
        (HJ633_2012, SO2, HOUR, 801, math.nan),
        (HJ633_2026, SO2, HOUR, 801, 200),
        (HJ633_2012, PM2_5, DAY, 900, 500),
        (HJ633_2012, CO, DAY, 2.2, 55),
        (EPA_2024, PM2_5, DAY, 130, 205),
        (EPA_2024, PM2_5, DAY, 9.5, 52),
        (EPA_2024, O3, EIGHT_HOURS, 0.057, 58),
        (EPA_2024, PM2_5, DAY, 325.4, 500),
        (EPA_2024, PM2_5, DAY, 400, 649),
        (EPA_2024, O3, HOUR, 0.124, math.nan),
        (EPA_2024, O3, HOUR, 0.125, 101),
        (EPA_2024, O3, EIGHT_HOURS, 0.201, math.nan),
        (EPA_2024, SO2, HOUR, 900, 200),
        (EPA_2024, SO2, DAY, 304, math.nan),
        (EPA_2024, SO2, DAY, 305, 201),
        (EPA_2024, CO, EIGHT_HOURS, 50.4, 500),
        (EPA_2024, NO2, HOUR, 2049, 500),
    ],
)
def test_published_and_hand_computed_figures(standard, pollutant, period, concentration, index):
    found = index_of(standard, pollutant, period, concentration)
    assert (math.isnan(found) and math.isnan(index)) or found == index


@every_table
def test_every_concentration_gives_what_fractions_give(standard: Standard, table: Table):
    last = round(table.segments[-1].concentration_high * 10**table.decimals)
    steps = np.unique(np.linspace(0, 1.2 * last, 3_000).astype(int))
    found = sub_index(standard, table, steps / 10**table.decimals)
    expected = np.array([by_hand(standard, table, int(step)) for step in steps])
    np.testing.assert_array_equal(found, expected)


@every_table
def test_breakpoints_are_met_from_both_sides(standard: Standard, table: Table):
    step = 10.0**-table.decimals
    for segment, following in zip(table.segments, [*table.segments[1:], None], strict=True):
        at = sub_index(standard, table, np.array([segment.concentration_low, segment.concentration_high]))
        assert at.tolist() == [segment.index_low, segment.index_high]
        if following:
            above = sub_index(standard, table, np.array([segment.concentration_high + step]))
            assert segment.index_high < above[0] <= following.index_high


@every_table
def test_more_pollution_is_never_a_lower_index(standard: Standard, table: Table):
    concentration = np.linspace(table.segments[0].concentration_low, table.segments[-1].concentration_high, 20_001)
    index = sub_index(standard, table, concentration)
    assert not np.isnan(index).any()
    assert (np.diff(index) >= 0).all()


@every_table
def test_the_line_read_backwards_gives_the_concentration_again(standard: Standard, table: Table):
    for segment in table.segments:
        slope = (segment.index_high - segment.index_low) / (segment.concentration_high - segment.concentration_low)
        concentration = np.linspace(segment.concentration_low, segment.concentration_high, 50)
        index = sub_index(standard, table, concentration)
        back = segment.concentration_low + (index - segment.index_low) / slope
        # The index was rounded to one, the concentration to a step of the table.
        assert (np.abs(back - concentration) <= 1.0 / slope + 10.0**-table.decimals + 1e-9).all()


@given(st.integers(0, 60_000), st.sampled_from(TABLES))
def test_a_single_precision_number_counts_as_the_decimal_number_that_it_stands_for(steps, chosen):
    standard, table = chosen
    exact = min(steps, round(table.segments[-1].concentration_high * 10**table.decimals)) / 10**table.decimals
    assert round_concentration(standard, table, np.array([exact], np.float32))[0] == exact


def test_concentrations_are_truncated_in_america_and_rounded_half_to_even_in_china():
    american, chinese = EPA_2024.table(PM2_5, DAY), HJ633_2012.table(PM2_5, DAY)
    given = np.array([35.49, 35.5, 36.5])
    assert round_concentration(EPA_2024, american, given).tolist() == [35.4, 35.5, 36.5]
    assert round_concentration(HJ633_2012, chinese, given).tolist() == [35.0, 36.0, 36.0]
    monoxide = HJ633_2012.table(CO, DAY)
    assert round_concentration(HJ633_2012, monoxide, np.array([2.25, 2.251, 2.35])).tolist() == [2.2, 2.3, 2.4]
    # A mean of NO2 at Dingling, 2013-10-19: near the middle, and yet below it.
    for given in (np.array([25.4999708]), np.array([25.4999708], np.float32)):
        assert round_concentration(HJ633_2012, HJ633_2012.table(NO2, DAY), given).tolist() == [25.0]


@given(st.lists(st.integers(0, 9_999), min_size=24, max_size=24), st.sampled_from([HJ633_2012, EPA_2024]))
def test_a_mean_of_single_precision_is_rounded_as_the_exact_one(hours, standard):
    # Tenths of a microgram. What single precision cannot tell from a step or a middle is one; here nothing else lies so
    # near, as means of 24 tenths are 240ths.
    mean = Fraction(sum(hours), 240)
    table = standard.table(PM2_5, DAY)
    found = round_concentration(standard, table, np.array([np.mean(np.array(hours) / 10)], np.float32))[0]
    step = Fraction(1, 10**table.decimals)
    exact = math.floor(mean / step) if standard is EPA_2024 else round(mean / step)  # half to even
    assert found == float(exact * step)


def test_a_negative_concentration_and_a_missing_one_have_no_index():
    table = HJ633_2012.table(PM2_5, DAY)
    assert np.isnan(sub_index(HJ633_2012, table, np.array([-1.0, np.nan]))).all()
    assert sub_index(HJ633_2012, table, np.array([[0.0, 35.0], [np.nan, 75.0]]))[0].tolist() == [0, 50]


def day_of(o3_1h: list[float] | None = None, o3_8h: list[float] | None = None, **means: list[float]):
    """Concentrations of a day by the names of pollutants, ozone by its period."""
    given = {(Pollutant(name), DAY): np.array(values) for name, values in means.items()}
    ozone = {(O3, HOUR): o3_1h, (O3, EIGHT_HOURS): o3_8h}
    return given | {term: np.array(values) for term, values in ozone.items() if values is not None}


def test_the_index_is_that_of_the_worst_and_all_that_are_as_bad_are_primary():
    found = air_quality_index(
        HJ633_2026,
        HJ633_2026.daily,
        day_of(
            pm2_5=[60.0, 35.0, 35.0],
            pm10=[120.0, 50.0, 50.0],
            so2=[10.0, 50.0, np.nan],
            no2=[20.0, 40.0, 20.0],
            co=[0.5, 2.0, 0.5],
            o3_8h=[60.0, 100.0, 101.0],
        ),
    )
    assert found.standard_id == "hj-633-2026"
    assert found.index.tolist() == [100, 50, 51]
    # At 50 nothing is primary, however many have it.
    assert found.primary_names().tolist() == ["pm2_5,pm10", "", "o3"]
    assert found.complete.tolist() == [True, True, False]


def test_ozone_has_one_sub_index_whichever_of_its_periods_is_worse():
    found = air_quality_index(
        HJ633_2012, HJ633_2012.daily, day_of(o3_1h=[300.0, 160.0, 900.0], o3_8h=[160.0, 215.0, 801.0])
    )
    assert found.pollutants == (PM2_5, PM10, SO2, NO2, CO, O3)
    # Above 800 µg/m³ the eight hours say nothing, the hour does: 300 + 100 · (900 − 800) / 200.
    assert found.index.tolist() == [150, 150, 350]
    assert found.primary_names().tolist() == ["o3", "o3", "o3"]
    assert not found.complete.any()


def test_in_america_sulphur_dioxide_above_304_ppb_is_200_unless_the_day_was_as_bad():
    given = {(SO2, HOUR): np.array([304.0, 400.0, 400.0]), (SO2, DAY): np.array([10.0, 200.0, 400.0])}
    assert air_quality_index(EPA_2024, EPA_2024.daily, given).index.tolist() == [200, 200, 232]


def test_where_nothing_is_known_there_is_no_index_and_nothing_is_primary():
    found = air_quality_index(HJ633_2012, HJ633_2012.daily, day_of(pm2_5=[np.nan]))
    assert np.isnan(found.index).all()
    assert not found.primary.any()
    with pytest.raises(ValueError, match="none of"):
        air_quality_index(HJ633_2012, HJ633_2012.daily, {})


def test_micrograms_become_ppb_at_the_temperature_that_they_are_told_for():
    # 24.45 litres a mole at 25 °C: 1 ppb of O3 is 1.96 µg/m³ there and 2.14 at 0 °C.
    assert 1 / ppb_of_ug_m3(O3) == pytest.approx(1.962, abs=1e-3)
    assert 1 / ppb_of_ug_m3(O3, kelvin=273.15) == pytest.approx(2.141, abs=1e-3)
    assert ppb_of_ug_m3(CO) == pytest.approx(0.873, abs=1e-3)
    with pytest.raises(KeyError):
        ppb_of_ug_m3(PM10)
    with pytest.raises(ValueError, match="above 0"):
        ppb_of_ug_m3(O3, kelvin=0.0)


LINE = Segment(0.0, 10.0, 0, 50)


@pytest.mark.parametrize(
    "segments",
    [
        (),
        (Segment(10.0, 0.0, 0, 50),),
        (Segment(0.0, 10.0, 50, 50),),
        (LINE, Segment(9.0, 20.0, 51, 100)),
        (LINE, LINE),
    ],
)
def test_a_table_that_does_not_ascend_is_refused(segments):
    with pytest.raises(ValueError, match="pm10 24h"):
        Table(PM10, DAY, "µg/m³", 0, segments, Beyond.CAPPED)


def test_a_standard_that_lacks_a_table_is_refused():
    table = Table(PM10, DAY, "µg/m³", 0, (LINE,), Beyond.CAPPED)
    rules = (ConcentrationRounding.TRUNCATED, IndexRounding.UP, 50, 20, HJ633_2012.eight_hours, "nobody")
    with pytest.raises(ValueError, match="no table"):
        Standard("x", "X", (table,), ((PM2_5, DAY),), (), *rules)
    with pytest.raises(ValueError, match="twice"):
        Standard("x", "X", (table, table), ((PM10, DAY),), (), *rules)
    with pytest.raises(KeyError, match="pm2_5 over 24h"):
        Standard("x", "X", (table,), ((PM10, DAY),), (), *rules).table(PM2_5, DAY)
