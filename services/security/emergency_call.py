"""Kind emergency_call of security: calls to police, fire and ambulance, and how soon help comes. It names nobody."""

from __future__ import annotations

from services.core.anomaly.detector import unusual
from services.core.kind import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Aggregate,
    Baseline,
    Column,
    ColumnType,
    Detector,
    Kind,
    Measure,
    Window,
)
from services.core.pattern import Pattern, Trail
from services.security.detectors.emergency import find_emergency_surge
from services.security.indices.cases import CASE_WITHIN_MS, EmergencyNature, mark_cases

# Help that takes longer is no longer that of an emergency.
_LONGEST_S = DAY_MS // 1000
_TIMES = (Aggregate.COUNT, Aggregate.QUANTILE)
# Standards of response are stated as percentiles, as a rule the 90th (NFPA 1710, objectives for 90 % of incidents).
_PERCENTS = (50, 90)

EMERGENCY_CALL = Kind(
    name="emergency_call",
    columns=(
        Column("calls", "calls", 0, 1_000),
        Column(
            *("nature", "EmergencyNature", 1, len(EmergencyNature)),
            type=ColumnType.CODE,
            codes=tuple((nature.value, nature.name) for nature in EmergencyNature),
        ),
        Column("dispatch_s", "s", 0, _LONGEST_S),
        Column("arrival_s", "s", 0, _LONGEST_S),
        Column("response_s", "s", 0, _LONGEST_S),
        Column("latitude", "°", -90, 90, type=ColumnType.DOUBLE),
        Column("longitude", "°", -180, 180, type=ColumnType.DOUBLE),
    ),
    any_of=("calls", "dispatch_s", "arrival_s", "response_s"),
    # An hour, told every quarter of an hour.
    windows=(Window("1h", HOUR_MS, 15 * MINUTE_MS),),
    measures=(
        Measure("calls", (Aggregate.SUM,)),
        Measure("nature", (Aggregate.TOP,), tops=3),
        *(Measure(name, _TIMES, percents=_PERCENTS) for name in ("dispatch_s", "arrival_s", "response_s")),
    ),
    trail=Trail(
        ("calls", "nature", "latitude", "longitude"), CASE_WITHIN_MS, patterns=(Pattern("case_count", mark_cases),)
    ),
    disorder_ms=MINUTE_MS,
    lateness_ms=2 * HOUR_MS,
    detectors=(
        Detector("emergency_surge", "1", "1h", find_emergency_surge),
        *unusual("1h", 15 * MINUTE_MS, "calls_sum"),
    ),
    # Four windows an hour: those of four weeks.
    baseline=Baseline("1h", "case_count", minimum_samples=16),
)
