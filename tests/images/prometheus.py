"""Questions to the Prometheus of a composed city (HTTP API v1, prometheus.io/docs/prometheus/latest/querying/api)."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any
from urllib.error import HTTPError

from deploy.k8s.dashboards import DASHBOARDS

# What Grafana puts in for "All".
DOMAINS = ("$domain", ".*")


class Prometheus:
    """The server at `url`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The value of an expression now, a dictionary for each time series; HTTPError where it cannot be evaluated."""
        found: list[dict[str, Any]] = self._ask("query", query=expression)["result"]
        return found

    def serving(self) -> set[tuple[str, str]]:
        """Service and component of all that told their figures when last asked; empty while this server starts."""
        try:
            found = self.query("up == 1")
        except HTTPError as error:
            # It listens before it has read what it kept, and says so by this status.
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return set()
        except OSError:
            return set()
        return {(one["metric"]["service"], one["metric"]["component"]) for one in found}

    def rules(self) -> list[dict[str, Any]]:
        """Every alerting rule with its `health` and `state`."""
        groups = self._ask("rules", type="alert")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def evaluated_since(self, moment: datetime) -> bool:
        """Whether every alerting rule was evaluated after a moment."""
        return all(datetime.fromisoformat(rule["lastEvaluation"]) > moment for rule in self.rules())

    def empty_panels(self) -> list[str]:
        """Titles of the panels of all dashboards that show nothing now."""
        return [title for title, expression in _panels() if not self.query(expression)]

    def _ask(self, what: str, **arguments: str) -> Any:
        query = urllib.parse.urlencode(arguments)
        with urllib.request.urlopen(f"{self._url}/api/v1/{what}?{query}", timeout=30) as answer:
            return json.load(answer)["data"]


def _panels() -> Iterable[tuple[str, str]]:
    return ((panel.title, panel.expression.replace(*DOMAINS)) for page in DASHBOARDS for panel in page.panels)
