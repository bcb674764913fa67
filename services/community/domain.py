"""The domain community: how many people are where, who may pass, and what citizens ask for."""

from __future__ import annotations

from services.community.detectors import (
    CAPACITY,
    PassageOutcome,
    find_access_denied,
    find_crowding,
    find_dense_crowd,
    find_forced_gate,
    find_over_capacity,
    find_request_surge,
    find_tailgating,
    may_be_dense,
    may_be_over_capacity,
)
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
    Domain,
    Kind,
    Measure,
    Window,
)
from services.core.pseudonym import LEAST, MOST
from services.core.small_numbers import LEAST_SHOWN

PASSAGE_MEDIA = ((1, "BADGE"), (2, "FACE"), (3, "QR"), (4, "PAPER"))
# What a request may take: ten years.
_LONGEST_S = 10 * 365 * 86_400

PEOPLE_COUNT = Kind(
    name="people_count",
    columns=(
        Column("count", "people", 0, 1_000_000, required=True),
        Column("count_in", "people", 0, 1_000_000),
        Column("count_out", "people", 0, 1_000_000),
        Column("density_p_m2", "p/m²", 0, 20),
        Column("confidence", "1", 0, 1),
    ),
    # A sensor takes part in every window that is at least as long as its own period.
    # An hour is told every quarter as it stands, which is news of sensors that count more often than hourly.
    windows=(Window("15m", 15 * MINUTE_MS), Window("1h", HOUR_MS, early_ms=15 * MINUTE_MS)),
    measures=(
        Measure("count", (Aggregate.SUM, Aggregate.MAX, Aggregate.VARIANCE, Aggregate.FIRST)),
        Measure("count_in", (Aggregate.SUM,)),
        Measure("count_out", (Aggregate.SUM,)),
        Measure("density_p_m2", (Aggregate.MEAN, Aggregate.MAX)),
        Measure("confidence", (Aggregate.MIN, Aggregate.MEAN)),
    ),
    disorder_ms=5 * MINUTE_MS,
    lateness_ms=6 * HOUR_MS,
    detectors=(
        Detector("crowding", "1", "1h", find_crowding),
        Detector("dense_crowd", "1", "15m", find_dense_crowd, may_find=may_be_dense),
        Detector(
            *("over_capacity", "1", "15m", find_over_capacity),
            attributes=CAPACITY,
            previous=("count_max",),
            may_find=may_be_over_capacity,
        ),
        *unusual("1h", HOUR_MS, "count_sum", least_shown=LEAST_SHOWN),
    ),
    baseline=Baseline("1h", "count_sum"),
)

PASSAGE = Kind(
    name="passage",
    columns=(
        Column("medium", "PassageMedium", 1, 4, type=ColumnType.CODE, codes=PASSAGE_MEDIA),
        Column(
            *("outcome", "PassageOutcome", 1, len(PassageOutcome)),
            required=True,
            type=ColumnType.CODE,
            codes=tuple((outcome.value, outcome.name) for outcome in PassageOutcome),
        ),
        Column("count_in", "people", 0, 1_000),
        Column("count_out", "people", 0, 1_000),
        Column("occupancy", "people", 0, 1_000_000),
        Column("person_a", "keyed hash", LEAST, MOST, type=ColumnType.DOUBLE, personal=True),
        Column("person_b", "keyed hash", LEAST, MOST, type=ColumnType.DOUBLE, personal=True),
    ),
    windows=(Window("15m", 15 * MINUTE_MS), Window("1h", HOUR_MS)),
    # Nothing of a person: what is told of a gate are numbers of people.
    measures=(
        Measure("medium", (Aggregate.TOP,), tops=len(PASSAGE_MEDIA)),
        Measure("outcome", (Aggregate.TOP,), tops=len(PassageOutcome)),
        Measure("count_in", (Aggregate.SUM,)),
        Measure("count_out", (Aggregate.SUM,)),
        Measure("occupancy", (Aggregate.LAST,)),
    ),
    disorder_ms=MINUTE_MS,
    # Lists on paper are typed in on the next working day.
    lateness_ms=48 * HOUR_MS,
    max_entities=20_000,
    detectors=(
        Detector("access_denied", "1", "15m", find_access_denied),
        Detector("tailgating", "1", "15m", find_tailgating),
        Detector("forced_gate", "1", "15m", find_forced_gate),
        *unusual("1h", HOUR_MS, "count_in_sum", "count_out_sum", least_shown=LEAST_SHOWN),
    ),
)

SERVICE_REQUEST = Kind(
    name="service_request",
    columns=(
        Column("opened", "requests", 0, 1_000),
        Column("acknowledged_after_s", "s", 0, _LONGEST_S),
        Column("resolved_after_s", "s", 0, _LONGEST_S),
        Column("satisfaction", "1 to 5", 1, 5),
        Column("latitude", "°", -90, 90, type=ColumnType.DOUBLE),
        Column("longitude", "°", -180, 180, type=ColumnType.DOUBLE),
        Column("request_a", "hash", LEAST, MOST, required=True, type=ColumnType.DOUBLE),
        Column("request_b", "hash", LEAST, MOST, required=True, type=ColumnType.DOUBLE),
    ),
    any_of=("opened", "acknowledged_after_s", "resolved_after_s", "satisfaction"),
    windows=(Window("24h", DAY_MS, HOUR_MS),),
    measures=(
        Measure("opened", (Aggregate.SUM,)),
        Measure("acknowledged_after_s", (Aggregate.COUNT, Aggregate.QUANTILE), percents=(50, 90)),
        Measure("resolved_after_s", (Aggregate.COUNT, Aggregate.QUANTILE), percents=(50, 90)),
        Measure("satisfaction", (Aggregate.COUNT, Aggregate.MEAN)),
    ),
    disorder_ms=5 * MINUTE_MS,
    lateness_ms=24 * HOUR_MS,
    detectors=(
        Detector("request_surge", "1", "24h", find_request_surge),
        *unusual("24h", HOUR_MS, "opened_sum"),
    ),
    baseline=Baseline("24h", "opened_sum"),
)

COMMUNITY = Domain("community", "Community", kinds=(PEOPLE_COUNT, PASSAGE, SERVICE_REQUEST))
