"""Turns the signals of several domains into incidents, in event time: a pure function of the log.

The incidents that stand are a function of the signals that stand, so the order of arrival never matters to them.
Signals wait until event time has passed the end of their window; all that end at one moment are taken together, so
that even the revisions do not depend on how the domains' records interleave. What does depend on it: the revisions
that a correction makes (a signal whose moment has passed is taken at once), the incidents that stood only until
such a correction, and the place of what people do among the revisions.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from services.core.correlation.account import describe, resolve_ms
from services.core.correlation.action import Action
from services.core.correlation.event_time import EventTime, Watermarks
from services.core.correlation.graph import Group, LinkGraph
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.ledger import IncidentLedger
from services.core.correlation.planned import PlannedEvent, PlannedEvents
from services.core.correlation.rule import Rule
from services.core.correlation.state import CorrelatorCounters, CorrelatorState
from services.core.signals import Signal

# What is settled is dropped when event time passes a multiple of this.
FORGET_EVERY_MS = 600_000


class Correlator:
    """All rules over all signals of one partition of the signal topic."""

    def __init__(self, rules: Sequence[Rule], sources: Mapping[tuple[str, str], int], *, silence_ms: int) -> None:
        """`sources`: number of partitions by (domain, kind); of every one that a rule names, or ValueError."""
        named = {(s.domain, s.kind) for rule in rules for s in rule.selectors}
        if missing := sorted(named - set(sources)):
            raise ValueError(f"number of partitions unknown of {', '.join('.'.join(source) for source in missing)}")
        self.rules = tuple(rules)
        self.counters = CorrelatorCounters()
        self._time = EventTime({source: sources[source] for source in named}, silence_ms=silence_ms)
        self._graphs = [LinkGraph(rule) for rule in rules]
        self._keys = {s.key for rule in rules for s in rule.selectors}
        self._settled_ms = max((rule.settled_after_ms for rule in rules), default=0)
        self._known: dict[str, Signal] = {}  # the newest version of every signal
        self._waiting: list[tuple[int, str]] = []  # heap of end and id
        self._resolving: dict[str, int] = {}  # incident -> event time at which it will be resolved
        self._ledger = IncidentLedger()

    @property
    def event_ms(self) -> int | None:
        """Event time that has come, in ms since the epoch; None: not known yet."""
        return self._time.event_ms

    @property
    def waiting(self) -> int:
        """Signals that event time has not passed yet."""
        return len(self._waiting)

    @property
    def standing(self) -> int:
        """Incidents that are open, acknowledged, or resolved and still correctable."""
        return len(self._ledger.standing)

    def silent(self) -> list[tuple[str, str, int]]:
        """Partitions (domain, kind, number) that no longer hold time back."""
        return self._time.silent()

    def take(self, record: Signal | Watermarks, log_time_ms: int) -> list[Incident]:
        """Takes one record of the signal topic with its record time; gives the incidents' new versions in order."""
        self._time.observe(log_time_ms)
        changes: list[Incident] = []
        if isinstance(record, Watermarks):
            self.counters.reports += 1
            self._time.report(record)
        else:
            changes += self._take_signal(record)
        if (reached := self._time.reached()) is not None and reached != self.event_ms:
            changes += self._advance(reached)
        return changes

    def act(self, action: Action) -> list[Incident]:
        """Folds what somebody did; a repetition changes nothing.

        An action for an incident that is not there yet waits for it: after a restart the actions may be read first.
        """
        return self._ledger.act(action)

    def plan(self, event: PlannedEvent) -> list[Incident]:
        """Takes a planned event, or its new version; gives the incidents that are planned, or not, from now on."""
        self._ledger.planned.put(event)
        return self._ledger.plan()

    def _take_signal(self, signal: Signal) -> list[Incident]:
        if (signal.domain, signal.kind, signal.type) not in self._keys:
            self.counters.unmatched += 1
            return []
        if self.event_ms is not None and signal.start_ms + self._settled_ms <= self.event_ms:
            self.counters.settled += 1
            return []
        known = self._known.get(signal.id)
        if known is not None and not _replaces(signal, known):
            self.counters.repeated += 1
            return []
        self.counters.taken += 1
        self._known[signal.id] = signal
        if self.event_ms is not None and signal.end_ms <= self.event_ms:
            return self._settle([signal], self.event_ms)
        if known is None:
            heapq.heappush(self._waiting, (signal.end_ms, signal.id))
        return []

    def _advance(self, to_ms: int) -> list[Incident]:
        """Moves event time from moment to moment: where signals end, and where incidents are resolved."""
        changes: list[Incident] = []
        from_ms = self.event_ms
        while (moment_ms := self._next_moment()) is not None and moment_ms <= to_ms:
            signals = []
            while self._waiting and self._waiting[0][0] == moment_ms:
                signals.append(self._known[heapq.heappop(self._waiting)[1]])
            self._time.event_ms = moment_ms
            changes += self._settle(signals, moment_ms)
            changes += self._resolve(moment_ms)
        self._time.event_ms = to_ms
        now_ms = to_ms // FORGET_EVERY_MS * FORGET_EVERY_MS
        if from_ms is None or from_ms < now_ms:
            changes += self._forget(now_ms)
        return changes

    def _next_moment(self) -> int | None:
        return min([*(end_ms for end_ms, _ in self._waiting[:1]), *self._resolving.values()], default=None)

    def _settle(self, signals: Sequence[Signal], moment_ms: int) -> list[Incident]:
        """Takes signals into every rule's graph and gives what that changes, rule by rule."""
        changes: list[Incident] = []
        for graph in self._graphs:
            for signal in signals:
                graph.put(signal)
            changes += self._tell(graph, graph.take_touched(), moment_ms)
        return changes

    def _tell(self, graph: LinkGraph, groups: Sequence[Group], moment_ms: int) -> list[Incident]:
        """New versions of the incidents of groups that changed: first those that stand, then those that end."""
        found: list[Incident] = []
        ending: dict[str, str] = {}  # incident -> its heir
        for group in groups:
            heir = ""
            if group.members and group.complete:
                incident, when_ms = describe(graph, group), resolve_ms(graph, group)
                heir = incident.id
                if moment_ms >= when_ms:
                    self._resolving.pop(heir, None)
                    incident = replace(incident, state=IncidentState.RESOLVED)
                else:
                    self._resolving[heir] = when_ms
                found.append(incident)
            for incident_id in sorted(group.incidents - {heir}):
                ending[incident_id] = heir or ending.get(incident_id, "")
            group.incidents = {heir} if heir else set()
        # What one group has lost may stand on another by now: it goes on there.
        standing = {incident.id for incident in found}
        ended = sorted((incident_id, heir) for incident_id, heir in ending.items() if incident_id not in standing)
        self._ledger.hand_over(ended)
        changes = [version for incident in found for version in self._ledger.tell(incident)]
        settled_ms = moment_ms + self._settled_ms + graph.rule.within_ms
        for incident_id, heir in ended:
            self._resolving.pop(incident_id, None)
            changes.append(self._ledger.end(incident_id, heir, settled_ms))
        return changes

    def _resolve(self, moment_ms: int) -> list[Incident]:
        due = sorted(incident_id for incident_id, when_ms in self._resolving.items() if when_ms <= moment_ms)
        changes: list[Incident] = []
        for incident_id in due:
            del self._resolving[incident_id]
            changes += self._ledger.tell(replace(self._ledger.standing[incident_id], state=IncidentState.RESOLVED))
        return changes

    def _forget(self, now_ms: int) -> list[Incident]:
        """Drops what nothing can change any more, and tells so. What comes later for it counts as settled."""
        changes = [version for graph in self._graphs for version in self._forget_groups(graph, now_ms)]
        self._ledger.forget_ended(now_ms, self._time.log_ms)
        for signal in list(self._known.values()):
            held = any(signal.id in graph.nodes for graph in self._graphs)
            if not held and max(signal.start_ms + self._settled_ms, signal.end_ms) <= now_ms:
                del self._known[signal.id]
        return changes

    def _forget_groups(self, graph: LinkGraph, now_ms: int) -> list[Incident]:
        changes: list[Incident] = []
        for group in graph.groups():
            end_ms = max(graph.nodes[i].signal.end_ms for i in group.members)
            settled = end_ms + graph.rule.within_ms + self._settled_ms <= now_ms
            held = any(i in self._resolving or self._ledger.held(i, now_ms - end_ms) for i in group.incidents)
            if settled and not held:
                changes += [version for i in sorted(group.incidents) for version in self._ledger.forget(i)]
                graph.forget(group)
        return changes

    def snapshot(self) -> CorrelatorState:
        """All that is known, in one order: equal logs give equal snapshots."""
        return CorrelatorState(
            event_time=self._time.snapshot(),
            signals=tuple(self._known[i] for i in sorted(self._known)),
            incidents=tuple(self._ledger.records()),
            actions=tuple(self._ledger.actions()),
            planned=tuple(self._ledger.planned.events()),
            counters=replace(self.counters),
        )

    @classmethod
    def restore(
        cls,
        rules: Sequence[Rule],
        sources: Mapping[tuple[str, str], int],
        state: CorrelatorState,
        *,
        silence_ms: int,
    ) -> Correlator:
        """Goes on where the snapshot was taken; the rules must be those that it was made with."""
        self = cls(rules, sources, silence_ms=silence_ms)
        self.counters = replace(state.counters)
        self._time.restore(state.event_time)
        self._ledger.planned = PlannedEvents(state.planned)
        self._known = {signal.id: signal for signal in state.signals}
        event_ms = self.event_ms
        passed = [s for s in state.signals if event_ms is not None and s.end_ms <= event_ms]
        self._waiting = [(s.end_ms, s.id) for s in state.signals if event_ms is None or s.end_ms > event_ms]
        heapq.heapify(self._waiting)
        known = {record.id for record in state.incidents if record.standing}
        standing = [i for graph in self._graphs for i in self._rebuild(graph, passed, known)]
        self._ledger.restore(standing, state.incidents, state.actions)
        return self

    def _rebuild(self, graph: LinkGraph, signals: Sequence[Signal], known: Collection[str]) -> list[Incident]:
        """Fills the graph of a rule; `known`: the ids of the incidents that stood."""
        for signal in signals:
            graph.put(signal)
        found: list[Incident] = []
        for group in graph.take_touched():
            if not group.complete:
                continue
            incident, when_ms = describe(graph, group), resolve_ms(graph, group)
            if incident.id not in known:  # forgotten; another rule still holds its signals
                graph.forget(group)
                continue
            group.incidents = {incident.id}
            if self.event_ms is not None and self.event_ms < when_ms:
                self._resolving[incident.id] = when_ms
            else:
                incident = replace(incident, state=IncidentState.RESOLVED)
            found.append(incident)
        return found


def _replaces(new: Signal, known: Signal) -> bool:
    """Whether a version of a signal counts: a greater revision, or a retraction of the same one (as in ClickHouse).

    Of equal ones that differ (the window before was corrected) the last in the log counts; a repetition does not.
    """
    if (new.revision, new.retracted) != (known.revision, known.retracted):
        return (new.revision, new.retracted) > (known.revision, known.retracted)
    # By text, since NaN (no threshold, no place) equals itself there.
    return repr(new) != repr(known)
