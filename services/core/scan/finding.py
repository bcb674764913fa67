"""A finding: a cluster that nobody asked for, told like an incident, and marked as what it is."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum

from services.core.correlation.query import windows_query
from services.core.geometry import cell_of, great_circle_m
from services.core.scan.cases import Cases
from services.core.scan.clusters import Cluster
from services.core.scan.plan import WatchPlan
from services.core.signals import NAMESPACE, Signal

# A finding is one record on a topic and one gRPC message; a signal takes about 350 B.
MAX_LISTED_SIGNALS = 500


class FindingState(IntEnum):
    """Where a finding is in its life; equal in number to urban.correlation.v1.FindingState."""

    STANDING = 1  # the last scan has found it
    OVER = 2  # a later scan has not
    RETRACTED = 3  # by what a late signal says it never was


@dataclass(frozen=True)
class Sight:
    """A cluster as one scan has seen it."""

    scan_ms: int  # event time of the scan: the end of its last bucket
    start_ms: int
    end_ms: int
    latitude: float
    longitude: float
    radius_m: float
    observed: int
    expected: float
    log_likelihood_ratio: float
    p_value: float
    cases: tuple[str, ...]  # ids of the first signals of its cases, in their order
    signals: tuple[Signal, ...]  # of its places during its time, by end and id; of very many those of its cases first
    signal_count: int


@dataclass(frozen=True)
class Finding:
    """One version of a finding: what the scan saw that saw it clearest."""

    id: str
    city: str
    state: FindingState
    version: int  # of the plan
    replicates: int
    title: str
    h3_cell: int
    query: str
    first_ms: int  # event time of the scans that found it first and last
    last_ms: int
    sight: Sight
    revision: int = 0


def finding_id(city: str, version: int, scan_ms: int, first_case: str) -> str:
    """The same log gives the same id: UUID version 5 of city, version of the plan, first scan and its first case."""
    return str(uuid.uuid5(NAMESPACE, "\x1f".join((city, "finding", str(version), str(scan_ms), first_case))))


def sight_of(cluster: Cluster, cases: Cases, raised: Iterable[Signal], scan_ms: int) -> Sight:
    """A cluster with all signals behind it. `raised`: those of the city."""
    begun = [cases.signals[i] for i in cluster.members]
    places = {(s.latitude, s.longitude) for s in begun}
    first = {s.id for s in begun}
    behind = [
        s
        for s in raised
        if cluster.start_ms < s.end_ms <= cluster.end_ms and (s.latitude, s.longitude) in places and s.id not in first
    ]
    behind.sort(key=_order)
    listed = sorted([*begun, *behind][:MAX_LISTED_SIGNALS], key=_order)
    # Places may have been taken together for the scan: here is how far the cases themselves reach.
    latitudes, longitudes = [s.latitude for s in begun], [s.longitude for s in begun]
    reach = great_circle_m(cluster.latitude, cluster.longitude, latitudes, longitudes)
    return Sight(
        scan_ms=scan_ms,
        start_ms=cluster.start_ms,
        end_ms=cluster.end_ms,
        latitude=cluster.latitude,
        longitude=cluster.longitude,
        radius_m=round(float(reach.max()), 3),
        observed=cluster.observed,
        expected=round(cluster.expected, 6),
        log_likelihood_ratio=round(cluster.log_likelihood_ratio, 6),
        p_value=cluster.p_value,
        cases=tuple(s.id for s in begun),
        signals=tuple(listed),
        signal_count=len(begun) + len(behind),
    )


def describe(
    id_: str, city: str, state: FindingState, first_ms: int, last_ms: int, sight: Sight, plan: WatchPlan
) -> Finding:
    """The finding as people are told of it, with revision 0."""
    return Finding(
        id=id_,
        city=city,
        state=state,
        version=plan.version,
        replicates=plan.scan.replicates,
        title=title_of(sight),
        h3_cell=cell_of(sight.latitude, sight.longitude),
        query=windows_query(city, sight.signals),
        first_ms=first_ms,
        last_ms=last_ms,
        sight=sight,
    )


def title_of(sight: Sight) -> str:
    """One sentence: how often something began, where and when, what was to be expected, and what it was."""
    first = set(sight.cases)
    kinds = Counter(signal.kind for signal in sight.signals if signal.id in first)
    told = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])))
    where = f"within {sight.radius_m:,.0f} m" if sight.radius_m else "at one place"
    start, end = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (sight.start_ms, sight.end_ms))
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return (
        f"Something began {sight.observed} times {where} from {start:%Y-%m-%d %H:%M} to {until} UTC,"
        f" where {sight.expected:.1f} were to be expected: {told}"
    )


def _order(signal: Signal) -> tuple[int, str]:
    return signal.end_ms, signal.id
