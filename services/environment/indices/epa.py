"""The air quality index of the United States, as of 2024-05-06.

Source: 40 CFR part 58, appendix G, table 2, and EPA-454/B-24-002, May 2024, table 6 and section IV (nepis.epa.gov,
P101AP0Q; read November 2026 in transcriptions that agree): concentrations are truncated, the index is rounded to the
nearest integer, and beyond 500 the last line goes on (500 is 0.604 ppm of O3, 325.4 µg/m³ of PM2.5, 604 µg/m³ of PM10,
50.4 ppm of CO, 1004 ppb of SO2, 2049 ppb of NO2).
"""

from __future__ import annotations

import math

from services.environment.indices.standard import (
    Beyond,
    ConcentrationRounding,
    EightHours,
    IndexRounding,
    Period,
    Pollutant,
    Segment,
    Standard,
    Table,
)

PM2_5, PM10, SO2, NO2, O3, CO = Pollutant
HOUR, EIGHT_HOURS, DAY = Period

_INDICES = ((0, 50), (51, 100), (101, 150), (151, 200), (201, 300), (301, 500))
_EXTENDED = Beyond.EXTENDED


def _table(
    pollutant: Pollutant,
    period: Period,
    unit: str,
    decimals: int,
    concentrations: tuple[tuple[float, float], ...],
    beyond: Beyond = _EXTENDED,
    first: int = 0,
) -> Table:
    """Lines from the category `first` on: 0 is good, 2 is unhealthy for sensitive groups, 4 is very unhealthy."""
    segments = tuple(Segment(*c, *i) for c, i in zip(concentrations, _INDICES[first:], strict=False))
    return Table(pollutant, period, unit, decimals, segments, beyond)


_PM2_5 = ((0.0, 9.0), (9.1, 35.4), (35.5, 55.4), (55.5, 125.4), (125.5, 225.4), (225.5, 325.4))
_PM10 = ((0.0, 54.0), (55.0, 154.0), (155.0, 254.0), (255.0, 354.0), (355.0, 424.0), (425.0, 604.0))
_CO = ((0.0, 4.4), (4.5, 9.4), (9.5, 12.4), (12.5, 15.4), (15.5, 30.4), (30.5, 50.4))
_NO2 = ((0.0, 53.0), (54.0, 100.0), (101.0, 360.0), (361.0, 649.0), (650.0, 1249.0), (1250.0, 2049.0))
_SO2_HOUR = ((0.0, 35.0), (36.0, 75.0), (76.0, 185.0), (186.0, 304.0))
_SO2_DAY = ((305.0, 604.0), (605.0, 1004.0))
_O3_EIGHT_HOURS = ((0.0, 0.054), (0.055, 0.070), (0.071, 0.085), (0.086, 0.105), (0.106, 0.200))
_O3_HOUR = ((0.125, 0.164), (0.165, 0.204), (0.205, 0.404), (0.405, 0.604))

EPA_2024 = Standard(
    id="us-epa-2024",
    title="US EPA Air Quality Index, 40 CFR 58 appendix G as amended 2024",
    tables=(
        _table(PM2_5, DAY, "µg/m³", 1, _PM2_5),
        _table(PM10, DAY, "µg/m³", 0, _PM10),
        # An hour of SO2 says 200 at most (from general knowledge, for more than 304 ppb; the table ends there); what is
        # worse is said by the mean of the day, which says nothing below.
        _table(SO2, HOUR, "ppb", 0, _SO2_HOUR, Beyond.CAPPED),
        _table(SO2, DAY, "ppb", 0, _SO2_DAY, first=4),
        _table(NO2, HOUR, "ppb", 0, _NO2),
        # Eight hours of O3 say nothing above 300, one hour says nothing below 101.
        _table(O3, EIGHT_HOURS, "ppm", 3, _O3_EIGHT_HOURS, Beyond.ABSENT),
        _table(O3, HOUR, "ppm", 3, _O3_HOUR, first=2),
        _table(CO, EIGHT_HOURS, "ppm", 1, _CO),
    ),
    daily=(
        *((PM2_5, DAY), (PM10, DAY), (SO2, HOUR), (SO2, DAY)),
        *((NO2, HOUR), (O3, EIGHT_HOURS), (O3, HOUR), (CO, EIGHT_HOURS)),
    ),
    # Particles by the NowCast, looked up as if it were the day's mean. That of O3 is a regression on the two weeks
    # before and is not computed here.
    hourly=((PM2_5, DAY), (PM10, DAY), (SO2, HOUR), (NO2, HOUR), (CO, EIGHT_HOURS)),
    concentration_rounding=ConcentrationRounding.TRUNCATED,
    index_rounding=IndexRounding.NEAREST,
    primary_above=0,
    # 75 %: 18 hours of a day (40 CFR 50 appendix N), 6 of 8 hours, and 13 of the 17 windows that start from 7 to 23
    # o'clock, or a mean above 0.070 ppm (appendix U); from general knowledge, the appendices were not read for it.
    hours_of_day_needed=18,
    eight_hours=EightHours(7, 23, hours_needed=6, windows_needed=13, valid_above=0.070),
    source="EPA-454/B-24-002, May 2024; 89 FR 16202, 2024-03-06, in force 2024-05-06",
    nowcast=True,
)

# Grams a mole (IUPAC, standard atomic weights, abridged 2021).
_MOLAR_MASS = {SO2: 64.06, NO2: 46.006, O3: 47.997, CO: 28.010}
_GAS_CONSTANT = 8.314_462_618  # J/(mol K), CODATA 2018
REFERENCE_KELVIN = 298.15  # of EPA (40 CFR 50.3) and, since 2018-09-01, of GB 3095; before that 273.15 in China
REFERENCE_HPA = 1013.25


def ppb_of_ug_m3(pollutant: Pollutant, kelvin: float = REFERENCE_KELVIN, hpa: float = REFERENCE_HPA) -> float:
    """What a concentration of a gas in µg/m³ at that temperature and pressure is multiplied by to get ppb.

    The same of mg/m³ gives ppm. KeyError for particles, ValueError for a temperature or pressure that cannot be.
    """
    if not (0.0 < kelvin < math.inf and 0.0 < hpa < math.inf):
        raise ValueError(f"{kelvin} K, {hpa} hPa: must be above 0")
    litres_a_mole = _GAS_CONSTANT * kelvin / hpa * 10.0
    return litres_a_mole / _MOLAR_MASS[pollutant]
