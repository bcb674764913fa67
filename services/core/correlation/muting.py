"""Why nobody is told of an incident that stands: a function of the incidents that stand, whatever their order.

Three things mute one: it is beyond the limit of its rule, it flaps, or another one inhibits it. Each looks at what
stands, or stood, beside it, so what changes in one may touch others: `touched` says which are to be looked at again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence, Set

from services.core.correlation.covering import Places, covers, places_of
from services.core.correlation.incident import NOT_MUTED, Incident, Muted
from services.core.correlation.restraint import Inhibition
from services.core.correlation.rule import Rule
from services.core.correlation.series import Entity, Order, Series, entities_of
from services.core.correlation.state import PassedIncident
from services.core.signals import Signal

# Incidents of a rule and city that are settled, and may still count: beyond them the oldest are forgotten, and counted.
MAX_PASSED = 20_000
Version = tuple[str, int]  # name and version of a rule


class Muting:
    """What mutes the incidents of all rules that share a ledger."""

    def __init__(self, passed: Iterable[PassedIncident] = ()) -> None:
        self.active = False  # whether any rule asks for it: without one it costs nothing
        self.dropped = 0  # incidents that passed and were too many to remember
        self.touched: set[str] = set()  # incidents to look at again
        self._rules: dict[Version, Rule] = {}
        self._kept: tuple[Mapping[Version, Rule], Set[Version]] = {}, frozenset()
        self._running_out: Set[Version] = frozenset()  # those of them that inhibit nothing any more
        self._inhibitors: dict[str, list[tuple[Version, Inhibition]]] = {}  # of the incidents of a rule, by name
        self._series: dict[tuple[Version, str], Series] = {}
        self._standing: dict[str, Incident] = {}
        self._places: dict[tuple[str, Inhibition], tuple[Sequence[Signal], Places]] = {}
        for one in passed:
            self._pass(one)

    def follow(self, rules: Iterable[Rule]) -> None:
        """Takes note of rules; what they ask for counts from now on."""
        self._rules |= {(rule.name, rule.version): rule for rule in rules}
        self._arrange()

    def keep(self, rules: Iterable[Rule], in_force: Iterable[Rule]) -> bool:
        """Follows these rules and no others, of which those in force inhibit; gives whether that is news.

        If it is, all that stands is to be `put` again.
        """
        wanted = {(rule.name, rule.version): rule for rule in rules}
        running_out = wanted.keys() - {(rule.name, rule.version) for rule in in_force}
        if (wanted, running_out) == self._kept:
            return False
        self._kept = wanted, running_out
        self._rules, self._running_out = dict(wanted), running_out
        self._series = {key: series for key, series in self._series.items() if key[0] in wanted}
        self._arrange()
        self.touched |= self._standing.keys()
        return True

    def _arrange(self) -> None:
        self._inhibitors = {}
        for version in sorted(self._rules.keys() - self._running_out):
            for inhibition in self._rules[version].inhibits:
                self._inhibitors.setdefault(inhibition.rule, []).append((version, inhibition))
        self.active = any(rule.restrained for rule in self._rules.values())

    def _concerned(self, rule: Rule) -> bool:
        return rule.restrained or rule.name in self._inhibitors

    def put(self, incident: Incident) -> None:
        """Takes the newest version of an incident that stands, before it is told."""
        rule = self._rules.get((incident.rule, incident.rule_version))
        if rule is None or not self._concerned(rule):
            return
        key, within_ms = (incident.start_ms, incident.id), rule.flapping.within_s * 1000 if rule.flapping else 0
        series = self._series_of(incident)
        entities = entities_of(incident.signals) if rule.flapping else frozenset[Entity]()
        known, before = key[1] in series.entities, self._standing.get(incident.id)
        news = series.add(key, entities)
        self._standing[incident.id] = incident
        self._touch_flapping(series, key, news, within_ms)
        if not known:
            self._touch_limited(series, rule, incident.start_ms)
        if rule.inhibits and (before is None or before.over is not incident.over or before.signals != incident.signals):
            self._touch_inhibited(rule, incident)

    def drop(self, incident: Incident) -> None:
        """An incident stands no more, and by what is known now never should have."""
        if self._standing.pop(incident.id, None) is None:
            return
        rule, series = self._rules.get((incident.rule, incident.rule_version)), self._series_of(incident)
        key = incident.start_ms, incident.id
        if key[1] not in series.entities:
            return  # its rule is followed no more
        self._forget_places(incident.id, rule)
        news = series.remove(key)
        self.touched.discard(incident.id)
        if rule is not None:
            self._touch_flapping(series, key, news, rule.flapping.within_s * 1000 if rule.flapping else 0)
            self._touch_limited(series, rule, incident.start_ms)
            if rule.inhibits:
                self._touch_inhibited(rule, incident)

    def settle(self, incident: Incident) -> None:
        """An incident can be changed no more: it is remembered for as long as it may count for others."""
        if self._standing.pop(incident.id, None) is None:
            return
        self.touched.discard(incident.id)
        rule, series = self._rules.get((incident.rule, incident.rule_version)), self._series_of(incident)
        key = incident.start_ms, incident.id
        if key[1] not in series.entities:
            return
        self._forget_places(incident.id, rule)
        if rule is None or not (rule.limit or rule.flapping):
            series.remove(key)
            return
        series.passed.add(key)
        if len(series.passed) > MAX_PASSED:
            series.remove(min(series.passed))
            self.dropped += 1

    def prune(self, rule: Rule, earliest_ms: int) -> None:
        """Forgets what passed and counts for no incident that begins at a time or later."""
        reach_ms = rule.flapping.within_s * 1000 if rule.flapping else 0
        stretch_ms = rule.limit.within_s * 1000 if rule.limit else 1
        for (version, _), series in self._series.items():
            if version == (rule.name, rule.version):
                for key in sorted(series.passed):
                    counts_ms = max(key[0] + reach_ms, (key[0] // stretch_ms + 1) * stretch_ms - 1)
                    if counts_ms < earliest_ms:
                        series.remove(key)

    def adopt(self, other: Muting) -> None:
        """Takes over what another one remembers of incidents that passed."""
        for one in other.passed():
            self._pass(one)

    def passed(self) -> list[PassedIncident]:
        """What is remembered of incidents that are settled, in one order."""
        return [
            PassedIncident(name, version, city, *key, tuple(sorted(series.entities[key[1]])))
            for ((name, version), city), series in sorted(self._series.items(), key=lambda entry: entry[0])
            for key in sorted(series.passed)
        ]

    def _pass(self, one: PassedIncident) -> None:
        series = self._series.setdefault(((one.rule, one.version), one.city), Series())
        if one.id not in series.entities:
            series.add((one.start_ms, one.id), frozenset(one.entities))
            series.passed.add((one.start_ms, one.id))

    def of(self, incident: Incident, last: str, known: Collection[str] = ()) -> Muted:
        """Why nobody is told of an incident that was `put`.

        `last`: what inhibited it in the version before. `known`: incidents that have ended and are remembered: an
        inhibitor that is neither among them nor stands is settled, and what was over by then stays inhibited by it.
        """
        rule = self._rules.get((incident.rule, incident.rule_version))
        if rule is None or not self._concerned(rule):
            return NOT_MUTED
        key, series = (incident.start_ms, incident.id), self._series_of(incident)
        limited, surplus = self._limited(rule, series, key)
        flaps, since_ms = self._flaps(rule, series, key)
        inhibitor = self._inhibitor(rule, incident)
        if not inhibitor and last and incident.over and last not in self._standing and last not in known:
            inhibitor = last
        return Muted(limited, surplus, flaps, since_ms, inhibitor)

    def _limited(self, rule: Rule, series: Series, key: Order) -> tuple[bool, int]:
        if rule.limit is None:
            return False, 0
        first, end = series.stretch(rule.limit.within_s * 1000, key[0])
        place = bisect_left(series.order, key) - first
        surplus = max(0, end - first - rule.limit.incidents) if place == rule.limit.incidents - 1 else 0
        return place >= rule.limit.incidents, surplus

    def _flaps(self, rule: Rule, series: Series, key: Order) -> tuple[int, int]:
        if rule.flapping is None:
            return 0, 0
        since = (key[0] - rule.flapping.within_s * 1000, "")
        before: set[Order] = set()
        for entity in series.entities[key[1]]:
            of = series.of_entity[entity]
            before.update(of[bisect_left(of, since) : bisect_left(of, key)])
        return (len(before), min(before)[0]) if len(before) >= rule.flapping.times else (0, 0)

    def _inhibitor(self, rule: Rule, incident: Incident) -> str:
        """The first incident by start and id that inhibits one; of one that is over, that would still do so then."""
        found: list[Order] = []
        until_ms = incident.end_ms + rule.open_ms
        for version, inhibition in self._inhibitors.get(rule.name, ()):
            series = self._series.get((version, incident.city))
            for _, other_id in series.order if series is not None else ():
                other = self._standing.get(other_id)
                if other is None or other_id == incident.id:
                    continue
                other_until_ms = other.end_ms + self._rules[version].open_ms
                holds = other_until_ms >= until_ms if incident.over else not other.over
                meet = other.start_ms <= until_ms and incident.start_ms <= other_until_ms
                if holds and meet and covers(inhibition, self._places_of(inhibition, other), incident.signals):
                    found.append((other.start_ms, other_id))
        return min(found)[1] if found else ""

    def _places_of(self, inhibition: Inhibition, incident: Incident) -> Places:
        """Where an incident inhibits: found once for each version, since it is held against many."""
        known = self._places.get((incident.id, inhibition))
        if known is None or known[0] is not incident.signals:
            known = self._places[incident.id, inhibition] = incident.signals, places_of(inhibition, incident.signals)
        return known[1]

    def _forget_places(self, incident_id: str, rule: Rule | None) -> None:
        for inhibition in rule.inhibits if rule is not None else ():
            self._places.pop((incident_id, inhibition), None)

    def _touch_flapping(self, series: Series, key: Order, news: Iterable[Entity], within_ms: int) -> None:
        until = (key[0] + within_ms + 1, "")
        for entity in news:
            of = series.of_entity.get(entity, ())
            self._touch(of[bisect_right(of, key) : bisect_left(of, until)])

    def _touch_limited(self, series: Series, rule: Rule, start_ms: int) -> None:
        """Only at the limit itself anything changes: who is told last, and who is not told any more."""
        if rule.limit is not None:
            first, end = series.stretch(rule.limit.within_s * 1000, start_ms)
            at = first + rule.limit.incidents
            self._touch(series.order[max(first, at - 2) : min(end, at + 1)])

    def _touch_inhibited(self, rule: Rule, incident: Incident) -> None:
        names = {inhibition.rule for inhibition in rule.inhibits}
        for (version, city), series in self._series.items():
            if version[0] in names and city == incident.city:
                self._touch(series.order)

    def _touch(self, keys: Sequence[Order]) -> None:
        self.touched.update(incident_id for _, incident_id in keys if incident_id in self._standing)

    def take_touched(self) -> list[Incident]:
        """The incidents to look at again, in order."""
        touched, self.touched = self.touched, set()
        return sorted((self._standing[i] for i in touched if i in self._standing), key=lambda i: (i.start_ms, i.id))

    def standing(self) -> list[Incident]:
        """All that stand of rules that it concerns, in order."""
        return sorted(self._standing.values(), key=lambda i: (i.start_ms, i.id))

    def _series_of(self, incident: Incident) -> Series:
        return self._series.setdefault(((incident.rule, incident.rule_version), incident.city), Series())


def changes_of_muting(before: Muted, after: Muted) -> list[tuple[str, str]]:
    """What changed, and why: for the audit."""
    found: list[tuple[str, str]] = []
    if before.limited is not after.limited:
        why = "as many of its rule as are told began before it in its stretch of time"
        found.append(("limited", why) if after.limited else ("unlimited", "fewer of its rule began before it"))
    if before.surplus != after.surplus:
        found.append(("surplus", f"{after.surplus} more of its rule in its stretch of time are told to nobody"))
    if before.flaps != after.flaps:
        times = f"{after.flaps} of its rule and of its entities began shortly before it"
        found.append(("flapping", times) if after.flaps else ("steady", "fewer of its rule began shortly before it"))
    if before.inhibited_by != after.inhibited_by:
        gone = "uninhibited", "nothing that stands inhibits it any more"
        found.append(("inhibited", f"by {after.inhibited_by}") if after.inhibited_by else gone)
    return found
