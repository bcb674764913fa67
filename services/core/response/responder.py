"""Applies response plans to the log of incidents: a pure function of their versions, in order, and of record time.

What a clock decides does not depend on when anybody looks at it: it has run out where no version that was written
until a little after its end shows what it waited for. `take` lets time pass up to a version's own record time before
it looks at the version, so a replay decides the same as the live run did.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from services.core.correlation.incident import IncidentState
from services.core.response.case import Case, Notice, Reason, Seen, notice_id
from services.core.response.plan import ANY_RULE, Level, Plan

# Who acts in the last moment is heard: the way from a call to a version of the incident takes less than this.
GRACE_MS = 2_000
# A case is remembered for so long after its last version: older ones that come again tell nothing.
REMEMBER_MS = 30 * 86_400_000
_OVER = (IncidentState.RESOLVED, IncidentState.MERGED)
_NOTHING_TO_DO = (Reason.ENDED, Reason.WITHDRAWN)


class Responder:
    """All plans over all incidents."""

    def __init__(self, plans: Sequence[Plan], cases: Iterable[Case] = ()) -> None:
        """`cases`: of a checkpoint; plans may have changed since."""
        self._plans = {plan.name: plan for plan in plans}
        self._by_rule = {rule: plan for plan in plans for rule in plan.rules}
        self._cases = {case.seen.id: case for case in cases}
        self._due: list[tuple[int, str, str]] = []  # heap of time, incident and clock; some are out of date
        self._wound: set[tuple[int, str, str]] = set()  # what is in the heap
        for incident_id in sorted(self._cases):
            self._wind(self._cases[incident_id])

    @property
    def live(self) -> int:
        """Incidents that somebody is to act on, or that a clock runs for."""
        return sum(case.live for case in self._cases.values())

    def cases(self) -> list[Case]:
        """What a checkpoint holds, by incident."""
        return [self._cases[i] for i in sorted(self._cases)]

    def plan_of(self, rule: str) -> Plan | None:
        """The plan for incidents of a rule; None: there is none, and nobody is told."""
        return self._by_rule.get(rule) or self._by_rule.get(ANY_RULE)

    def take(self, seen: Seen, record_ms: int) -> list[Notice]:
        """Takes a version of an incident with its record time; gives what is to be told, in order."""
        notices = self.advance(record_ms)
        case = self._cases.get(seen.id)
        if case is not None and seen.revision <= case.seen.revision:
            return notices  # written again after a restart of the correlation
        plan = self.plan_of(seen.rule)
        if plan is None:
            return notices
        if case is None or not case.live:
            case = self._adopt(seen, plan, case, record_ms)
        signals, was_muted = seen.signals, case.seen.muted
        case.seen, case.plan, case.heard_ms = replace(seen, signals=()), plan.name, record_ms
        if was_muted and not seen.muted and case.level:
            case.since_ms = record_ms  # who knew of it has all the time again
        notices += self._follow(case, plan, plan.level_of(seen.severity, signals), record_ms)
        self._wind(case)
        return notices

    def advance(self, now_ms: int) -> list[Notice]:
        """Lets time pass; everything that was written before has been taken. Gives the clocks that ran out."""
        notices: list[Notice] = []
        while self._due and self._due[0][0] + GRACE_MS <= now_ms:
            due = due_ms, incident_id, clock_name = heapq.heappop(self._due)
            self._wound.discard(due)
            case = self._cases.get(incident_id)
            if case is not None and (due_ms, clock_name) in self._running(case):
                notices += self._escalate(case, clock_name, due_ms)
        return notices

    def forget(self, now_ms: int) -> None:
        """Drops cases that have ended and of which nothing was heard for long."""
        for case in [c for c in self._cases.values() if not c.live and c.heard_ms + REMEMBER_MS <= now_ms]:
            del self._cases[case.seen.id]

    def _adopt(self, seen: Seen, plan: Plan, ended: Case | None, record_ms: int) -> Case:
        """A case for an incident that has none: a new one, or the one of the incidents whose place it takes."""
        case = Case(seen, plan.name, opened_ms=record_ms, heard_ms=record_ms, round=seen.reopen_count)
        if ended is not None:
            case.steps, case.opened_ms = ended.steps, ended.opened_ms
            if seen.reopen_count <= ended.round:  # the same round: what ran out in it has run out
                case.round, case.breached = ended.round, ended.breached
        for incident_id in seen.supersedes:
            old = self._cases.get(incident_id)
            if old is None or not old.live:
                continue
            # Whoever knows of the old one knows of this one, and what ran out there has run out.
            old.live = False
            if self._rank(old) >= self._rank(case):
                case.level, case.since_ms = old.level, old.since_ms
            case.opened_ms = min(case.opened_ms, old.opened_ms)
            case.steps += old.steps
            case.told = tuple(dict.fromkeys((*case.told, *old.told)))
            case.breached = tuple(dict.fromkeys((*case.breached, *old.breached)))
            case.ended = old.ended
        self._cases[seen.id] = case
        return case

    def _rank(self, case: Case) -> int:
        return self._plans[case.plan].rank(case.level) if case.plan in self._plans else -1

    def _follow(self, case: Case, plan: Plan, level: Level | None, record_ms: int) -> list[Notice]:
        """What follows from the newest version of a case."""
        seen = case.seen
        if seen.reopen_count > case.round:
            case.round, case.breached, case.level, case.ended, case.live = seen.reopen_count, (), "", False, True
        if seen.state is IncidentState.SUPERSEDED and self._goes_on(seen.superseded_by):
            case.live = False
            return []
        if seen.planned_event or seen.state in (IncidentState.RETRACTED, IncidentState.SUPERSEDED):
            case.live = bool(seen.planned_event) and seen.state not in (*_OVER, IncidentState.RETRACTED)
            return self._withdraw(case, plan, record_ms)
        if seen.state in _OVER:
            case.live = seen.state is IncidentState.RESOLVED and not seen.closed and not seen.settled
            return self._end(case, plan, record_ms)
        if seen.muted:
            case.live = True  # until it is muted no more, or over
            return []
        if case.ended:
            case.ended, case.level = False, ""  # it goes on after all
        return self._change_level(case, plan, level, record_ms)

    def _goes_on(self, incident_id: str) -> bool:
        heir = self._cases.get(incident_id)
        return heir is not None and heir.live

    def _change_level(self, case: Case, plan: Plan, level: Level | None, record_ms: int) -> list[Notice]:
        name = level.name if level else ""
        if name == case.level:
            return []
        before, after = plan.rank(case.level), plan.rank(name)
        case.level, case.since_ms = name, record_ms
        case.steps += 1
        known = case.told
        if level is not None:
            case.told = tuple(dict.fromkeys((*known, *level.tell)))
        if level is None or after < before:
            reason, receivers = Reason.LOWERED, known
        elif before < 0:
            reason, receivers = Reason.OPENED, level.tell
        else:
            reason, receivers = Reason.RAISED, case.told
        return list(self._tell(case, plan, reason, f"{case.round}/level/{case.steps}", receivers, record_ms))

    def _withdraw(self, case: Case, plan: Plan, record_ms: int) -> list[Notice]:
        told, case.told = case.told if not case.ended else (), ()
        case.steps += bool(told)
        step = f"{case.round}/withdrawn/{case.steps}"
        notices = list(self._tell(case, plan, Reason.WITHDRAWN, step, told, record_ms))
        case.level = ""
        return notices

    def _end(self, case: Case, plan: Plan, record_ms: int) -> list[Notice]:
        if case.ended or not case.told:
            case.ended = True
            return []
        case.ended = True
        case.steps += 1
        step = f"{case.round}/end/{case.steps}"
        return list(self._tell(case, plan, Reason.ENDED, step, case.told, record_ms))

    def _escalate(self, case: Case, clock_name: str, due_ms: int) -> list[Notice]:
        plan = self._plans[case.plan]
        level = plan.levels[plan.rank(case.level)]
        clock = next(c for c in level.clocks if c.waits_for == clock_name)
        step = case.run_out(clock_name)
        case.told = tuple(dict.fromkeys((*case.told, *clock.tell)))
        found = self._tell(case, plan, Reason.ESCALATED, step, clock.tell, due_ms + GRACE_MS)
        return [replace(notice, clock=clock_name, due_ms=due_ms) for notice in found]

    def _tell(
        self, case: Case, plan: Plan, reason: Reason, step: str, receivers: Iterable[str], time_ms: int
    ) -> Iterator[Notice]:
        seen, rank = case.seen, plan.rank(case.level)
        said = "" if rank < 0 or reason in _NOTHING_TO_DO else plan.levels[rank].instruction_for(seen.city, seen.id)
        for receiver in receivers:
            id_ = notice_id(seen.id, plan.name, step, receiver)
            yield Notice(id_, seen, plan.name, plan.version, case.level, receiver, reason, time_ms, instruction=said)

    def _running(self, case: Case) -> list[tuple[int, str]]:
        """The clocks that run for a case: when they end, and what they wait for."""
        plan = self._plans.get(case.plan)
        rank = plan.rank(case.level) if plan else -1
        if plan is None or rank < 0 or not case.live or case.seen.muted:
            return []
        # What its signals have resolved needs nobody any more, but somebody to verify it.
        over = case.seen.state is IncidentState.RESOLVED
        return [
            (case.since_ms + clock.seconds * 1000, clock.waits_for)
            for clock in plan.levels[rank].clocks
            if clock.waits_for not in case.seen.acted
            and not case.ran_out(clock.waits_for)
            and not (over and clock.waits_for != "close")
        ]

    def _wind(self, case: Case) -> None:
        for due_ms, clock_name in self._running(case):
            due = due_ms, case.seen.id, clock_name
            if due not in self._wound:
                self._wound.add(due)
                heapq.heappush(self._due, due)
