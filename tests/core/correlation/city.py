"""A small city for the tests of the correlation: its rule, its signals, and a log that is read record by record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.incident import Incident
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Selector
from services.core.signals import Evidence, Severity, Signal, signal_id

MINUTE = 60_000
HOUR = 3_600_000
NOON = 1_717_329_600_000  # 2024-06-02T12:00Z
NAN = float("nan")

CROWD = Selector("crowd", "community", "people_count", "crowding")
ROAD = Selector("road", "traffic", "road_flow", "congestion")
RULE = Rule(
    name="crowd_road_pressure",
    version=1,
    about="People on foot and cars want the same streets.",
    title="Unusual crowd and road congestion near {crowd}",
    severity=Severity.SEVERE,
    selectors=(CROWD, ROAD),
    radius_m=500.0,
    within_s=3600,
    settled_after_s=8 * 3600,
)
SOURCES = {("community", "people_count"): 1, ("traffic", "road_flow"): 1}
SILENCE = 60_000

# Degrees of latitude for one metre on the sphere of the mean Earth radius.
DEGREE_PER_M = 360 / (2 * 3.141592653589793 * 6_371_008.8)
QUEEN_STREET = (-36.848, 174.765)


def crowding(entity: str = "queen-st", start_ms: int = NOON, *, north_m: float = 0.0, **changes: object) -> Signal:
    """An hour of unusually many people, so many metres north of Queen Street."""
    return _signal("community", "people_count", "crowding", entity, "1h", start_ms, HOUR, north_m, changes)


def congestion(entity: str = "road-1", start_ms: int = NOON, *, north_m: float = 100.0, **changes: object) -> Signal:
    """Five minutes of congestion, so many metres north of Queen Street."""
    return _signal("traffic", "road_flow", "congestion", entity, "5m", start_ms, 5 * MINUTE, north_m, changes)


def _signal(
    domain: str,
    kind: str,
    type_: str,
    entity: str,
    window: str,
    start_ms: int,
    size_ms: int,
    north_m: float,
    changes: Mapping[str, object],
) -> Signal:
    city = str(changes.get("city", "auckland"))
    made = Signal(
        id=signal_id(city, domain, kind, type_, entity, window, start_ms),
        city=city,
        domain=domain,
        kind=kind,
        type=type_,
        entity_id=entity,
        window=window,
        start_ms=start_ms,
        end_ms=start_ms + size_ms,
        retracted=False,
        severity=Severity.MODERATE,
        score=0.5,
        evidence=(Evidence("robust_z", 9.5, 5.0), Evidence("count_sum", 4210.0, NAN, 1800.0)),
        revision=1,
        detector_version="1",
        latitude=QUEEN_STREET[0] + north_m * DEGREE_PER_M,
        longitude=QUEEN_STREET[1],
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # the tests name real fields


def report(domain: str, time_ms: int, *partitions: int) -> Watermarks:
    """The processor of a domain says that its partitions (the first one, if none is named) have passed a time."""
    kind = {"community": "people_count", "traffic": "road_flow"}[domain]
    return Watermarks(domain, kind, dict.fromkeys(partitions or (0,), time_ms))


def both(time_ms: int) -> list[Watermarks]:
    """Both domains have passed a time."""
    return [report("community", time_ms), report("traffic", time_ms)]


class Reader:
    """Reads a log into a correlator, one record a second, and keeps the newest version of every incident."""

    def __init__(self, *rules: Rule, sources: Mapping[tuple[str, str], int] = SOURCES) -> None:
        self.correlator = Correlator(rules or (RULE,), sources, silence_ms=SILENCE)
        self.log_ms = NOON
        self.versions: list[Incident] = []

    def read(self, *records: Signal | Watermarks, seconds: float = 1.0) -> list[Incident]:
        """Reads records; `seconds` of log time pass before each."""
        changes: list[Incident] = []
        for record in records:
            self.log_ms += int(seconds * 1000)
            changes += self.correlator.take(record, self.log_ms)
        self.versions += changes
        return changes

    @property
    def incidents(self) -> dict[str, Incident]:
        return newest(self.versions)


def newest(versions: Iterable[Incident]) -> dict[str, Incident]:
    """The last version of every incident; fails where a revision is not the next one."""
    found: dict[str, Incident] = {}
    for incident in versions:
        before = found[incident.id].revision if incident.id in found else 0
        assert incident.revision == before + 1, f"revision {incident.revision} after {before}"
        found[incident.id] = incident
    return found
