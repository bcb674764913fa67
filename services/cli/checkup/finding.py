"""What a finding is: what is wrong, why that matters, what to type next, and where to read on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

RUNBOOK = "deploy/k8s/components/monitoring/RUNBOOK.md"


class Severity(IntEnum):
    """How much a finding matters; the greatest one is the exit status of `urban doctor`."""

    WARNING = 1  # it works, and somebody has to look today
    CRITICAL = 2  # results are missing, late or wrong now


@dataclass(frozen=True)
class Check:
    """One thing that may be wrong. `next` is a command; {names} in it are told by the finding."""

    name: str
    severity: Severity
    why: str
    next: str
    do: str = ""  # its paragraph in the runbook, where no alert has one
    alert: str = ""  # the alert whose paragraph it shares

    @property
    def runbook(self) -> str:
        """The paragraph of the runbook."""
        return f"{RUNBOOK}#{(self.alert or self.heading).lower()}"

    @property
    def heading(self) -> str:
        """How the runbook names it, where it has a paragraph of its own."""
        return f"doctor-{self.name}"

    def found(self, what: str, **told: object) -> Finding:
        """That it is so. `told`: what the command needs."""
        return Finding(self.name, self.severity, what, self.why, self.next.format(**told), self.runbook)


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong."""

    check: str
    severity: Severity
    what: str
    why: str
    next: str
    runbook: str
