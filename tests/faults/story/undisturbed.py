"""What must come of the story: the pure core over the same records, with nobody in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.core.correlation.incident import Incident
from services.core.correlation.rulebook import Rulebook
from services.core.response.case import Notice
from services.core.response.responder import Responder
from services.correlation.hands import Audited, Cause
from services.correlation.intake import read_action, read_planned_event, read_signal_record
from services.correlation.notices import seen_of
from services.correlation.plans import load_plans
from services.correlation.rules import load_rules
from services.correlation.wire import IncidentWriter
from services.runtime.catalogue import INCIDENT_ACTIONS, OBSERVATION_PARTITIONS, SIGNALS
from tests.faults.story.responder import PLANS
from tests.faults.story.steps import Step
from urban.correlation.v1.incident_pb2 import Incident as IncidentMessage

RULES = Path(__file__).with_name("rules")
# Between two steps: a clock of a second runs out in it, one of a day does not.
BETWEEN_MS = 60_000
SILENCE_MS = 3_600_000


@dataclass(frozen=True)
class Expected:
    """What one step must lead to."""

    step: Step
    versions: tuple[Audited, ...]
    messages: tuple[bytes, ...]  # of the versions, as they are told
    notices: tuple[Notice, ...]


def undisturbed(steps: Sequence[Step]) -> list[Expected]:
    """Step by step; each is done with before the next one begins."""
    rules = load_rules(RULES)
    sources = {(s.domain, s.kind): OBSERVATION_PARTITIONS for rule in rules for s in rule.selectors}
    book, responder, writer = (
        Rulebook(rules, sources, silence_ms=SILENCE_MS),
        Responder(load_plans(PLANS)),
        IncidentWriter(),
    )
    found: list[Expected] = []
    ends: Counter[str] = Counter()  # of the topics
    now_ms = 0
    for step in steps:
        versions: list[Audited] = []
        for value in step.values:
            cause = Cause(step.topic, ends[step.topic])
            ends[step.topic] += 1
            versions += [Audited(i, book.event_ms_of(i.rule) or 0, cause) for i in _take(book, cause, value)]
        messages = tuple(writer.message(version.incident) for version in versions)
        notices: list[Notice] = []
        for message in messages:
            notices += responder.take(seen_of(IncidentMessage.FromString(message), signals=True), now_ms)
        if not step.values:
            now_ms += BETWEEN_MS
            notices += responder.advance(now_ms)
        found.append(Expected(step, tuple(versions), messages, tuple(notices)))
    return found


def _take(book: Rulebook, place: Cause, value: bytes) -> list[Incident]:
    if place.topic == SIGNALS:
        return book.take(read_signal_record(value), 0)
    if place.topic == INCIDENT_ACTIONS:
        return book.act(read_action(value, place.offset))
    return book.plan(read_planned_event(value))
