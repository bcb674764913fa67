"""What was told of every incident: its revisions, its end, and what people have made of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace

from services.core.correlation.action import Action, ActionKind, Hands, fold
from services.core.correlation.audit import changes_of
from services.core.correlation.incident import NOT_MUTED, Incident, IncidentState, changed
from services.core.correlation.muting import Muting
from services.core.correlation.planned import PlannedEvent, PlannedEvents
from services.core.correlation.rule import Rule
from services.core.correlation.state import IncidentRecord, LedgerState

# So long after it was made (by record time) an action still waits for its incident, and so many of them do.
EARLY_ACTION_MS = 86_400_000
MAX_EARLY_ACTIONS = 10_000
# An incident that somebody has in hand is kept for so long after its end, in event time, until it is closed.
HOLD_MS = 7 * 86_400_000


class IncidentLedger:
    """Numbers the versions of incidents and folds what people did with them.

    One for all rules: people merge the incident of one rule into that of another.
    """

    def __init__(self, state: LedgerState | None = None) -> None:
        """`state`: goes on from it; the incidents that stood come back by `stand`."""
        self.standing: dict[str, Incident] = {}  # the last version of each
        self.planned = PlannedEvents()
        self.muting = Muting()
        self.dropped_actions = 0  # for incidents that are not there, beyond those that may wait; since the start
        self._by_signals: dict[str, IncidentState] = {}  # of those that stand: what their signals alone say
        self._ended: dict[str, IncidentRecord] = {}
        self._joined: dict[str, set[str]] = {}  # incident -> those whose place it took
        self._actions: dict[str, dict[str, Action]] = {}  # by incident and request
        self._early: set[str] = set()  # those with actions that are not there yet
        self._inhibitors: dict[str, str] = {}  # of those that are back: what inhibited them
        self._awaited: dict[str, IncidentRecord] = {}  # those of a checkpoint that their signals are to give again
        if state is not None:
            self._restore(state)

    def awaits(self, incident_id: str) -> bool:
        """Whether an incident stood in the checkpoint and is not back yet."""
        return incident_id in self._awaited

    def of_rules(self, rules: Collection[str]) -> int:
        """Number of incidents of some rules that stand."""
        return sum(incident.rule in rules for incident in self.standing.values())

    def repeats(self, incident: Incident) -> bool:
        """Whether that was told already: a group that was judged again may have come out the same."""
        last = self.standing.get(incident.id)
        if last is None or self._by_signals[incident.id] is not incident.state:
            return False
        return self._same(last, self._next(last, incident, last.revision, self._hands(incident.id)))

    def tell(self, incident: Incident, told: int = 0) -> list[Incident]:
        """Gives the next version of an incident that stands, and keeps it. Its state: what its signals say.

        `told`: versions that count as told where nothing else is known of the incident.
        """
        before = self.standing.get(incident.id)
        if self.muting.active:
            self.muting.put(incident)
        ended = self._ended.pop(incident.id, None)
        if ended is not None:
            self._joined.get(ended.superseded_by, set()).discard(incident.id)
        self._by_signals[incident.id] = incident.state
        revision = before.revision if before else ended.revision if ended else told
        if incident.id not in self._early:
            versions = [self._next(before, incident, revision, self._hands(incident.id))]
        else:
            # It is told as it was found, and then with what people did: a restart does not show in the versions.
            self._early.remove(incident.id)
            versions = [self._next(before, incident, revision, Hands())]
            versions.append(self._next(versions[0], incident, revision + 1, self._hands(incident.id)))
        self._keep(versions[-1])
        return versions

    def _keep(self, incident: Incident) -> None:
        self.standing[incident.id] = incident
        if self.muting.active:
            self.muting.put(incident)

    def follow(self, rules: Iterable[Rule], in_force: Iterable[Rule]) -> None:
        """Takes note of all rules whose incidents it numbers; what that mutes is told by `look_again`."""
        if self.muting.keep(rules, in_force) and self.muting.active:
            for incident in self.standing.values():
                self.muting.put(incident)
            self.muting.touched |= {incident.id for incident in self.muting.standing()}

    def expect(self, found: Iterable[Incident], ended: Iterable[tuple[str, str]]) -> None:
        """What will stand, and what ends (with its heir), before any of it is told: they count for each other."""
        if self.muting.active:
            for incident_id, _ in ended:
                self.muting.drop(self.standing[incident_id])
            for incident in found:
                self.muting.put(incident)

    def look_again(self) -> list[Incident]:
        """New versions of the incidents that are muted now and were not, or the other way round."""
        if not self.muting.touched:
            return []
        changes: list[Incident] = []
        for incident in self.muting.take_touched():
            last = self.standing[incident.id]
            if self.muting.of(last, last.muted.inhibited_by, self._ended) != last.muted:
                changes += self.tell_again(incident.id)
        return changes

    def _hands(self, incident_id: str) -> Hands:
        return fold(self._actions.get(incident_id, {}).values(), self._may_merge)

    def _may_merge(self, merge: Action) -> bool:
        """Whether a merge does not end in a ring, as of the actions before it: all of the ring would be gone."""
        passed = merge.about
        while passed and passed != merge.incident_id:
            before = [a for a in self._actions.get(passed, {}).values() if a.order < merge.order]
            passed = fold(before, self._may_merge).merged_into
        return not passed

    def _next(
        self,
        before: Incident | None,
        incident: Incident,
        revision: int,
        hands: Hands,
        told: PlannedEvent | None = None,
    ) -> Incident:
        """`told`: the version of a planned event that is the reason to look; None: something else is."""
        hands = hands.at_end(incident.end_ms)
        after = changed(
            incident,
            revision=revision + 1,
            state=_state(self._by_signals[incident.id], hands),
            hands=hands,
            supersedes=tuple(sorted(self._joined.get(incident.id, ()))),
            planned_event=self.planned.covering(incident),
        )
        if (self.muting.active or incident.muted is not NOT_MUTED) and incident.id not in self._awaited:
            inhibitor = before.muted.inhibited_by if before else ""
            after = changed(after, muted=self.muting.of(after, inhibitor, self._ended))
        explains = self.planned.find(after.city, after.planned_event) if after.planned_event else None
        return changed(after, changes=changes_of(before, after, explains=explains, told=told))

    def hand_over(self, heirs: Iterable[tuple[str, str]]) -> list[str]:
        """(Incident, heir): what people did with an incident they have also done with the one that takes its place.

        Gives the incidents that are merged into an heir by that: see `tell_again`.
        """
        merged: set[str] = set()
        for incident_id, heir in heirs:
            if not heir:
                continue
            self._joined.setdefault(heir, set()).add(incident_id)
            for action in list(self._actions.get(incident_id, {}).values()):
                self._put(heir, action)
            merged |= set(self._rename(incident_id, heir))
        return sorted(merged)

    def _rename(self, incident_id: str, heir: str) -> Iterator[str]:
        """A merge with an incident is one with its heir from now on."""
        for merged, actions in self._actions.items():
            for action in list(actions.values()):
                if action.kind is ActionKind.MERGE and action.about == incident_id:
                    actions[action.request_id] = replace(action, about=heir)
                    yield merged

    def end(self, incident_id: str, heir: str, settled_ms: int, why: str = "a late signal") -> Incident:
        """Gives the last version of an incident: superseded by its heir, or retracted where there is none.

        `settled_ms`: event time after which it may be forgotten. `why`: what made the heir take its place.
        """
        state = IncidentState.SUPERSEDED if heir else IncidentState.RETRACTED
        last = self.standing.pop(incident_id)
        self.muting.drop(last)
        del self._by_signals[incident_id]
        incident = changed(last, state=state, superseded_by=heir, revision=last.revision + 1)
        self._ended[incident_id] = IncidentRecord(
            incident_id, last.rule, incident.revision, settled_ms, heir, standing=False
        )
        return changed(incident, changes=changes_of(last, incident, why))

    def act(self, action: Action) -> list[Incident]:
        """Folds one action on an incident and on whatever took its place; a repetition changes nothing."""
        if action.kind is ActionKind.MERGE:
            action = replace(action, about=list(self._line(action.about))[-1])
        line = list(self._line(action.incident_id))
        for incident_id in line:
            self._put(incident_id, action)
        return [*self.tell_again(line[-1]), *self.look_again()]

    def _line(self, incident_id: str) -> Iterator[str]:
        """An incident and its heirs, the standing one last."""
        passed = {incident_id}
        while True:
            yield incident_id
            ended = self._ended.get(incident_id)
            if ended is None or not ended.superseded_by or ended.superseded_by in passed:
                return
            incident_id = ended.superseded_by
            passed.add(incident_id)

    def _put(self, incident_id: str, action: Action) -> None:
        if incident_id not in self.standing and incident_id not in self._ended and incident_id not in self._joined:
            if sum(len(self._actions[i]) for i in self._early) >= MAX_EARLY_ACTIONS:
                self.dropped_actions += action.request_id not in self._actions.get(incident_id, {})
                return
            self._early.add(incident_id)
        _add(self._actions.setdefault(incident_id, {}), replace(action, incident_id=incident_id))

    def plan(self) -> list[Incident]:
        """New versions of the standing incidents that are planned now and were not, or the other way round.

        By the version of an event that was put last.
        """
        told = self.planned.newest
        return [version for incident_id in sorted(self.standing) for version in self.tell_again(incident_id, told)]

    def tell_again(self, incident_id: str, told: PlannedEvent | None = None) -> list[Incident]:
        """The next version of an incident that stands, if anything but its signals changed.

        `told`: the version of a planned event that may have changed it.
        """
        last = self.standing.get(incident_id)
        if last is None:
            return []
        after = self._next(last, last, last.revision, self._hands(incident_id), told)
        if self._same(last, after):
            return []
        self._keep(after)
        return [after]

    @staticmethod
    def _same(last: Incident, after: Incident) -> bool:
        return changed(after, revision=last.revision) == last

    def held(self, incident_id: str, age_ms: int) -> bool:
        """Whether somebody has an incident in hand that ended so long ago, so that it must not be forgotten yet."""
        standing = self.standing.get(incident_id)
        return standing is not None and age_ms < HOLD_MS and standing.hands.at_work

    def forget(self, incident_id: str) -> list[Incident]:
        """Drops an incident that nothing can change any more, and gives its last version."""
        last = self.standing.pop(incident_id, None)
        self._by_signals.pop(incident_id, None)
        self._actions.pop(incident_id, None)
        self._joined.pop(incident_id, None)
        if last is None:
            return []
        self.muting.settle(last)
        settled = changed(last, revision=last.revision + 1, settled=True)
        return [changed(settled, changes=changes_of(last, settled))]

    def forget_ended(self, rules: Collection[str], event_ms: int, log_ms: int | None) -> None:
        """Drops ended incidents of some rules that their event time has settled, and actions whose incident never came.

        Actions wait for an incident of any rule: by record time, which is one for all.
        """
        for record in [r for r in self._ended.values() if r.rule in rules and r.settled_ms <= event_ms]:
            del self._ended[record.id]
            self._actions.pop(record.id, None)
            self._joined.pop(record.id, None)
            self._joined.get(record.superseded_by, set()).discard(record.id)
        if log_ms is not None:
            for incident_id in sorted(self._early):
                if all(a.time_ms + EARLY_ACTION_MS <= log_ms for a in self._actions[incident_id].values()):
                    self._early.remove(incident_id)
                    del self._actions[incident_id]

    def forget_planned(self, event_ms: int) -> None:
        """Drops planned events so long past that nothing which stands, or may come, lies in them."""
        self.planned.forget(event_ms - 2 * HOLD_MS)

    def snapshot(self) -> LedgerState:
        """All that is known, in one order."""
        planned, passed = tuple(self.planned.events()), tuple(self.muting.passed())
        return LedgerState(tuple(self._records()), tuple(self._all_actions()), planned, passed)

    def _records(self) -> list[IncidentRecord]:
        standing = (
            IncidentRecord(i.id, i.rule, i.revision, 0, inhibited_by=i.muted.inhibited_by)
            for i in self.standing.values()
        )
        return sorted([*standing, *self._ended.values()], key=lambda r: r.id)

    def _all_actions(self) -> list[Action]:
        found = [action for actions in self._actions.values() for action in actions.values()]
        return sorted(found, key=lambda a: (a.incident_id, *a.order))

    def _restore(self, state: LedgerState) -> None:
        self.planned, self.muting = PlannedEvents(state.planned), Muting(state.passed)
        self._awaited = {r.id: r for r in state.incidents if r.standing}
        self._ended = {r.id: r for r in state.incidents if not r.standing}
        for record in self._ended.values():
            if record.superseded_by:
                self._joined.setdefault(record.superseded_by, set()).add(record.id)
        for action in state.actions:
            _add(self._actions.setdefault(action.incident_id, {}), action)
        self._early = self._actions.keys() - self._awaited.keys() - self._ended.keys()

    def stand(self, standing: Iterable[Incident]) -> None:
        """Goes on with incidents that stood, as their signals give them, without a revision."""
        for incident in standing:
            record = self._awaited[incident.id]
            self._by_signals[incident.id] = incident.state
            hands = self._hands(incident.id)
            self.standing[incident.id] = self._next(None, incident, record.revision - 1, hands)
            self._inhibitors[incident.id] = record.inhibited_by
            del self._awaited[incident.id]

    def all_stand(self) -> None:
        """ValueError where an incident of the checkpoint is not back: its rules, all of them, have told what stands."""
        if lost := sorted(self._awaited):
            raise ValueError(f"the checkpoint's signals do not give its incidents {', '.join(lost[:3])}")
        if self.muting.active:
            # Only now all are there that may mute each other.
            for incident in self.standing.values():
                self.muting.put(incident)
            for incident in self.muting.standing():
                last = self.standing[incident.id]
                muted = self.muting.of(last, self._inhibitors.pop(last.id, ""), self._ended)
                self._keep(changed(last, muted=muted))
            self.muting.take_touched()
        self._inhibitors = {}


def _add(actions: dict[str, Action], action: Action) -> None:
    """Of a request that is in the log twice, the first counts."""
    known = actions.get(action.request_id)
    if known is None or action.order < known.order:
        actions[action.request_id] = action


def _state(by_signals: IncidentState, hands: Hands) -> IncidentState:
    if hands.merged_into:
        return IncidentState.MERGED
    if hands.closed_by or (by_signals is IncidentState.RESOLVED and not hands.kept_open):
        return IncidentState.RESOLVED
    if hands.acknowledged_by:
        return IncidentState.ACKNOWLEDGED
    return IncidentState.REOPENED if hands.reopen_count else IncidentState.OPEN
