"""Kind credential_event of security: uses of badges, codes and accounts, and what they say of abuse.

An entity is a system whose gates and credentials belong together, so that all uses of a credential come in one order.
People are keyed hashes (services/core/pseudonym.py) and never get into windows or signals.
"""

from __future__ import annotations

from services.core.anomaly.detector import unusual
from services.core.kind import (
    HOUR_MS,
    MINUTE_MS,
    OBSERVATIONS,
    Aggregate,
    Column,
    ColumnType,
    Detector,
    Kind,
    Measure,
    Window,
)
from services.core.pattern import Pattern, Trail
from services.core.pseudonym import LEAST, MOST
from services.security.detectors.credential import (
    find_anti_passback,
    find_brute_force,
    find_duress,
    find_impossible_travel,
    find_reader_tamper,
)
from services.security.indices.sequences import (
    LOOK_BACK_MS,
    CredentialOutcome,
    Direction,
    mark_brute_force,
    mark_impossible_travel,
    mark_passback,
)

CREDENTIAL_MEDIA = ((1, "BADGE"), (2, "PIN"), (3, "FACE"), (4, "QR"), (5, "PASSWORD"))
# Greatest whole number up to which a float32 holds all.
_MOST_GATES = 2**24 - 1
_MOST_AREAS = 65_535
_PERSON = ("person_a", "person_b")

CREDENTIAL_EVENT = Kind(
    name="credential_event",
    columns=(
        Column(
            *("outcome", "CredentialOutcome", 1, len(CredentialOutcome)),
            required=True,
            type=ColumnType.CODE,
            codes=tuple((outcome.value, outcome.name) for outcome in CredentialOutcome),
        ),
        Column("medium", "CredentialMedium", 1, len(CREDENTIAL_MEDIA), type=ColumnType.CODE, codes=CREDENTIAL_MEDIA),
        Column(
            *("direction", "CredentialDirection", 1, len(Direction)),
            type=ColumnType.CODE,
            codes=tuple((direction.value, direction.name) for direction in Direction),
        ),
        Column("gate", "number", 1, _MOST_GATES),
        Column("area", "number", 1, _MOST_AREAS),
        Column("latitude", "°", -90, 90, type=ColumnType.DOUBLE),
        Column("longitude", "°", -180, 180, type=ColumnType.DOUBLE),
        *(Column(name, "keyed hash", LEAST, MOST, type=ColumnType.DOUBLE, personal=True) for name in _PERSON),
    ),
    windows=(Window("1m", MINUTE_MS),),
    measures=(
        Measure("outcome", (Aggregate.TOP,), tops=len(CredentialOutcome)),
        Measure("medium", (Aggregate.TOP,), tops=len(CREDENTIAL_MEDIA)),
    ),
    trail=Trail(
        (*_PERSON, "outcome", "direction", "area", "gate", "latitude", "longitude"),
        LOOK_BACK_MS,
        patterns=(
            Pattern("brute_force_count", mark_brute_force),
            Pattern("passback_count", mark_passback),
            Pattern("impossible_travel_count", mark_impossible_travel),
        ),
        subject="person_a",
    ),
    disorder_ms=10_000,
    # What is kept of the order of uses, is kept for that much longer.
    lateness_ms=2 * HOUR_MS,
    max_entities=20_000,
    detectors=(
        Detector("brute_force", "1", "1m", find_brute_force),
        Detector("anti_passback", "1", "1m", find_anti_passback),
        Detector("impossible_travel", "1", "1m", find_impossible_travel),
        Detector("duress", "1", "1m", find_duress),
        Detector("reader_tamper", "1", "1m", find_reader_tamper),
        *unusual("1m", MINUTE_MS, OBSERVATIONS),
    ),
)
