"""Turns the signals of several domains into incidents, in event time: a pure function of the log.

The incidents that stand are a function of the signals that stand, so the order of arrival never matters to them.
Signals wait until event time has passed the end of their window; all that end at one moment are taken together, so
that even the revisions do not depend on how the domains' records interleave. What does depend on it: the revisions
that a correction makes (a signal whose moment has passed is taken at once), the incidents that stood only until
such a correction, and the place of what people do among the revisions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from services.core.correlation.account import describe, resolve_ms
from services.core.correlation.action import Action
from services.core.correlation.event_time import EventTime, Watermarks
from services.core.correlation.graph import LinkGraph
from services.core.correlation.group import Group
from services.core.correlation.incident import Incident, IncidentState, changed
from services.core.correlation.ledger import IncidentLedger
from services.core.correlation.moments import Calendar, Moments
from services.core.correlation.planned import PlannedEvent
from services.core.correlation.rule import Rule
from services.core.correlation.selector import Key
from services.core.correlation.state import CorrelatorCounters, CorrelatorState, LedgerState, SignalChanges
from services.core.signals import Signal

# What is settled is dropped when event time passes a multiple of this.
FORGET_EVERY_MS = 600_000
# Signals held at once, about 2 kB each; beyond them, new ones are refused and counted.
MAX_SIGNALS = 500_000


class Correlator:
    """All rules over all signals of one partition of the signal topic."""

    def __init__(
        self,
        rules: Sequence[Rule],
        sources: Mapping[tuple[str, str], int],
        *,
        silence_ms: int,
        max_signals: int = MAX_SIGNALS,
        ledger: IncidentLedger | None = None,
    ) -> None:
        """`sources`: number of partitions by (domain, kind); of every one that a rule names, or ValueError.

        `ledger`: one that is shared with other rules; None: one of its own.
        """
        named = {(s.domain, s.kind) for rule in rules for s in rule.selectors}
        if missing := sorted(named - set(sources)):
            raise ValueError(f"number of partitions unknown of {', '.join('.'.join(source) for source in missing)}")
        self.rules = tuple(rules)
        self.counters = CorrelatorCounters()
        self.closed = False  # whether it only lets run out what it has found
        self.last_result = ""  # what became of the signal that was taken last, in the words of the counters
        self.sources = frozenset(named)  # the kinds that its rules name
        self._time = EventTime({source: sources[source] for source in named}, silence_ms=silence_ms)
        # Of every detector: time after the start of its windows from which on nothing of it is taken any more.
        self._settled_ms: dict[Key, int] = {}
        for rule in rules:
            for key in rule.sides_of_key:
                self._settled_ms[key] = max(self._settled_ms.get(key, 0), rule.settled_after_ms)
        self._graphs = [LinkGraph(rule, max(self._settled_ms[k] for k in rule.sides_of_key)) for rule in rules]
        self._graphs_of: dict[Key, tuple[LinkGraph, ...]] = {}
        for graph in self._graphs:
            for key in graph.rule.sides_of_key:
                self._graphs_of[key] = (*self._graphs_of.get(key, ()), graph)
        self._max_signals = max_signals
        self._known: dict[str, Signal] = {}  # the newest version of every signal
        self._changed: dict[str, None] | None = None  # signals that are not as `changes` told them; None: not asked yet
        self._waiting = Calendar[str]()  # signals that event time has not passed, by their end
        # Signals that no rule took or looks out for, by the event time from which they are known no more.
        self._leaving = Calendar[str]()
        self._resolving = Moments[str]()  # incident -> event time at which it will be resolved
        # A group, by rule and one of its signals -> event time at which its absences can be judged.
        self._due = Moments[tuple[int, str]]()
        self._uncovered: dict[tuple[int, str], None] = {}  # groups to judge again when a silent partition is heard
        self._absent_sources = {
            (s.domain, s.kind): None for rule in rules for s in rule.selectors if s.name in rule.context
        }
        self._names = frozenset(rule.name for rule in rules)
        self._shares = ledger is not None
        self._ledger = IncidentLedger() if ledger is None else ledger
        self._ledger.muting.follow(self.rules)

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
        """Incidents of its rules that are not over, or over and still correctable."""
        return self._ledger.of_rules(self._names)

    @property
    def dropped_actions(self) -> int:
        """What people did with incidents that are not there, beyond the actions that may wait; since the start."""
        return self._ledger.dropped_actions

    def silent(self) -> list[tuple[str, str, int]]:
        """Partitions (domain, kind, number) that no longer hold time back."""
        return self._time.silent()

    def take(self, record: Signal | Watermarks, log_time_ms: int) -> list[Incident]:
        """Takes one record of the signal topic with its record time; gives the incidents' new versions in order."""
        time = self._time
        time.observe(log_time_ms)
        if isinstance(record, Watermarks):
            self.counters.reports += 1
            changes = self._report(record)
        else:
            changes = self._take_signal(record)
        if (reached := time.reached()) is not None and reached != time.event_ms:
            changes += self._advance(reached)
        return changes

    def passes(self, report: Watermarks, log_time_ms: int) -> bool:
        """Whether a report of another's kind tells it nothing, not even that time has gone by; then it is counted."""
        passed = (report.domain, report.kind) not in self.sources and not self._time.moves(log_time_ms)
        self.counters.reports += passed
        return passed

    def act(self, action: Action) -> list[Incident]:
        """Folds what somebody did; a repetition changes nothing.

        An action for an incident that is not there yet waits for it: after a restart the actions may be read first.
        """
        return self._ledger.act(action)

    def plan(self, event: PlannedEvent) -> list[Incident]:
        """Takes a planned event, or its new version; gives the incidents that are planned, or not, from now on."""
        self._ledger.planned.put(event)
        return self._ledger.plan()

    def found(self) -> list[tuple[LinkGraph, Group]]:
        """The incidents, each as one group, with the graph of their rule; rule by rule, in the order of joining."""
        return [(graph, group) for graph in self._graphs for group in graph.groups_with_incidents()]

    def earliest_ms(self) -> int | None:
        """Start of the first signal that it remembers; None: it remembers none."""
        return min((signal.start_ms for signal in self._known.values()), default=None)

    def told(self) -> list[Incident]:
        """Its incidents that stand, each in the version that was told last."""
        return [self._ledger.standing[i] for _, group in self.found() for i in sorted(group.incidents)]

    def join(self, ledger: IncidentLedger) -> list[Incident]:
        """Numbers its incidents in a ledger that is shared from now on; gives them as its own ledger had them."""
        standing = self.told()
        ledger.muting.follow(self.rules)
        ledger.muting.adopt(self._ledger.muting)
        self._ledger, self._shares = ledger, True
        return standing

    def close(self, kept: Collection[str]) -> None:
        """Takes no new signal from now on, and forgets all but some incidents and what they stand on."""
        self.closed, self._waiting = True, Calendar[str]()
        for graph in self._graphs:
            for group in graph.groups():
                if not group.incidents & set(kept):
                    for incident_id in group.incidents:
                        self._resolving.drop(incident_id)
                    graph.forget(group)
        for signal_id in [i for i in self._known if not any(g.holds(i) for g in self._graphs)]:
            self._drop(signal_id)

    def _report(self, record: Watermarks) -> list[Incident]:
        """Takes note of event time; where it tells of a time that nobody knew about, the groups that ask are judged."""
        source = (record.domain, record.kind)
        if not self._uncovered or source not in self._absent_sources:
            self._time.report(record)
            return []
        before = self._time.covered_ms(*source)
        self._time.report(record)
        if self._time.covered_ms(*source) == before or self.event_ms is None:
            return []
        asking, self._uncovered = self._uncovered, {}
        for number, signal_id in asking:
            self._graphs[number].touch(signal_id)
        return self._tell_all(self.event_ms)

    def _take_signal(self, signal: Signal) -> list[Incident]:
        signal_id = signal.id
        known = self._known.get(signal_id)
        settled_ms = self._settled_ms.get((signal.domain, signal.kind, signal.type))
        result = self.last_result = "unmatched" if settled_ms is None else self._weigh(signal, known, settled_ms)
        if result != "taken" or settled_ms is None:
            setattr(self.counters, result, getattr(self.counters, result) + 1)
            return []
        self.counters.taken += 1
        self._known[signal_id] = signal
        if self._changed is not None:
            self._changed[signal_id] = None
        event_ms = self._time.event_ms
        if event_ms is not None and signal.end_ms <= event_ms:
            return self._settle([signal], event_ms)
        if known is None:
            self._waiting.put(signal.end_ms, signal_id)
        return []

    def _weigh(self, signal: Signal, known: Signal | None, settled_ms: int) -> str:
        """What is to become of a signal that some rule names, in the words of the counters."""
        event_ms = self._time.event_ms
        if event_ms is not None and signal.start_ms + settled_ms <= event_ms:
            return "settled"
        if known is not None:
            return "taken" if _replaces(signal, known) else "repeated"
        if self.closed:
            return "unmatched"
        return "taken" if len(self._known) < self._max_signals else "overflow"

    def _advance(self, to_ms: int) -> list[Incident]:
        """Moves event time from moment to moment: where signals end, and where incidents are judged or resolved."""
        changes: list[Incident] = []
        from_ms = self.event_ms
        while (moment_ms := self._next_moment()) is not None and moment_ms <= to_ms:
            signals = [self._known[signal_id] for signal_id in self._waiting.take(moment_ms)]
            if len(signals) > 1:
                # Only signals of one city meet: what is asked for those of one is still at hand for the next of them.
                signals.sort(key=_CITY)
            self._time.event_ms = moment_ms
            for number, signal_id in self._due.take(moment_ms):
                self._graphs[number].touch(signal_id)
            changes += self._settle(signals, moment_ms)
            changes += self._resolve(moment_ms)
        self._time.event_ms = to_ms
        now_ms = to_ms // FORGET_EVERY_MS * FORGET_EVERY_MS
        if from_ms is None or from_ms < now_ms:
            changes += self._forget(now_ms)
        return changes

    def _next_moment(self) -> int | None:
        first = self._waiting.next_ms()
        for moment in (self._resolving.next_ms(), self._due.next_ms()):
            if first is None or (moment is not None and moment < first):
                first = moment
        return first

    def _settle(self, signals: Iterable[Signal], moment_ms: int) -> list[Incident]:
        """Takes signals into the graphs of the rules that name them, and gives what that changes, rule by rule."""
        for signal in signals:
            graphs = self._graphs_of[signal.domain, signal.kind, signal.type]
            if not (graphs[0].put(signal) if len(graphs) == 1 else all(graph.put(signal) for graph in graphs)):
                # What one rule cannot hold no rule keeps: the state stays a function of the signals that are known.
                self.counters.overflow += 1
                self._drop(signal.id)
                for graph in graphs:
                    graph.discard(signal.id)
            elif not self._holds(signal):
                self._leaving.put(self._leaves_ms(signal), signal.id)
        return self._tell_all(moment_ms)

    def _tell_all(self, moment_ms: int) -> list[Incident]:
        changes: list[Incident] = []
        for number, graph in enumerate(self._graphs):
            if groups := graph.take_touched():
                changes += self._tell(number, graph, groups, moment_ms)
        changes += self._ledger.look_again()
        return changes

    def _tell(self, number: int, graph: LinkGraph, groups: Sequence[Group], moment_ms: int) -> list[Incident]:
        """New versions of the incidents of groups that changed: first those that stand, then those that end."""
        found: list[Incident] = []
        ending: dict[str, str] = {}  # incident -> its heir
        for group, parts in self._judge_all(number, graph, groups):
            heir = ""
            if group.held:
                incident, when_ms = describe(graph, group), resolve_ms(graph, group)
                heir = incident.id
                if moment_ms >= when_ms:
                    self._resolving.drop(heir)
                    incident = changed(incident, state=IncidentState.RESOLVED)
                else:
                    self._resolving.put(heir, when_ms)
                found.append(incident)
            for incident_id in sorted(group.incidents - {heir}):
                ending[incident_id] = heir or ending.get(incident_id, "")
            told = frozenset((heir,) if heir else ())
            for part in parts:
                part.incidents = told
        # What one group has lost may stand on another by now: it goes on there.
        standing = {incident.id for incident in found}
        ended = sorted((incident_id, heir) for incident_id, heir in ending.items() if incident_id not in standing)
        merged = self._ledger.hand_over(ended)
        self._ledger.expect(found, ended)
        if graph.rule.absences:
            found = [incident for incident in found if not self._ledger.repeats(incident)]
        changes = [version for incident in found for version in self._ledger.tell(incident)]
        settled_ms = moment_ms + graph.kept_ms
        for incident_id, heir in ended:
            self._resolving.drop(incident_id)
            changes.append(self._ledger.end(incident_id, heir, settled_ms))
        changes += [version for incident_id in merged for version in self._ledger.tell_again(incident_id)]
        return changes

    def _judge_all(
        self, number: int, graph: LinkGraph, groups: Sequence[Group]
    ) -> list[tuple[Group, tuple[Group, ...]]]:
        """Judges groups that changed; what they are now, as `incidents_of` tells it."""
        for group in groups:
            self._judge(number, graph, group)
        return graph.incidents_of(groups)

    def _judge(self, number: int, graph: LinkGraph, group: Group) -> None:
        """Finds whether the condition is true of a group now; takes note of when to ask again."""
        verdict = graph.judge(group, self.event_ms, self._time.covered_ms)
        if verdict.due_ms is not None or verdict.uncovered:
            asking = number, next(iter(group.members))
            if verdict.due_ms is not None:
                self._due.put(asking, verdict.due_ms)
            if verdict.uncovered:
                self._uncovered[asking] = None

    def _resolve(self, moment_ms: int) -> list[Incident]:
        changes: list[Incident] = []
        for incident_id in self._resolving.take(moment_ms):
            changes += self._ledger.tell(changed(self._ledger.standing[incident_id], state=IncidentState.RESOLVED))
        changes += self._ledger.look_again()
        return changes

    def _forget(self, now_ms: int) -> list[Incident]:
        """Drops what nothing can change any more, and tells so. What comes later for it counts as settled."""
        changes: list[Incident] = []
        dropped: list[str] = []
        for graph in self._graphs:
            for groups in graph.expiring(now_ms):
                incidents = {i for group in groups for i in group.incidents}
                age_ms = now_ms - max(group.end_ms for group in groups)
                if any(i in self._resolving or self._ledger.held(i, age_ms) for i in incidents):
                    continue
                changes += [version for i in sorted(incidents) for version in self._ledger.forget(i)]
                for group in groups:
                    dropped += group.members
                    graph.forget(group)
            dropped += graph.forget_surroundings(now_ms)
        self._ledger.forget_ended(self._names, now_ms, self._time.log_ms)
        if not self._shares:
            self._ledger.forget_planned(now_ms)
        dropped += self._leaving.take(now_ms)
        for signal_id in dropped:
            signal = self._known.get(signal_id)
            if signal is not None and not self._holds(signal):
                self._drop(signal_id)
        return changes + self._prune(now_ms)

    def _holds(self, signal: Signal) -> bool:
        """Whether a signal takes part in some group, or is looked out for."""
        graphs = self._graphs_of[signal.domain, signal.kind, signal.type]
        return graphs[0].holds(signal.id) or any(graph.holds(signal.id) for graph in graphs[1:])

    def _drop(self, signal_id: str) -> None:
        del self._known[signal_id]
        if self._changed is not None:
            self._changed[signal_id] = None

    def _prune(self, now_ms: int) -> list[Incident]:
        """Forgets the settled incidents that count for none that may still come."""
        restrained = [rule for rule in self.rules if rule.limit or rule.flapping]
        if restrained:
            held_ms, longest_ms = self.earliest_ms(), max(self._settled_ms.values())
            earliest_ms = now_ms - longest_ms if held_ms is None else min(held_ms, now_ms - longest_ms)
            for rule in restrained:
                self._ledger.muting.prune(rule, earliest_ms)
        return self._ledger.look_again()

    def _leaves_ms(self, signal: Signal) -> int:
        """Event time from which on a signal is known only while a group holds it."""
        return max(signal.start_ms + self._settled_ms[signal.domain, signal.kind, signal.type], signal.end_ms)

    def changes(self) -> SignalChanges:
        """What became of its signals since it was asked last; the first time all that it knows."""
        changed = self._known if self._changed is None else self._changed
        new = [signal for i in changed if (signal := self._known.get(i)) is not None]
        gone = [i for i in changed if i not in self._known]
        self._changed = {}
        return SignalChanges(new, gone)

    def snapshot(self, *, signals: bool = True) -> CorrelatorState:
        """All that is known, as plain data: enough to go on from here with the records that follow.

        `signals`: with them; without, whoever asks has followed their `changes`.
        """
        return CorrelatorState(
            event_time=self._time.snapshot(),
            signals=tuple(self._known[i] for i in sorted(self._known)) if signals else (),
            counters=replace(self.counters),
            ledger=LedgerState() if self._shares else self._ledger.snapshot(),
            closed=self.closed,
        )

    @classmethod
    def restore(
        cls,
        rules: Sequence[Rule],
        sources: Mapping[tuple[str, str], int],
        state: CorrelatorState,
        *,
        silence_ms: int,
        max_signals: int = MAX_SIGNALS,
        ledger: IncidentLedger | None = None,
    ) -> Correlator:
        """Goes on where the snapshot was taken; the rules must be those that it was made with.

        `ledger`: the shared one, as it was then; None: what the state holds.
        """
        self = cls(rules, sources, silence_ms=silence_ms, max_signals=max_signals, ledger=ledger)
        if ledger is None:
            self._ledger = IncidentLedger(state.ledger)
            self._ledger.muting.follow(self.rules)
        self.counters, self.closed = replace(state.counters), state.closed
        self._time.restore(state.event_time)
        self._known = {signal.id: signal for signal in state.signals}
        event_ms = self.event_ms
        for signal in state.signals:
            self._leaving.put(self._leaves_ms(signal), signal.id)
            if event_ms is None or signal.end_ms > event_ms:
                self._waiting.put(signal.end_ms, signal.id)
                continue
            for graph in self._graphs_of[signal.domain, signal.kind, signal.type]:
                graph.put(signal)
        standing = [i for number, graph in enumerate(self._graphs) for i in self._rebuild(number, graph)]
        self._ledger.stand(standing)
        if ledger is None:
            self._ledger.all_stand()
        return self

    def _rebuild(self, number: int, graph: LinkGraph) -> list[Incident]:
        """The incidents of a rule whose graph was filled."""
        found: list[Incident] = []
        for group, parts in self._judge_all(number, graph, graph.take_touched()):
            if not group.held:
                continue
            incident, when_ms = describe(graph, group), resolve_ms(graph, group)
            if not self._ledger.awaits(incident.id):  # forgotten; another rule still holds its signals
                for part in parts:
                    graph.forget(part)
                continue
            for part in parts:
                part.incidents = frozenset((incident.id,))
            if self.event_ms is not None and self.event_ms < when_ms:
                self._resolving.put(incident.id, when_ms)
            else:
                incident = changed(incident, state=IncidentState.RESOLVED)
            found.append(incident)
        return found


_CITY = attrgetter("city")


def _replaces(new: Signal, known: Signal) -> bool:
    """Whether a version of a signal counts: a greater revision, or a retraction of the same one (as in ClickHouse).

    Of equal ones that differ (the window before was corrected) the last in the log counts; a repetition does not.
    """
    if (new.revision, new.retracted) != (known.revision, known.retracted):
        return (new.revision, new.retracted) > (known.revision, known.retracted)
    # By text where they are not plainly the same, since NaN (no threshold, no place) equals itself there.
    return new != known and repr(new) != repr(known)
