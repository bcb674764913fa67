"""Units of measurement as other systems name them, and numbers in them converted to the units of our columns.

The names are those that people write, of UCUM, of UN/CEFACT Recommendation 20 (codes as GQ, which NGSI-LD asks for) and
of QUDT; of an address the part behind its last "/", "#" or ":" counts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from services.environment.indices.epa import ppb_of_ug_m3
from services.environment.indices.standard import Pollutant


class Dimension(StrEnum):
    """What can be converted into one another."""

    MASS_CONCENTRATION = "g/m³"
    SHARE = "1"
    TEMPERATURE = "K"
    PRESSURE = "Pa"
    SPEED = "m/s"
    ANGLE = "°"
    LENGTH = "m"
    IRRADIANCE = "W/m²"
    LEVEL = "dB"
    COUNT = "people"
    DENSITY = "people/m²"
    VEHICLES = "vehicles"
    SPACES = "spaces"


class Unit(NamedTuple):
    """A number in it times `factor` plus `offset` is one in the unit that its dimension is named by."""

    dimension: Dimension
    factor: float = 1.0
    offset: float = 0.0


class UnitError(ValueError):
    """A unit that is not known, or that is of something else than what is measured."""


_MILE_M = 1609.344
_NAMES: Mapping[Unit, str] = {
    Unit(Dimension.MASS_CONCENTRATION, 1e-9): "ng/m³ ng/m3 NanoGM-PER-M3",
    Unit(Dimension.MASS_CONCENTRATION, 1e-6): "µg/m³ µg/m3 ug/m³ ug/m3 ug.m-3 µg.m-3 µgm-3 GQ MicroGM-PER-M3",
    Unit(Dimension.MASS_CONCENTRATION, 1e-3): "mg/m³ mg/m3 mg.m-3 GP MilliGM-PER-M3",
    Unit(Dimension.SHARE): "1 C62 UNITLESS",
    Unit(Dimension.SHARE, 1e-2): "% %RH percent Percent PERCENT P1",
    Unit(Dimension.SHARE, 1e-6): "ppm [ppm] PPM 59",
    Unit(Dimension.SHARE, 1e-9): "ppb [ppb] PPB 61",
    Unit(Dimension.TEMPERATURE): "K KEL Kelvin",
    Unit(Dimension.TEMPERATURE, offset=273.15): "°C ℃ ºC C Cel degC CEL DEG_C DegreeCelsius",
    Unit(Dimension.TEMPERATURE, 5 / 9, 273.15 - 32 * 5 / 9): "°F ℉ F [degF] degF FAH DEG_F DegreeFahrenheit",
    Unit(Dimension.PRESSURE): "Pa PAL Pascal",
    Unit(Dimension.PRESSURE, 100.0): "hPa mbar A97 MBR HectoPA Hectopascal MilliBAR",
    Unit(Dimension.PRESSURE, 1000.0): "kPa KPA KiloPA",
    Unit(Dimension.SPEED): "m/s m.s-1 ms-1 MTS M-PER-SEC MeterPerSecond",
    Unit(Dimension.SPEED, 1 / 3.6): "km/h kph KMH KiloM-PER-HR KilometerPerHour",
    Unit(Dimension.SPEED, _MILE_M / 3600): "mph HM MI-PER-HR",
    Unit(Dimension.SPEED, 1852 / 3600): "kn kt [kn_i] KNT KN",
    Unit(Dimension.ANGLE): "° deg degree degrees DD DEG DegreeAngle",
    Unit(Dimension.LENGTH): "m MTR M Meter",
    # Of rain, a litre on a square metre is a millimetre.
    Unit(Dimension.LENGTH, 1e-3): "mm MMT MilliM Millimeter l/m² l/m2 L/m²",
    Unit(Dimension.LENGTH, 1000.0): "km KMT KiloM Kilometer",
    Unit(Dimension.IRRADIANCE): "W/m² W/m2 w/m2 W.m-2 D54 W-PER-M2",
    Unit(Dimension.LEVEL): "dB dB(A) dBA dB[A] 2N DeciB Decibel",
    Unit(Dimension.COUNT): "people persons person pedestrians count counts {count} {people} {tot}",
    Unit(Dimension.DENSITY): "p/m² people/m² people/m2 persons/m2",
    Unit(Dimension.VEHICLES): "vehicles",
    Unit(Dimension.SPACES): "spaces",
}
_UNITS = {name: unit for unit, names in _NAMES.items() for name in names.split()}
# Number of things: also said by no unit at all.
_COUNTED = (Dimension.COUNT, Dimension.VEHICLES, Dimension.SPACES)
_NO_UNIT = ("", "1", "C62", "UNITLESS")
_LAST = re.compile(r"[/#:]([^/#:]+)$")
_GASES = {
    "so2_ug_m3": Pollutant.SO2,
    "no2_ug_m3": Pollutant.NO2,
    "o3_ug_m3": Pollutant.O3,
    "co_mg_m3": Pollutant.CO,
}


def convert(number: float, told: str, wanted: str, column: str = "") -> float:
    """A number in the unit that is told, in the unit that is wanted. UnitError where it cannot be.

    Shares by volume of the gases of air_quality (`column`) become masses at 25 °C and 1,013.25 hPa (40 CFR 50.3;
    GB 3095 since 2018-09-01).
    """
    target = _UNITS[wanted]
    unit = _find(told)
    if target.dimension in _COUNTED and told in _NO_UNIT:
        return number
    if unit is None:
        raise UnitError(f"is no unit that is known for {wanted}; there are {', '.join(_of(target.dimension))}")
    if unit == target:
        return number
    base = number * unit.factor + unit.offset
    if unit.dimension is Dimension.SHARE and column in _GASES:
        base *= 1e9 / ppb_of_ug_m3(_GASES[column]) * 1e-6
    elif unit.dimension is not target.dimension:
        raise UnitError(f"cannot be converted to {wanted}; there are {', '.join(_of(target.dimension))}")
    return (base - target.offset) / target.factor


def is_known(name: str) -> bool:
    """Whether a text, or the end of an address, is the name of a unit."""
    return _find(name) is not None


def _find(name: str) -> Unit | None:
    # The sign for micro is another character than the Greek letter, and both are written.
    text = name.strip().replace("\N{GREEK SMALL LETTER MU}", "\N{MICRO SIGN}")
    if text in _UNITS:
        return _UNITS[text]
    match = _LAST.search(text) if "://" in text or text.startswith(("ucum:", "unit:", "qudt:")) else None
    return _UNITS.get(match[1]) if match else None


def _of(dimension: Dimension) -> list[str]:
    return [names.split()[0] for unit, names in _NAMES.items() if unit.dimension is dimension]
