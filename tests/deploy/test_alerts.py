"""Alerts and dashboards name metrics and labels that exist, and each alert fires at its fault and not otherwise."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import promql_parser
import pytest
import yaml
from prometheus_client import REGISTRY

from deploy.k8s.alert import PAGE, TICKET
from deploy.k8s.alerts import RUNBOOK, alerts
from deploy.k8s.dashboards import DASHBOARDS, dashboard_files
from deploy.k8s.metric_schema import Metric, schema, series
from tests.deploy.alert_cases import CASES, CITY, LOOK_AT, PASSING, Case
from tests.deploy.rendering import K8S, ROOT, combination, named, of_kind

MONITORING = K8S / "components" / "monitoring"
ALERTS = alerts(CITY)
# Grafana puts these in before Prometheus reads an expression.
VARIABLES = {"$domain": ".*"}
EXPRESSIONS = {
    **{f"{one.name} {dict(one.labels)}": one.expression for one in ALERTS},
    **{f"{page.title}, {panel.title}": panel.expression for page in DASHBOARDS for panel in page.panels},
}


def _parsed(expression: str) -> promql_parser.Expr:
    for variable, value in VARIABLES.items():
        expression = expression.replace(variable, value)
    parsed: promql_parser.Expr = promql_parser.parse(expression)
    return parsed


def _selectors(expression: str) -> list[promql_parser.VectorSelector]:
    found: list[promql_parser.VectorSelector] = []

    def visit(one: promql_parser.Expr) -> None:
        if isinstance(one, promql_parser.MatrixSelector):
            found.append(one.vector_selector)
        elif isinstance(one, promql_parser.VectorSelector):
            found.append(one)

    promql_parser.walk(_parsed(expression), visit)
    return found


def faults_of(expression: str, known: dict[str, Metric]) -> list[str]:
    """Metrics and labels of an expression that nobody exposes."""
    found = []
    for selector in _selectors(expression):
        metric = known.get(selector.name or "")
        if metric is None:
            found.append(f"no metric {selector.name}")
            continue
        for matcher in selector.matchers.matchers:
            if matcher.name not in metric.all_labels:
                found.append(f"{selector.name} has no label {matcher.name}")
    labels = {label for selector in _selectors(expression) for label in _labels(selector.name, known)}
    grouped = {label for names in re.findall(r"\bby \(([^)]*)\)", expression) for label in re.split(r",\s*", names)}
    return [*found, *(f"groups by {label}, which nothing has" for label in sorted(grouped - labels))]


def _labels(name: str | None, known: dict[str, Metric]) -> frozenset[str]:
    return known[name].all_labels if name in known else frozenset()


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_names_metrics_and_labels_that_exist(name):
    assert _selectors(EXPRESSIONS[name]), "it looks at nothing"
    assert faults_of(EXPRESSIONS[name], series()) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("urban_lag_record > 1", "no metric urban_lag_record"),
        ("rate(urban_observations[5m]) > 1", "no metric urban_observations"),
        ('urban_lag_records{kind="road_flow"} > 1', "no label kind"),
        ("sum by (topics) (urban_lag_records) > 1", "groups by topics"),
    ],
)
def test_an_expression_of_what_does_not_exist_is_found(expression, fault):
    assert any(fault in found for found in faults_of(expression, series()))


def test_the_schema_holds_every_metric_and_its_time_series_as_they_are_exposed():
    exposed = {family.name for family in REGISTRY.collect() if family.name.startswith("urban_")}
    told = {metric.name for metric in schema()}
    assert exposed <= told
    assert len(told) > 20
    for metric in schema():
        assert metric.help
        assert re.fullmatch(r"urban_[a-z_]+", metric.name)
    # Every counter and gauge is looked at by an alert or a panel, or it need not be there.
    looked_at = {selector.name for one in EXPRESSIONS.values() for selector in _selectors(one)}
    spared = {"urban_checkpoint_cpu_seconds", "urban_correlation_signals", "urban_correlation_signals_waiting"}
    spared |= {"urban_restore_seconds"}
    assert {metric.name for metric in schema() if not looked_at & set(metric.names)} == spared


def test_every_alert_has_its_paragraph_and_points_to_it():
    text = (MONITORING / RUNBOOK).read_text(encoding="utf-8")
    headings = re.findall(r"^## (\w+)$", text, re.M)
    assert headings == sorted({one.name for one in ALERTS})
    rules = named(combination(("monitoring",)), "PrometheusRule", "urban-brain")["spec"]["groups"][0]["rules"]
    assert len(rules) == len(ALERTS)
    for rule in rules:
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert ROOT / page == MONITORING / RUNBOOK
        assert anchor in {heading.lower() for heading in headings}
        assert rule["labels"]["severity"] in (PAGE, TICKET)
    for one in ALERTS:
        assert all(len(words) > 20 for words in (one.means, one.look, one.do)), one.name


def test_labels_in_a_summary_are_those_of_the_expression():
    for one in ALERTS:
        told = set(re.findall(r"\$labels\.(\w+)", one.summary))
        given = set(re.findall(r'(\w+)="', one.expression)) if one.expression.startswith("absent") else set()
        given |= {label for selector in _selectors(one.expression) for label in _labels(selector.name, series())}
        assert told <= given, one.name


def test_a_dashboard_is_what_grafana_reads_and_is_delivered():
    maps = {one["metadata"]["name"]: one for one in of_kind(combination(("monitoring",)), "ConfigMap")}
    for file, text in dashboard_files().items():
        delivered = maps[Path(file).stem]
        assert delivered["data"][file] == text
        assert delivered["metadata"]["labels"]["grafana_dashboard"] == "1"
        panels = json.loads(text)["panels"]
        assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
        assert all(panel["description"] and panel["targets"][0]["expr"] for panel in panels)


def test_each_alert_has_a_fault_to_fire_at():
    assert {case.alert for case in CASES} == {one.name for one in ALERTS}


def _promtool() -> str:
    here = ROOT / "build" / "promtool" / "usr" / "bin" / "promtool"
    found = os.environ.get("URBAN_PROMTOOL") or shutil.which("promtool") or (str(here) if here.is_file() else None)
    if found is None:
        pytest.skip("NOT TESTED: whether the alerts fire, as promtool is not on PATH; `make test-alerts` gets it")
    return found


def _rule_test(case: Case) -> dict[str, object]:
    expected = [case.alert] if case.alert else []
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"}) > bool 0',
                "eval_time": LOOK_AT,
                "exp_samples": [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in expected],
            }
        ],
    }


@pytest.mark.parametrize("case", [Case("", {}), *CASES, *PASSING], ids=str)
def test_an_alert_fires_at_its_fault_and_no_other_does_and_none_in_a_city_that_is_well(case, tmp_path):
    told = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [_rule_test(case)]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
    _ask_promtool("test", tmp_path)


def test_prometheus_takes_the_rules(tmp_path):
    _ask_promtool("check", tmp_path)


def test_prometheus_takes_the_configuration_of_the_composed_city():
    config = ROOT / "deploy" / "compose" / "prometheus" / "prometheus.yml"
    ran = subprocess.run([_promtool(), "check", "config", config], capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{len(ALERTS)} rules found" in ran.stdout


def _ask_promtool(command: str, folder: Path) -> None:
    promtool = _promtool()
    rules = named(combination(("monitoring",)), "PrometheusRule", "urban-brain")["spec"]
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    file = "test.yaml" if command == "test" else "rules.yaml"
    ran = subprocess.run([promtool, command, "rules", file], cwd=folder, capture_output=True, text=True, timeout=110)
    assert ran.returncode == 0, ran.stdout + ran.stderr
