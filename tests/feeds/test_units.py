"""Units are known by the names that others give them, and numbers converted; what is not known is refused by name."""

from __future__ import annotations

import pytest

from services.core.kind import Kind
from services.feeds.units import UnitError, convert, is_known
from tests.contract.domains import BY_KIND


@pytest.mark.parametrize(
    ("number", "told", "wanted", "column", "expected"),
    [
        (35.0, "ug/m3", "µg/m³", "pm2_5_ug_m3", 35.0),
        (35.0, "\N{GREEK SMALL LETTER MU}g/m³", "µg/m³", "pm2_5_ug_m3", 35.0),
        (0.6, "GP", "µg/m³", "so2_ug_m3", 600.0),
        (500.0, "GQ", "mg/m³", "co_mg_m3", 0.5),
        (54.0, "%", "1", "humidity", 0.54),
        (212.0, "[degF]", "°C", "temperature_c", 100.0),
        (293.15, "K", "°C", "temperature_c", 20.0),
        (101.2, "kPa", "hPa", "pressure_hpa", 1012.0),
        (36.0, "km/h", "m/s", "wind_m_s", 10.0),
        (10.0, "MTS", "km/h", "speed_kmh", 36.0),
        (10.0, "kn", "m/s", "wind_m_s", 5.1444),
        (3.0, "http://qudt.org/vocab/unit/KiloM", "m", "visibility_m", 3000.0),
        (21.0, "ucum:Cel", "°C", "temperature_c", 21.0),
        (2.0, "l/m²", "mm", "rain_mm", 2.0),
        (12.0, "", "people", "count", 12.0),
        (12.0, "1", "people", "count", 12.0),
        (61.0, "dBA", "dB(A)", "laeq_db", 61.0),
    ],
)
def test_numbers_are_converted(number, told, wanted, column, expected):
    assert convert(number, told, wanted, column) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("ppb", "column", "wanted", "expected"),
    # 24.465 litres a mole at 25 °C and 1 atm: NO2 46.006, SO2 64.06, O3 47.997, CO 28.010 g/mol.
    [
        (10.0, "no2_ug_m3", "µg/m³", 18.80),
        (10.0, "so2_ug_m3", "µg/m³", 26.18),
        (10.0, "o3_ug_m3", "µg/m³", 19.62),
        (1000.0, "co_mg_m3", "mg/m³", 1.1449),
    ],
)
def test_shares_by_volume_of_gases_become_masses(ppb, column, wanted, expected):
    assert convert(ppb, "ppb", wanted, column) == pytest.approx(expected, rel=1e-3)
    assert convert(ppb / 1000, "ppm", wanted, column) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("told", "wanted", "column", "reason"),
    [
        ("furlong", "m", "visibility_m", "is no unit that is known for m; there are m, mm, km"),
        ("", "°C", "temperature_c", "is no unit that is known for °C; there are K, °C, °F"),
        ("ppb", "µg/m³", "pm10_ug_m3", "cannot be converted to µg/m³"),
        ("°C", "hPa", "pressure_hpa", "cannot be converted to hPa"),
        ("%", "people", "count", "cannot be converted to people"),
    ],
)
def test_what_is_not_known_or_of_something_else_is_refused(told, wanted, column, reason):
    with pytest.raises(UnitError, match=f"^{reason}"):
        convert(1.0, told, wanted, column)


@pytest.mark.parametrize("name", ["road_flow", "air_quality", "noise", "weather", "people_count"])
def test_the_units_of_our_columns_are_known(name):
    kind: Kind = BY_KIND[name].kind
    assert {c.unit for c in kind.columns if not is_known(c.unit)} <= {"veh/h"}
