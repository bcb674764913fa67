"""Every metric of the platform, in one place: name, labels, meaning."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from wsgiref.simple_server import WSGIServer

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

REPORTED = Counter(
    "urban_reported_observations",
    "Observations that callers sent, by what the api did with them: accepted (written to the log) or rejected",
    ("domain", "kind", "result"),
)
SUBSCRIBERS_CUT_OFF = Counter(
    "urban_subscribers_cut_off", "Streams ended because a response was not taken in time", ("topic",)
)
OBSERVATIONS = Counter(
    "urban_observations",
    "Observations by what became of them: folded, duplicate, late or dead_lettered",
    ("domain", "kind", "result"),
)
WATERMARK = Gauge(
    "urban_watermark_timestamp_seconds",
    "Event time that a partition has passed, in s since 1970-01-01T00:00Z",
    ("domain", "kind", "partition"),
)
DEAD_LETTER_SHARE = Gauge(
    "urban_dead_letter_share",
    "Records of which nothing could be taken, among the last 1,000 of a partition, 0 to 1; beyond 0.5 the worker stops",
    ("domain", "kind", "partition"),
)
LEDGER_DIFFERENCE = Gauge(
    "urban_ledger_difference",
    "Observations that a processor read and that are neither folded, duplicate, late nor dead-lettered, as of the last "
    "checkpoint; anything but 0 is a fault",
    ("domain", "kind", "partition"),
)
ARCHIVE_DIFFERENCE = Gauge(
    "urban_archive_difference",
    "Observations by which the archive differs from the ledger, as of the last offset at which both were known; "
    "anything but 0 is a fault",
    ("domain", "kind", "partition"),
)
OPEN_WINDOWS = Gauge("urban_open_windows", "Windows with data that may still change", ("domain", "kind", "partition"))
WINDOWS = Counter("urban_windows", "Window rows emitted, revisions included", ("domain", "kind", "window"))
SIGNALS = Counter("urban_signals", "Signals emitted, revisions and retractions included", ("domain", "type"))
INCIDENTS = Counter("urban_incidents", "Versions of incidents emitted", ("rule", "state"))
INCIDENTS_MUTED = Counter(
    "urban_incidents_muted",
    "Incidents of which nobody is told, by why: limited, flapping, inhibited; dropped: settled ones that still counted"
    " for that and were too many to remember",
    ("rule", "reason"),
)
ACTIONS_DROPPED = Counter(
    "urban_incident_actions_dropped",
    "What people did with incidents that are not there, beyond the 10,000 actions that wait for theirs: they are lost",
)
SHADOW_INCIDENTS = Counter(
    "urban_shadow_incidents", "Versions of what rules that are only tried would have told", ("rule", "state")
)
INCIDENTS_STANDING = Gauge("urban_incidents_standing", "Incidents that are open or can still be corrected")
CORRELATION_SIGNALS = Counter(
    "urban_correlation_signals",
    "Signals by what became of them: taken, repeated, unmatched (no rule's concern), settled (too late), refused",
    ("result",),
)
SIGNALS_WAITING = Gauge("urban_correlation_signals_waiting", "Signals that event time has not passed yet")
SILENT_PARTITIONS = Gauge(
    "urban_correlation_silent_partitions", "Observation partitions that no longer hold the correlation's time back"
)
FINDINGS = Counter(
    "urban_findings", "Versions of findings emitted: clusters of signals that no rule asked for", ("state",)
)
FINDINGS_STANDING = Gauge("urban_findings_standing", "Findings that the last scan has seen")
SCANNED_SIGNALS = Counter(
    "urban_scanned_signals",
    "Signals by what became of them in the scans for clusters: taken, repeated, unplaced (its entity has no position), "
    "settled (too late), overflow (too many to hold), refused",
    ("result",),
)
SCAN_SECONDS = Histogram(
    "urban_scan_seconds",
    "Time of one scan for clusters, those before it included that late signals have changed",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300),
)
RULES_REFUSED = Gauge(
    "urban_rules_refused", "Whether the rules in the folder are refused (1), so that those before them go on"
)
RESPONSE_CASES = Gauge("urban_response_cases", "Incidents that a response plan follows")
NOTIFICATIONS = Counter("urban_notifications", "Notifications told, by plan and reason", ("plan", "reason"))
DELIVERIES = Counter(
    "urban_deliveries",
    "Notifications by what became of them: delivered, undelivered (put aside) or unrouted (nobody has an address)",
    ("receiver", "result"),
)
DELIVERIES_WAITING = Gauge("urban_deliveries_waiting", "Notifications that a receiver has not taken yet", ("receiver",))
LAG = Gauge(
    "urban_lag_records", "Records of a partition that were not handled yet", ("domain", "role", "topic", "partition")
)
CHECKPOINT_SECONDS = Histogram(
    "urban_checkpoint_seconds",
    "Time of one checkpoint, the flush before it included",
    ("domain", "kind"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
CHECKPOINT_CPU_SECONDS = Counter(
    "urban_checkpoint_cpu_seconds",
    "Processor time of checkpoints: the copy of the state and its packing",
    ("domain", "kind"),
)
CHECKPOINT_BYTES = Gauge(
    "urban_checkpoint_bytes", "Size of a partition's last checkpoint", ("domain", "kind", "partition")
)
RESTORE_SECONDS = Histogram("urban_restore_seconds", "Time to load a partition's checkpoint", ("domain", "kind"))
CLICKHOUSE_INSERT_SECONDS = Histogram(
    "urban_clickhouse_insert_seconds",
    "Time of one insert, repetitions included",
    ("table",),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
CLICKHOUSE_INSERTED_ROWS = Counter("urban_clickhouse_inserted_rows", "Rows stored", ("table",))
CLICKHOUSE_UNAVAILABLE_SECONDS = Gauge(
    "urban_clickhouse_unavailable_seconds",
    "Time since the first failure of what is tried again and again, as of the last attempt; 0: it succeeds",
    ("what",),
)
READY = Gauge("urban_ready", "Whether what the process needs answers, with some patience: 1 or 0", ("needs",))
CANARY_SECONDS = Histogram(
    "urban_canary_seconds",
    "Time from a canary's sending until ClickHouse holds all results of what lay before it in the log, by up to a"
    " second too long; the wait for the next checkpoint is in it",
    ("domain", "kind"),
    buckets=(0.5, 1, 2.5, 5, 7.5, 10, 15, 30, 60, 120, 300),
)
CANARY_WAITING_SECONDS = Gauge(
    "urban_canary_waiting_seconds",
    "Age of the oldest canary of a partition that has not arrived; 0: all have",
    ("domain", "kind", "partition"),
)
BACKPRESSURE_SECONDS = Counter(
    "urban_backpressure_seconds", "Time that a processor waited for its outbox to drain", ("domain",)
)
TRACE_SPANS = Counter(
    "urban_trace_spans",
    "Spans of traces by what became of them: exported, lost (the collector did not take them) or dropped (the queue was"
    " full)",
    ("result",),
)
ARCHIVED = Counter("urban_archived_observations", "Raw observations stored by the archiver", ("domain", "kind"))

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


class ProcessMemory(Collector):
    """Resident memory of this process, under a name of ours: dashboards need not know the client library."""

    def collect(self) -> Iterable[Metric]:
        metric = GaugeMetricFamily("urban_process_resident_bytes", "Resident memory of this process")
        try:
            with open("/proc/self/statm") as statm:
                metric.add_metric([], int(statm.read().split()[1]) * PAGE_BYTES)
        except OSError:
            return []
        return [metric]


def serve(host: str, port: int) -> tuple[WSGIServer, int]:
    """Start the Prometheus endpoint; the server to shut down, and the port it is bound to (0 picks a free one)."""
    server, _ = start_http_server(port, addr=host)
    return server, server.server_port


class LagTeller:
    """Tells the lag of the partitions that a role has: one that went elsewhere must not show its last for ever."""

    def __init__(self, domain: str, role: str) -> None:
        self._domain, self._role = domain, role
        self._told: set[tuple[str, int]] = set()

    def tell(self, lags: Mapping[tuple[str, int], int]) -> None:
        """`lags`: records not handled yet by topic and partition, of all that the role has now."""
        for (topic, partition), lag in lags.items():
            LAG.labels(self._domain, self._role, topic, str(partition)).set(lag)
        for topic, partition in self._told - lags.keys():
            LAG.remove(self._domain, self._role, topic, str(partition))
        self._told = set(lags)


def forget_partition(domain: str, kind: str, partition: int) -> None:
    """A partition that was taken away must not show its last figures for ever."""
    _forget((WATERMARK, OPEN_WINDOWS, DEAD_LETTER_SHARE, CHECKPOINT_BYTES, LEDGER_DIFFERENCE), domain, kind, partition)


def forget_archive_partition(domain: str, kind: str, partition: int) -> None:
    """The same of an archiver."""
    _forget((ARCHIVE_DIFFERENCE,), domain, kind, partition)


def _forget(gauges: Iterable[Gauge], domain: str, kind: str, partition: int) -> None:
    for gauge in gauges:
        try:
            gauge.remove(domain, kind, str(partition))
        except KeyError:
            continue  # it had none yet


__all__ = [name for name in dir() if name.isupper()] + [
    "REGISTRY",
    "LagTeller",
    "forget_archive_partition",
    "forget_partition",
    "serve",
]
