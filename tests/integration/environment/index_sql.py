"""The daily index of air quality in SQL, by itself: its own breakpoints, and integers only, so that it is exact.

A mean is a fraction of two integers; rounding, truncation and interpolation are done on such fractions. The tables of
hours have the columns station, day, hour and one Int64 for each pollutant, in 1/10,000 µg/m³, -1 where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable

INDICES = "[0, 50, 100, 150, 200, 300, 400, 500]"
PM2_5_2012, PM2_5_2026 = "[0, 35, 75, 115, 150, 250, 350, 500]", "[0, 35, 60, 115, 150, 250, 350, 500]"
PM10_2012, PM10_2026 = "[0, 50, 150, 250, 350, 420, 500, 600]", "[0, 50, 120, 250, 350, 420, 500, 600]"
SO2 = "[0, 50, 150, 475, 800, 1600, 2100, 2620]"
NO2 = "[0, 40, 80, 180, 280, 565, 750, 940]"
CO_TENTHS = "[0, 20, 40, 140, 240, 360, 480, 600]"
O3_HOUR = "[0, 160, 200, 300, 400, 800, 1000, 1200]"
O3_EIGHT_HOURS = "[0, 100, 160, 215, 265, 800]"

US_INDICES_LOW, US_INDICES_HIGH = "[0, 51, 101, 151, 201, 301]", "[50, 100, 150, 200, 300, 500]"
US_PM2_5_LOW, US_PM2_5_HIGH = "[0, 91, 355, 555, 1255, 2255]", "[90, 354, 554, 1254, 2254, 3254]"
US_PM10_LOW, US_PM10_HIGH = "[0, 55, 155, 255, 355, 425]", "[54, 154, 254, 354, 424, 604]"

# Eight hours from s o'clock on; a mean of 6, 7 or 8 of them is a multiple of 1/168, so 168 times it is an integer.
EIGHT_HOURS = """
arrayFilter(m -> m >= 0, arrayMap(window -> if(
    length(window) >= 6, intDiv(168 * arraySum(window), greatest(length(window), 1)), -1),
    arrayMap(s -> arrayFilter(v -> v >= 0, arraySlice(ozone, s + 1, 8)), range(17))))"""


def days(table: str, names: Iterable[str]) -> str:
    """Of each day and station: sums, how many hours they are of, and all hours of ozone in their order."""
    sums = ", ".join(f"sumIf({n}, {n} >= 0) AS {n}_sum, toInt64(countIf({n} >= 0)) AS {n}_hours" for n in names)
    ozone = "arrayMap(x -> x.2, arraySort(x -> x.1, groupArray((hour, o3)))) AS ozone"
    return f"(SELECT station, day, {sums}, {ozone} FROM {table} GROUP BY station, day)"


def half_even(numerator: str, denominator: str) -> str:
    """The nearest integer, on a tie the even one."""
    nearest = f"intDiv(2 * ({numerator}) + ({denominator}), 2 * ({denominator}))"
    tie = f"(2 * ({numerator}) + ({denominator})) % (2 * ({denominator})) = 0 AND {nearest} % 2 = 1"
    return f"({nearest} - if({tie}, 1, 0))"


def chinese(concentration: str, points: str, beyond: int = 500) -> str:
    """Index of an integer concentration, rounded up; `beyond` the last point, -1 for none."""
    place = f"arrayFirstIndex(p -> p >= {concentration}, {points})"
    low, high = f"{points}[{place} - 1]", f"{points}[{place}]"
    index_low, index_high = f"{INDICES}[{place} - 1]", f"{INDICES}[{place}]"
    width = f"greatest({high} - {low}, 1)"
    up = f"intDiv(({index_high} - {index_low}) * ({concentration} - {low}) + {width} - 1, {width})"
    return f"multiIf({concentration} = 0, 0, {place} = 0, {beyond}, {index_low} + {up})"


def american(concentration: str, lows: str, highs: str) -> str:
    """Index of an integer number of steps, the nearest; beyond the last line it goes on."""
    place = f"if({concentration} > {highs}[-1], length({highs}), arrayFirstIndex(p -> p >= {concentration}, {highs}))"
    width = f"({highs}[{place}] - {lows}[{place}])"
    rise = f"({US_INDICES_HIGH}[{place}] - {US_INDICES_LOW}[{place}]) * ({concentration} - {lows}[{place}])"
    return f"{US_INDICES_LOW}[{place}] + intDiv(2 * {rise} + {width}, 2 * {width})"


def hj633(table: str, pm2_5: str, pm10: str, *, hour_of_ozone: bool, beyond_800: int) -> str:
    """Rows of station, day and the sub-indices of pm2_5, pm10, so2, no2, co, o3; -1 where one is not known."""
    points = {"pm2_5": pm2_5, "pm10": pm10, "so2": SO2, "no2": NO2, "co": CO_TENTHS}
    told = []
    for name, breakpoints in points.items():
        # A tenth of a mg/m³ is a million times 1/10,000 µg/m³.
        unit = 1_000_000 if name == "co" else 10_000
        rounded = half_even(f"{name}_sum", f"{unit} * greatest({name}_hours, 1)")
        told.append(f"toInt64(if({name}_hours >= 20, {chinese(rounded, breakpoints)}, -1))")
    # Windows that end from 8 to 24 o'clock: fourteen of them, or the greatest is above 160 µg/m³.
    greatest = "arrayMax(arrayConcat([0], means))"
    known = f"length(means) >= 14 OR {greatest} > 160 * 1680000"
    eight = f"if({known}, {chinese(half_even(greatest, '1680000'), O3_EIGHT_HOURS, beyond_800)}, -1)"
    hour_index = chinese(half_even("arrayMax(ozone)", "10000"), O3_HOUR)
    hour = f"if(arrayCount(v -> v >= 0, ozone) >= 20, {hour_index}, -1)" if hour_of_ozone else "-1"
    told.append(f"toInt64(greatest({eight}, {hour}))")
    source = f"(SELECT *, {EIGHT_HOURS} AS means FROM {days(table, points)})"
    return f"SELECT station, day, {', '.join(told)} FROM {source} ORDER BY day, station"


def epa_particles(table: str) -> str:
    """Rows of station, day and the sub-indices of pm2_5 and pm10 by EPA 2024; -1 where one is not known."""
    tenths, whole = (f"intDiv({n}_sum, {u} * greatest({n}_hours, 1))" for n, u in (("pm2_5", 1_000), ("pm10", 10_000)))
    pm2_5 = f"if(pm2_5_hours >= 18, {american(tenths, US_PM2_5_LOW, US_PM2_5_HIGH)}, -1)"
    pm10 = f"if(pm10_hours >= 18, {american(whole, US_PM10_LOW, US_PM10_HIGH)}, -1)"
    source = days(table, ("pm2_5", "pm10"))
    return f"SELECT station, day, toInt64({pm2_5}), toInt64({pm10}) FROM {source} ORDER BY day, station"
