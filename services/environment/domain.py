"""The domain environment: the air that the city breathes, its noise and weather, and what is let out into it."""

from __future__ import annotations

from services.core.anomaly.detector import unusual
from services.core.history import Index
from services.core.kind import (
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    Column,
    ColumnType,
    Detector,
    Domain,
    Kind,
    Measure,
    Window,
)
from services.environment.detectors.air import (
    EPISODE,
    RISE,
    find_heavy_pollution,
    find_polluted_air,
    find_pollution_rise,
)
from services.environment.detectors.emission import (
    DETECTION_LIMITS,
    LIMITS,
    RANGES,
    find_abatement_off,
    find_at_detection_limit,
    find_exceedance,
    find_flat_monitoring,
    find_monitoring_gap,
)
from services.environment.detectors.emission_day import DAY, PERMIT
from services.environment.detectors.noise import find_noise_burst, find_noise_over_limit
from services.environment.detectors.weather import find_low_visibility
from services.environment.indices import air_rows, noise_rows
from services.environment.indices.emission import LONG_HOURS, EmissionState
from services.environment.indices.hours import SAMPLING
from services.environment.indices.programmes import PROGRAMMES

_PARTICLES_AND_GASES = ("pm2_5_ug_m3", "pm10_ug_m3", "so2_ug_m3", "no2_ug_m3", "o3_ug_m3")
_POLLUTANTS = (*_PARTICLES_AND_GASES, "co_mg_m3")
# One value among many numbers is that of an analyser that hangs.
_MEASURES = (Aggregate.COUNT, Aggregate.MEAN, Aggregate.MAX, Aggregate.DISTINCT)
_LEVELS = (Aggregate.COUNT, Aggregate.ENERGY_MEAN, Aggregate.MIN, Aggregate.MAX, Aggregate.QUANTILE)
_RANGE = (Aggregate.COUNT, Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX)

AIR_QUALITY = Kind(
    name="air_quality",
    columns=(
        *(Column(name, "µg/m³", 0, 10_000) for name in _PARTICLES_AND_GASES),
        Column("co_mg_m3", "mg/m³", 0, 1_000),
        # Of a station that measures it: a rise is told with where it came from.
        Column("wind_m_s", "m/s", 0, 150),
        Column("wind_from_deg", "°", 0, 360),
    ),
    any_of=_POLLUTANTS,
    windows=(Window("1h", HOUR_MS),),
    measures=(
        *(Measure(name, _MEASURES) for name in _POLLUTANTS),
        Measure("wind_m_s", (Aggregate.MEAN,)),
        Measure("wind_from_deg", (Aggregate.MEAN_DIRECTION,), weight="wind_m_s"),
    ),
    disorder_ms=5 * MINUTE_MS,
    lateness_ms=6 * HOUR_MS,
    # Two weeks of hours are 36 kB for each station (100 bytes an hour), and as much again while they are looked at;
    # those that are at hand are 12 kB.
    max_entities=5_000,
    detectors=(
        Detector("polluted_air", "1", "1h", find_polluted_air, attributes=SAMPLING, history=air_rows.HISTORY),
        Detector("heavy_pollution", "1", "1h", find_heavy_pollution, attributes=SAMPLING, history=EPISODE),
        Detector("pollution_rise", "2", "1h", find_pollution_rise, attributes=SAMPLING, history=RISE),
        *unusual("1h", HOUR_MS, "pm2_5_ug_m3_mean", "o3_ug_m3_mean"),
    ),
    indices=(
        Index("air_quality_index", "1h", air_rows.compute_hours, air_rows.HISTORY, SAMPLING),
        Index("air_quality_days", "1h", air_rows.compute_days, air_rows.HISTORY, SAMPLING),
    ),
)

NOISE = Kind(
    name="noise",
    columns=(Column("laeq_db", "dB(A)", 0, 150), Column("lamax_db", "dB(A)", 0, 200)),
    any_of=("laeq_db", "lamax_db"),
    windows=(Window("1h", HOUR_MS),),
    measures=(
        # LAeq of the window is the mean of energy. What is exceeded for 10 % of the time, L10, is the 90th percentile.
        Measure("laeq_db", _LEVELS, percents=(10, 50, 90)),
        Measure("lamax_db", (Aggregate.MAX,)),
    ),
    disorder_ms=MINUTE_MS,
    lateness_ms=6 * HOUR_MS,
    detectors=(
        Detector(
            *("noise_over_limit", "1", "1h", find_noise_over_limit),
            attributes=(*noise_rows.ZONE, *SAMPLING),
            history=noise_rows.HISTORY,
        ),
        Detector("noise_burst", "1", "1h", find_noise_burst, attributes=noise_rows.ZONE),
        *unusual("1h", HOUR_MS, "laeq_db_p50"),
    ),
    indices=(Index("noise_days", "1h", noise_rows.compute_days, noise_rows.HISTORY, (*noise_rows.ZONE, *SAMPLING)),),
)

WEATHER = Kind(
    name="weather",
    columns=(
        Column("temperature_c", "°C", -90, 60),
        Column("humidity", "1", 0, 1),
        Column("pressure_hpa", "hPa", 300, 1_100),
        Column("wind_m_s", "m/s", 0, 150),
        Column("wind_from_deg", "°", 0, 360),
        Column("gust_m_s", "m/s", 0, 200),
        Column("rain_mm", "mm", 0, 1_000),
        Column("radiation_w_m2", "W/m²", 0, 2_000),
        Column("visibility_m", "m", 0, 200_000),
    ),
    any_of=(
        *("temperature_c", "humidity", "pressure_hpa", "wind_m_s", "wind_from_deg"),
        *("gust_m_s", "rain_mm", "radiation_w_m2", "visibility_m"),
    ),
    windows=(Window("10m", 10 * MINUTE_MS), Window("1h", HOUR_MS)),
    measures=(
        Measure("temperature_c", (Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX)),
        Measure("humidity", (Aggregate.MEAN,)),
        Measure("pressure_hpa", (Aggregate.MEAN,)),
        Measure("wind_m_s", (Aggregate.COUNT, Aggregate.MEAN, Aggregate.MAX)),
        # The resultant mean direction (EPA-454/R-99-005, February 2000, 6.2.2): a vane in a calm weighs little.
        Measure("wind_from_deg", (Aggregate.LAST, Aggregate.MEAN_DIRECTION), weight="wind_m_s"),
        Measure("gust_m_s", (Aggregate.MAX,)),
        Measure("rain_mm", (Aggregate.SUM,)),
        Measure("radiation_w_m2", (Aggregate.MEAN,)),
        Measure("visibility_m", (Aggregate.MEAN, Aggregate.MIN)),
    ),
    disorder_ms=MINUTE_MS,
    lateness_ms=6 * HOUR_MS,
    detectors=(
        Detector("low_visibility", "1", "10m", find_low_visibility),
        *unusual("1h", HOUR_MS, "temperature_c_mean", "wind_m_s_mean"),
    ),
)

EMISSION = Kind(
    name="emission",
    columns=(
        Column("dust_mg_m3", "mg/m³", 0, 10_000),
        Column("so2_mg_m3", "mg/m³", 0, 50_000),
        Column("nox_mg_m3", "mg/m³", 0, 50_000),
        Column("flow_m3_h", "m³/h", 0, 20_000_000),
        Column("oxygen_percent", "%", 0, 25),
        Column(
            *("state", "EmissionState", 1, len(EmissionState)),
            required=True,
            type=ColumnType.CODE,
            codes=tuple((state.value, state.name) for state in EmissionState),
        ),
    ),
    windows=(Window("1h", HOUR_MS), Window("4h", LONG_HOURS * HOUR_MS, HOUR_MS)),
    measures=(
        *(Measure(name, _RANGE) for name in ("dust_mg_m3", "so2_mg_m3", "nox_mg_m3")),
        Measure("flow_m3_h", (Aggregate.MEAN,)),
        Measure("oxygen_percent", (Aggregate.MEAN,)),
        Measure("state", (Aggregate.DISTINCT, Aggregate.TOP), tops=3),
    ),
    disorder_ms=5 * MINUTE_MS,
    lateness_ms=6 * HOUR_MS,
    detectors=(
        Detector("emission_exceeded", "1", "1h", find_exceedance, attributes=LIMITS),
        Detector("emission_day_exceeded", "1", "1h", attributes=PERMIT, follower=DAY),
        Detector("abatement_off", "1", "1h", find_abatement_off),
        Detector("monitoring_flat", "1", "4h", find_flat_monitoring, attributes=(*RANGES, *SAMPLING)),
        Detector(
            "monitoring_at_detection_limit",
            "1",
            "4h",
            find_at_detection_limit,
            attributes=(*DETECTION_LIMITS, *SAMPLING),
        ),
        Detector("monitoring_gap", "1", "4h", find_monitoring_gap, attributes=(*LIMITS, *SAMPLING)),
        *unusual("1h", HOUR_MS, "dust_mg_m3_mean", "so2_mg_m3_mean", "nox_mg_m3_mean"),
    ),
)

ENVIRONMENT = Domain(
    "environment",
    "Environment",
    kinds=(AIR_QUALITY, NOISE, WEATHER, EMISSION),
    programmes=tuple(programme.name for programme in PROGRAMMES),
)
