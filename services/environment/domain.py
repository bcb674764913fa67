"""The domain environment: the air that the city breathes. Small until its own indices and detectors come."""

from __future__ import annotations

from services.core.kind import HOUR_MS, Aggregate, Column, Domain, Kind, Measure, Window

_PARTICLES_AND_GASES = ("pm2_5_ug_m3", "pm10_ug_m3", "so2_ug_m3", "no2_ug_m3", "o3_ug_m3")
_POLLUTANTS = (*_PARTICLES_AND_GASES, "co_mg_m3")
# One value among many numbers is that of an analyser that hangs.
_MEASURES = (Aggregate.COUNT, Aggregate.MEAN, Aggregate.MAX, Aggregate.DISTINCT)

AIR_QUALITY = Kind(
    name="air_quality",
    columns=(
        *(Column(name, "µg/m³", 0, 10_000) for name in _PARTICLES_AND_GASES),
        Column("co_mg_m3", "mg/m³", 0, 1_000),
    ),
    any_of=_POLLUTANTS,
    windows=(Window("1h", HOUR_MS),),
    measures=tuple(Measure(name, _MEASURES) for name in _POLLUTANTS),
    disorder_ms=5 * 60_000,
    lateness_ms=6 * HOUR_MS,
)

ENVIRONMENT = Domain("environment", "Environment", kinds=(AIR_QUALITY,))
