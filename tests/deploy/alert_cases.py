"""A city that is well, and what is different when something is wrong: for each alert the fault that it is there for.

Time series in the notation of promtool's rule tests, a sample a minute from the moment 0 on, so that a watermark of
`0+60x120` is the clock itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from deploy.k8s.roles import City
from services.cli.domains import find_domains

MINUTES = 120
LOOK_AT = "115m"
CITY = City(find_domains())

Series = Mapping[str, str]


def _constant(value: float) -> str:
    return f"{value:g}+0x{MINUTES}"


def _every(step: float) -> str:
    """A counter that grows so much a minute, or a clock."""
    return f"0+{step:g}x{MINUTES}"


ROAD = 'domain="traffic", kind="road_flow"'
WATERMARK = f'urban_watermark_timestamp_seconds{{{ROAD}, partition="2"}}'
PROCESSOR_UP = 'up{service="traffic", component="processor", pod="traffic-processor-0"}'
FOLDED, LATE, DEAD = (f'urban_observations_total{{{ROAD}, result="{r}"}}' for r in ("folded", "late", "dead_lettered"))
ACCEPTED, REJECTED = (f'urban_reported_observations_total{{{ROAD}, result="{r}"}}' for r in ("accepted", "rejected"))
LEDGER, ARCHIVE, SHARE = (
    f'urban_{name}{{{ROAD}, partition="2"}}'
    for name in ("ledger_difference", "archive_difference", "dead_letter_share")
)
POD = 'service="traffic", component="processor", pod="traffic-processor-0"'
READY = f'urban_ready{{{POD}, needs="kafka"}}'
AWAY = f'urban_clickhouse_unavailable_seconds{{{POD}, what="traffic.road_flow_windows"}}'
MEMORY = f"urban_process_resident_bytes{{{POD}}}"
BACKPRESSURE = f'urban_backpressure_seconds_total{{{POD}, domain="traffic"}}'
CANARY = f'urban_canary_waiting_seconds{{{ROAD}, partition="2"}}'
SILENT = "urban_correlation_silent_partitions"
RULES_REFUSED = "urban_rules_refused"
NEIGHBOUR = 'urban_exchange_away_seconds{neighbour="eastbank"}'
CUT_OFF = 'urban_subscribers_cut_off_total{topic="urban.traffic.windows.v1"}'
DELIVERED, UNDELIVERED = (
    f'urban_deliveries_total{{receiver="duty_officer", result="{r}"}}' for r in ("delivered", "undelivered")
)
QUICK, SLOW = (f'urban_checkpoint_seconds_bucket{{{ROAD}, le="{le}"}}' for le in ("1", "+Inf"))
SLOWER = f'urban_checkpoint_seconds_bucket{{{ROAD}, le="10"}}'


def lag(service: str, role: str, topic: str, partition: int) -> str:
    """The time series of a partition's lag."""
    return f'urban_lag_records{{domain="{service}", role="{role}", topic="{topic}", partition="{partition}"}}'


ARCHIVER_LAG = lag("traffic", "archiver", "urban.traffic.road_flow.v1", 1)
PROCESSOR_LAG = lag("traffic", "processor", "urban.traffic.road_flow.v1", 1)
CORRELATION_LAG = lag("correlation", "processor", "urban.signals.v1", 0)


def well() -> dict[str, str]:
    """Every time series that the alerts look at, of a city with nothing wrong."""
    found = {
        f'up{{service="{role.service}", component="{role.role}", pod="{role.name}-0"}}': _constant(1)
        for role in CITY.roles
    }
    found |= {
        lag(role.service, role.role, topic.name, partition): _constant(40)
        for role in CITY.roles
        for topic in CITY.shared_out(role)
        for partition in range(topic.partitions)
    }
    found |= {
        f'urban_watermark_timestamp_seconds{{domain="{domain.name}", kind="{kind.name}", partition="{partition}"}}': (
            f"-{kind.disorder_ms / 1000:g}+60x{MINUTES}"
        )
        for domain in CITY.domains
        for kind in domain.kinds
        for partition in range(4)
    }
    return found | {
        FOLDED: _every(60_000),
        LATE: _every(60),
        DEAD: _every(6),
        ACCEPTED: _every(60_000),
        REJECTED: _every(600),
        LEDGER: _constant(0),
        ARCHIVE: _constant(0),
        SHARE: _constant(0.001),
        READY: _constant(1),
        AWAY: _constant(0),
        MEMORY: _constant(400e6),
        BACKPRESSURE: _every(1),
        SILENT: _constant(0),
        CANARY: _constant(6),
        RULES_REFUSED: _constant(0),
        NEIGHBOUR: _constant(0),
        CUT_OFF: _every(0.1),
        DELIVERED: _every(1),
        UNDELIVERED: _constant(0),
        QUICK: _every(12),
        SLOWER: _every(12),
        SLOW: _every(12),
    }


@dataclass(frozen=True)
class Case:
    """One fault: what is different in the figures, and the alert that fires then, and no other."""

    alert: str
    different: Mapping[str, str | None]

    def __str__(self) -> str:
        changed = ", ".join(f"{name.partition('{')[0]}={values}" for name, values in self.different.items())
        return f"{self.alert or 'none'}: {changed or 'nothing'}"

    @property
    def series(self) -> dict[str, str]:
        merged = {**well(), **self.different}
        return {name: values for name, values in merged.items() if values is not None}


CASES = (
    Case("UrbanRoleAbsent", {PROCESSOR_UP: _constant(0)}),
    Case("UrbanRoleAbsent", {PROCESSOR_UP: None}),
    Case("UrbanEventTimeBehind", {WATERMARK: f"0+60x60 3600+0x{MINUTES - 60}"}),
    Case("UrbanPartitionUnowned", {PROCESSOR_LAG: None}),
    Case("UrbanPartitionUnowned", {CORRELATION_LAG: None}),
    Case("UrbanMemoryNearLimit", {MEMORY: _constant(3.1e9)}),
    Case("UrbanLedgerDifference", {LEDGER: _constant(3)}),
    Case("UrbanLedgerDifference", {LEDGER: _constant(-3)}),
    Case("UrbanArchiveDifference", {ARCHIVE: _constant(256)}),
    Case("UrbanNotReady", {READY: _constant(0)}),
    Case("UrbanClickHouseAway", {AWAY: f"0+0x60 60+60x{MINUTES - 60}"}),
    Case("UrbanArchiverBehind", {ARCHIVER_LAG: _every(5_000)}),
    Case("UrbanDeadLetterFlood", {SHARE: _constant(0.4)}),
    Case("UrbanManyDeadLetters", {DEAD: _every(2_000)}),
    Case("UrbanManyLate", {LATE: _every(6_000)}),
    Case("UrbanManyRejected", {REJECTED: _every(12_000)}),
    Case("UrbanNothingComes", {ACCEPTED: _constant(600_000), REJECTED: _constant(10)}),
    Case("UrbanCanaryLate", {CANARY: f"6+0x100 60+60x{MINUTES - 101}"}),
    Case("UrbanBackpressure", {BACKPRESSURE: _every(40)}),
    Case("UrbanCheckpointsSlow", {QUICK: _every(2), SLOWER: _every(12), SLOW: _every(12)}),
    Case("UrbanCorrelationHeldBack", {SILENT: _constant(4)}),
    Case("UrbanRulesRefused", {RULES_REFUSED: _constant(1)}),
    Case("UrbanNeighbourAway", {NEIGHBOUR: f"0+0x60 60+60x{MINUTES - 60}"}),
    Case("UrbanSubscribersCutOff", {CUT_OFF: _every(3)}),
    Case("UrbanNotificationsUndelivered", {UNDELIVERED: f"0+0x100 1+0x{MINUTES - 101}"}),
)

# Wrong for a while, or a little: nobody is woken.
PASSING = (
    Case("", {PROCESSOR_UP: f"1+0x112 0+0x2 1+0x{MINUTES - 116}"}),
    Case("", {READY: f"1+0x113 0+0x1 1+0x{MINUTES - 116}"}),
    Case("", {WATERMARK: f"-100+60x{MINUTES}"}),
    Case("", {ARCHIVER_LAG: f"900000-5000x{MINUTES}"}),
    Case("", {SHARE: _constant(0.2)}),
    Case("", {AWAY: _constant(20)}),
    Case("", {CANARY: _constant(80)}),
    Case("", {NEIGHBOUR: f"0+0x100 60+60x8 0+0x{MINUTES - 109}"}),
    Case("", {CANARY: f"6+0x114 100+0x{MINUTES - 115}"}),
    Case("", {SILENT: f"0+0x110 4+0x{MINUTES - 111}"}),
)
