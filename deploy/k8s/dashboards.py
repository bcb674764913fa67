"""components/monitoring/dashboards: Grafana's, each panel with the words of the metric that it shows."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.k8s.metric_schema import series

WIDTH, HEIGHT, COLUMNS = 8, 8, 3
SOURCE = {"type": "prometheus", "uid": "${source}"}
# "All" as an expression: whoever has no label of that name is not lost by it.
DOMAIN = 'domain=~"$domain"'


@dataclass(frozen=True)
class Panel:
    """One panel: `expression` over time, a line for each combination of `legend`. `metric` says it in words."""

    title: str
    expression: str
    legend: str
    unit: str
    metric: str


@dataclass(frozen=True)
class Dashboard:
    """One page of panels."""

    uid: str
    title: str
    panels: Sequence[Panel]


DASHBOARDS = (
    Dashboard(
        "urban-city",
        "Urban Brain: the city",
        (
            Panel(
                "Observations that came",
                f'sum by (domain) (rate(urban_reported_observations_total{{result="accepted", {DOMAIN}}}[1m]))',
                "{{domain}}",
                "cps",
                "urban_reported_observations_total",
            ),
            Panel(
                "Observations by what became of them",
                f"sum by (result) (rate(urban_observations_total{{{DOMAIN}}}[1m]))",
                "{{result}}",
                "cps",
                "urban_observations_total",
            ),
            Panel(
                "Event time behind the clock",
                f"time() - min by (domain, kind) (urban_watermark_timestamp_seconds{{{DOMAIN}}})",
                "{{domain}} {{kind}}",
                "s",
                "urban_watermark_timestamp_seconds",
            ),
            Panel(
                "Canaries, nine of ten arrive within",
                "histogram_quantile(0.9, sum by (domain, kind, le)"
                f" (rate(urban_canary_seconds_bucket{{{DOMAIN}}}[5m])))",
                "{{domain}} {{kind}}",
                "s",
                "urban_canary_seconds_bucket",
            ),
            Panel(
                "Signals",
                f"sum by (domain, type) (rate(urban_signals_total{{{DOMAIN}}}[5m])) * 60",
                "{{domain}} {{type}} a minute",
                "none",
                "urban_signals_total",
            ),
            Panel(
                "Incidents that stand", "max(urban_incidents_standing)", "incidents", "none", "urban_incidents_standing"
            ),
            Panel(
                "Incidents by rule",
                "sum by (rule, state) (rate(urban_incidents_total[5m])) * 60",
                "{{rule}} {{state}} a minute",
                "none",
                "urban_incidents_total",
            ),
            Panel(
                "Incidents of which nobody is told",
                "sum by (rule, reason) (rate(urban_incidents_muted_total[1h])) * 3600",
                "{{rule}} {{reason}} an hour",
                "none",
                "urban_incidents_muted_total",
            ),
            Panel(
                "Actions that were lost, as too many waited for incidents that are not there",
                "sum(increase(urban_incident_actions_dropped_total[1h]))",
                "lost within an hour",
                "none",
                "urban_incident_actions_dropped_total",
            ),
            Panel(
                "What rules that are tried would tell",
                "sum by (rule, state) (rate(urban_shadow_incidents_total[1h])) * 3600",
                "{{rule}} {{state}} an hour",
                "none",
                "urban_shadow_incidents_total",
            ),
            Panel(
                "Incidents that response plans follow",
                "max(urban_response_cases)",
                "incidents",
                "none",
                "urban_response_cases",
            ),
            Panel(
                "Clusters that no rule asked for",
                "max(urban_findings_standing)",
                "standing",
                "none",
                "urban_findings_standing",
            ),
            Panel(
                "Versions of findings",
                "sum by (state) (rate(urban_findings_total[1h])) * 3600",
                "{{state}} an hour",
                "none",
                "urban_findings_total",
            ),
            Panel(
                "Signals in scans for clusters",
                "sum by (result) (rate(urban_scanned_signals_total[5m])) * 60",
                "{{result}} a minute",
                "none",
                "urban_scanned_signals_total",
            ),
            Panel(
                "Time of a scan for clusters, 90 %",
                "histogram_quantile(0.9, sum by (le) (rate(urban_scan_seconds_bucket[1h])))",
                "a scan",
                "s",
                "urban_scan_seconds_bucket",
            ),
            Panel(
                "Incidents that a neighbour city sees as well",
                "sum by (neighbour, state) (rate(urban_shared_incidents_total[1h])) * 3600",
                "{{neighbour}} {{state}} an hour",
                "none",
                "urban_shared_incidents_total",
            ),
            Panel(
                "Reports of incidents at the border",
                "sum by (neighbour, result) (rate(urban_exchange_reports_total[1h])) * 3600",
                "{{neighbour}} {{result}} an hour",
                "none",
                "urban_exchange_reports_total",
            ),
            Panel(
                "Reports of neighbours that wait",
                "max by (neighbour) (urban_exchange_lag_records)",
                "{{neighbour}}",
                "none",
                "urban_exchange_lag_records",
            ),
            Panel(
                "Neighbours that do not answer",
                "max by (neighbour) (urban_exchange_away_seconds)",
                "{{neighbour}}",
                "s",
                "urban_exchange_away_seconds",
            ),
            Panel(
                "Notifications",
                "sum by (plan, reason) (rate(urban_notifications_total[5m])) * 60",
                "{{plan}} {{reason}} a minute",
                "none",
                "urban_notifications_total",
            ),
            Panel(
                "Notifications that nobody has taken yet",
                "sum by (receiver) (urban_deliveries_waiting)",
                "{{receiver}}",
                "none",
                "urban_deliveries_waiting",
            ),
            Panel(
                "Books that do not balance",
                f"sum by (domain) (abs(urban_ledger_difference{{{DOMAIN}}}))",
                "{{domain}}",
                "none",
                "urban_ledger_difference",
            ),
            Panel(
                "Archives that differ",
                f"sum by (domain) (abs(urban_archive_difference{{{DOMAIN}}}))",
                "{{domain}}",
                "none",
                "urban_archive_difference",
            ),
            Panel(
                "Partitions that tell no time",
                "max(urban_correlation_silent_partitions)",
                "partitions",
                "none",
                "urban_correlation_silent_partitions",
            ),
        ),
    ),
    Dashboard(
        "urban-workers",
        "Urban Brain: processors and archivers",
        (
            Panel(
                "Records not handled yet",
                f"sum by (domain, role, topic) (urban_lag_records{{{DOMAIN}}})",
                "{{role}} {{topic}}",
                "none",
                "urban_lag_records",
            ),
            Panel(
                "Observations folded",
                f'sum by (domain, kind) (rate(urban_observations_total{{result="folded", {DOMAIN}}}[1m]))',
                "{{domain}} {{kind}}",
                "cps",
                "urban_observations_total",
            ),
            Panel(
                "Observations archived",
                f"sum by (domain, kind) (rate(urban_archived_observations_total{{{DOMAIN}}}[1m]))",
                "{{domain}} {{kind}}",
                "cps",
                "urban_archived_observations_total",
            ),
            Panel(
                "Open windows",
                f"sum by (domain, kind) (urban_open_windows{{{DOMAIN}}})",
                "{{domain}} {{kind}}",
                "none",
                "urban_open_windows",
            ),
            Panel(
                "Windows emitted",
                f"sum by (domain, kind, window) (rate(urban_windows_total{{{DOMAIN}}}[1m]))",
                "{{domain}} {{kind}} {{window}}",
                "cps",
                "urban_windows_total",
            ),
            Panel(
                "Share of unreadable records",
                f"max by (domain, kind, partition) (urban_dead_letter_share{{{DOMAIN}}})",
                "{{domain}} {{kind}} {{partition}}",
                "percentunit",
                "urban_dead_letter_share",
            ),
            Panel(
                "Checkpoints, nine of ten within",
                "histogram_quantile(0.9, sum by (domain, kind, le)"
                f" (rate(urban_checkpoint_seconds_bucket{{{DOMAIN}}}[5m])))",
                "{{domain}} {{kind}}",
                "s",
                "urban_checkpoint_seconds_bucket",
            ),
            Panel(
                "Size of checkpoints",
                f"sum by (domain, kind) (urban_checkpoint_bytes{{{DOMAIN}}})",
                "{{domain}} {{kind}}",
                "bytes",
                "urban_checkpoint_bytes",
            ),
            Panel(
                "Waiting for the outbox",
                f"sum by (domain, pod) (rate(urban_backpressure_seconds_total{{{DOMAIN}}}[1m]))",
                "{{pod}}",
                "percentunit",
                "urban_backpressure_seconds_total",
            ),
        ),
    ),
    Dashboard(
        "urban-around",
        "Urban Brain: what it stands on",
        (
            Panel("Ready", "min by (pod, needs) (urban_ready)", "{{pod}} {{needs}}", "bool", "urban_ready"),
            Panel(
                "Inserts, 99 of 100 within",
                "histogram_quantile(0.99, sum by (table, le) (rate(urban_clickhouse_insert_seconds_bucket[5m])))",
                "{{table}}",
                "s",
                "urban_clickhouse_insert_seconds_bucket",
            ),
            Panel(
                "Rows stored",
                "sum by (table) (rate(urban_clickhouse_inserted_rows_total[1m]))",
                "{{table}}",
                "cps",
                "urban_clickhouse_inserted_rows_total",
            ),
            Panel(
                "ClickHouse away",
                "max by (service, component) (urban_clickhouse_unavailable_seconds)",
                "{{service}} {{component}}",
                "s",
                "urban_clickhouse_unavailable_seconds",
            ),
            Panel(
                "Memory of a pod",
                "max by (service, component, pod) (urban_process_resident_bytes)",
                "{{pod}}",
                "bytes",
                "urban_process_resident_bytes",
            ),
            Panel(
                "Subscribers cut off",
                "sum by (topic) (rate(urban_subscribers_cut_off_total[5m])) * 60",
                "{{topic}} a minute",
                "none",
                "urban_subscribers_cut_off_total",
            ),
            Panel(
                "Spans of traces a minute",
                "sum by (result) (rate(urban_trace_spans_total[5m])) * 60",
                "{{result}}",
                "none",
                "urban_trace_spans_total",
            ),
        ),
    ),
)


def dashboard_files() -> dict[str, str]:
    """The text of each dashboard by its file's name."""
    return {f"{one.uid}.json": json.dumps(_json(one), indent=1, ensure_ascii=False) + "\n" for one in DASHBOARDS}


def _json(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["urban-brain"],
        "timezone": "browser",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": _variables(dashboard)},
        "panels": list(_panels(dashboard.panels)),
    }


def _variables(dashboard: Dashboard) -> list[dict[str, Any]]:
    source = {"name": "source", "label": "Source", "type": "datasource", "query": "prometheus"}
    domain = {
        "name": "domain",
        "label": "Domain",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(urban_observations_total, domain)",
        "refresh": 2,
        "includeAll": True,
        "allValue": ".*",
        "multi": True,
        "current": {"text": "All", "value": "$__all"},
    }
    return [source, *([domain] if any(DOMAIN in panel.expression for panel in dashboard.panels) else [])]


def _panels(panels: Iterable[Panel]) -> Iterable[dict[str, Any]]:
    known = series()
    for number, panel in enumerate(panels):
        row, column = divmod(number, COLUMNS)
        yield {
            "id": number + 1,
            "type": "timeseries",
            "title": panel.title,
            "description": known[panel.metric].help,
            "datasource": SOURCE,
            "gridPos": {"x": column * WIDTH, "y": row * HEIGHT, "w": WIDTH, "h": HEIGHT},
            "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
            "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
            "targets": [{"refId": "A", "datasource": SOURCE, "expr": panel.expression, "legendFormat": panel.legend}],
        }
