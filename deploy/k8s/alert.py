"""What an alert is."""

from __future__ import annotations

from dataclasses import dataclass

PAGE, TICKET = "page", "ticket"


@dataclass(frozen=True)
class Alert:
    """One alert. `expression` is Prometheus'; `means`, `look` and `do` are its paragraph in the runbook."""

    name: str
    severity: str  # page: somebody gets up; ticket: somebody looks tomorrow
    expression: str
    wait: str
    summary: str
    means: str
    look: str
    do: str
    labels: tuple[tuple[str, str], ...] = ()
