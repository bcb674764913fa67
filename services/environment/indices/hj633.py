"""China's air quality index, HJ 633, in both editions.

Sources, read in November 2026: the head of HJ 633-2012 (doc.wtbworld.com/doc/32317.html, issued 2012-02-29 as notice 8
of that year, in force 2016-01-01); for HJ 633-2026 the ministry's page of the standard (mee.gov.cn, t20260225_1144441),
the press on it (reportify.ai, m.yydec.com, 2026-02-25 and 26), and four transcriptions of its table 3 by others that
agree with each other and, but for the limits of particles, with the edition before. The text itself of the 2026 edition
was not at hand.
"""

from __future__ import annotations

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

_INDICES = (0, 50, 100, 150, 200, 300, 400, 500)
# Concentrations at those indices: mg/m³ of CO, µg/m³ of all others.
_PM2_5_2012 = (0, 35, 75, 115, 150, 250, 350, 500)
_PM2_5_2026 = (0, 35, 60, 115, 150, 250, 350, 500)
_PM10_2012 = (0, 50, 150, 250, 350, 420, 500, 600)
_PM10_2026 = (0, 50, 120, 250, 350, 420, 500, 600)
_SO2_DAY = (0, 50, 150, 475, 800, 1600, 2100, 2620)
_SO2_HOUR = (0, 150, 500, 650, 800)
_NO2_DAY = (0, 40, 80, 180, 280, 565, 750, 940)
_NO2_HOUR = (0, 100, 200, 700, 1200, 2340, 3090, 3840)
_CO_DAY = (0, 2, 4, 14, 24, 36, 48, 60)
_CO_HOUR = (0, 5, 10, 35, 60, 90, 120, 150)
_O3_HOUR = (0, 160, 200, 300, 400, 800, 1000, 1200)
_O3_EIGHT_HOURS = (0, 100, 160, 215, 265, 800)

# GB 3095-2012, table 4: 20 of 24 hours for a daily mean, 6 of 8 for one of eight hours. HJ 663-2013: of the means that
# end from 8 to 24 o'clock 14 must be there, but one above the limit of 160 µg/m³ counts anyhow. Both editions of the
# index refer to them; that the 2026 edition of GB 3095 keeps them was not confirmed.
_EIGHT_HOURS = EightHours(0, 16, hours_needed=6, windows_needed=14, valid_above=160.0)
_HOURS_OF_DAY_NEEDED = 20


def _table(
    pollutant: Pollutant, period: Period, concentrations: tuple[int, ...], beyond: Beyond = Beyond.CAPPED
) -> Table:
    indices = _INDICES[: len(concentrations)]
    segments = tuple(
        Segment(float(low), float(high), index_low, index_high)
        for low, high, index_low, index_high in zip(
            concentrations, concentrations[1:], indices, indices[1:], strict=False
        )
    )
    # Rounding by GB/T 8170 to whole µg/m³, of CO to 0.1 mg/m³: HJ 633-2026, 4.2; before it HJ 663-2013.
    carbon_monoxide = pollutant is CO
    return Table(pollutant, period, "mg/m³" if carbon_monoxide else "µg/m³", int(carbon_monoxide), segments, beyond)


def _gases(beyond: Beyond) -> tuple[Table, ...]:
    """Of gases nothing changed but what is said of more than 800 µg/m³ of SO2 in an hour and of O3 in eight."""
    return (
        _table(SO2, DAY, _SO2_DAY),
        _table(SO2, HOUR, _SO2_HOUR, beyond),
        _table(NO2, DAY, _NO2_DAY),
        _table(NO2, HOUR, _NO2_HOUR),
        _table(CO, DAY, _CO_DAY),
        _table(CO, HOUR, _CO_HOUR),
        _table(O3, HOUR, _O3_HOUR),
        _table(O3, EIGHT_HOURS, _O3_EIGHT_HOURS, beyond),
    )


HJ633_2012 = Standard(
    id="hj-633-2012",
    title="HJ 633-2012, Technical Regulation on Ambient Air Quality Index (on trial)",
    # Beyond 800 µg/m³ the 24 hours of SO2 and the hour of O3 have the word.
    tables=(_table(PM2_5, DAY, _PM2_5_2012), _table(PM10, DAY, _PM10_2012), *_gases(Beyond.ABSENT)),
    # That a day counts the greatest hour of ozone beside its eight, and an hour the running means of particles, is from
    # general knowledge; the national platform told just these figures (list of fields of PM25.in, 2013).
    daily=((PM2_5, DAY), (PM10, DAY), (SO2, DAY), (NO2, DAY), (CO, DAY), (O3, HOUR), (O3, EIGHT_HOURS)),
    hourly=((PM2_5, DAY), (PM10, DAY), (SO2, HOUR), (NO2, HOUR), (CO, HOUR), (O3, HOUR), (O3, EIGHT_HOURS)),
    concentration_rounding=ConcentrationRounding.HALF_EVEN,
    index_rounding=IndexRounding.UP,
    primary_above=50,
    hours_of_day_needed=_HOURS_OF_DAY_NEEDED,
    eight_hours=_EIGHT_HOURS,
    source="HJ 633-2012, issued 2012-02-29; HJ 663-2013 for rounding and completeness",
)

HJ633_2026 = Standard(
    id="hj-633-2026",
    title="HJ 633-2026, Technical Regulation on Ambient Air Quality Index",
    # An hour of particles is looked up in the table of their day: there is no forecast and no running mean any more.
    tables=(
        *(_table(PM2_5, period, _PM2_5_2026) for period in (DAY, HOUR)),
        *(_table(PM10, period, _PM10_2026) for period in (DAY, HOUR)),
        *_gases(Beyond.CAPPED),
    ),
    daily=((PM2_5, DAY), (PM10, DAY), (SO2, DAY), (NO2, DAY), (CO, DAY), (O3, EIGHT_HOURS)),
    hourly=((PM2_5, HOUR), (PM10, HOUR), (SO2, HOUR), (NO2, HOUR), (CO, HOUR), (O3, HOUR)),
    concentration_rounding=ConcentrationRounding.HALF_EVEN,
    index_rounding=IndexRounding.UP,
    primary_above=50,
    hours_of_day_needed=_HOURS_OF_DAY_NEEDED,
    eight_hours=_EIGHT_HOURS,
    source="HJ 633-2026, issued 2026-02-24, in force 2026-03-01",
)
