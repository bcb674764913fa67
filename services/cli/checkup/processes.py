"""What the processes of the city say of themselves, and whose clock is wrong."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from services.cli.addresses import ServiceAddress
from services.cli.checkup import checks
from services.cli.checkup.finding import Finding
from services.cli.figures import SCRAPE_TIMEOUT_S
from services.cli.status import health_of

# An HTTP date has whole seconds, and a busy machine answers late: less says nothing.
CLOCK_BOUND_S = 5.0
SERVING, NOT_SERVING = "serving", "not_serving"


@dataclass(frozen=True)
class ProcessFacts:
    """One service: its health, and how far its clock is ahead of this machine's."""

    health: str
    clock_ahead_s: float | None  # None: not known


def ask_process(address: ServiceAddress) -> ProcessFacts:
    """Ask one service; nothing is raised where it does not answer, as that is what is asked."""
    return ProcessFacts(health_of(address.grpc), clock_ahead_of(address.metrics) if address.metrics else None)


def clock_ahead_of(url: str) -> float | None:
    """Seconds by which the clock of an HTTP server is ahead, by the date of its answer, to a second; None: unknown."""
    began = time.time()
    try:
        with urllib.request.urlopen(url, timeout=SCRAPE_TIMEOUT_S) as answer:
            told = answer.headers.get("Date")
        # Whole seconds: in the middle of the one that is told.
        return parsedate_to_datetime(told).timestamp() + 0.5 - (began + time.time()) / 2 if told else None
    except (OSError, ValueError):
        return None


def judge_processes(addresses: Mapping[str, ServiceAddress], facts: Mapping[str, ProcessFacts]) -> Iterator[Finding]:
    """Findings about services whose addresses are known."""
    for name, told in facts.items():
        if told.health == NOT_SERVING:
            yield checks.SERVICE_NOT_READY.found(f"{name} at {addresses[name].grpc} is not ready")
        elif told.health != SERVING:
            yield checks.SERVICE_AWAY.found(f"{name} {told.health}", service=name)


def judge_clocks(clocks: Mapping[str, float]) -> Iterator[Finding]:
    """`clocks`: seconds by which each is ahead of this machine's."""
    wrong = {name: ahead for name, ahead in clocks.items() if abs(ahead) > CLOCK_BOUND_S}
    if wrong:
        told = ", ".join(
            f"{name} is {abs(ahead):,.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's clock"
            for name, ahead in sorted(wrong.items())
        )
        yield checks.CLOCK_SKEW.found(told)
