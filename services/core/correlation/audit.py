"""What a version of an incident changed against the one before, for people who ask later: who, what, when, why."""

from __future__ import annotations

from datetime import UTC, datetime

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.incident import NOT_MUTED, Change, Incident, IncidentState
from services.core.correlation.muting import changes_of_muting
from services.core.correlation.planned import PlannedEvent

_DEEDS = {
    ActionKind.ACKNOWLEDGE: "acknowledged",
    ActionKind.ASSIGN: "assigned",
    ActionKind.DISPATCH: "dispatched",
    ActionKind.FEEDBACK: "feedback",
    ActionKind.RESOLVE: "closed",
    ActionKind.REOPEN: "reopened",
    ActionKind.MERGE: "merged",
}
# What the correlation itself does; what people do is told by their actions.
_STATES = {
    IncidentState.OPEN: ("opened", "its signals are as its rule asks"),
    IncidentState.RESOLVED: ("resolved", "event time has passed all that could belong to it"),
    IncidentState.RETRACTED: ("retracted", "by what is known now its signals are not as its rule asks"),
}


def changes_of(
    before: Incident | None,
    after: Incident,
    why: str = "a late signal",
    explains: PlannedEvent | None = None,
    told: PlannedEvent | None = None,
) -> tuple[Change, ...]:
    """In the order in which they took effect; a version that only has more signals changes nothing of this.

    `why`: what made another incident take its place, if one did. `explains`: the event of a planned version.
    `told`: the version of an event by which this one was made; None: it was made by a signal, or by what somebody did.
    """
    was = before.planned_event if before else ""
    planned = (_planned(explains, told),) if was != after.planned_event else ()
    if before is None:
        return (_state_change(IncidentState.OPEN), *_since((), after), *_by_itself(None, after, why, planned))
    return (*_since(before.hands.actions, after), *_by_itself(before, after, why, planned))


def deed_of(action: Action) -> Change:
    """An action as it stands in the audit."""
    why = f"{action.about}: {action.note}" if action.about and action.note else action.about or action.note
    return Change(_DEEDS[action.kind], action.actor, action.time_ms, why, action.request_id)


def _since(known: tuple[Action, ...], after: Incident) -> tuple[Change, ...]:
    seen = {a.request_id for a in known}
    return tuple(deed_of(a) for a in after.hands.actions if a.request_id not in seen)


def _planned(explains: PlannedEvent | None, told: PlannedEvent | None) -> Change:
    if explains is not None:
        # What was announced before the incident was there is found with it, at its time.
        time_ms = explains.told_ms if explains == told else 0
        return Change("planned", explains.actor, time_ms, _in_words(explains, "announced"))
    nothing_left = "no event covers all of it any more"
    if told is None:
        return Change("unplanned", why=nothing_left)
    why = _in_words(told, "cancelled") if told.cancelled else f"{_in_words(told, 'announced anew')}: {nothing_left}"
    return Change("unplanned", told.actor, told.told_ms, why)


def _in_words(event: PlannedEvent, verb: str) -> str:
    when = f" {datetime.fromtimestamp(event.told_ms / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC" if event.told_ms else ""
    return f"{event.id}: {event.title}, {verb}{when}"


def _by_itself(before: Incident | None, after: Incident, why: str, planned: tuple[Change, ...]) -> tuple[Change, ...]:
    found: list[Change] = []
    state, was = after.state, before.state if before else IncidentState.OPEN
    if state is IncidentState.SUPERSEDED and was is not state:
        found.append(Change("superseded", why=f"{why}: it goes on as {after.superseded_by}"))
    elif state in _STATES and was is not state and not (state is IncidentState.RESOLVED and after.hands.closed_by):
        found.append(_state_change(state))
    elif before is not None and before.hands.closed_by and not after.hands.closed_by and not after.hands.kept_open:
        found.append(Change("reopened", why="it has grown since it was closed"))
    if before is not None and before.severity is not after.severity:
        step = f"{before.severity.name.lower()} to {after.severity.name.lower()}"
        found.append(Change("severity", why=step))
    found += planned
    muted = before.muted if before else NOT_MUTED
    if muted is not after.muted:
        found += [Change(what, why=why) for what, why in changes_of_muting(muted, after.muted)]
    if after.settled:
        found.append(Change("settled", why="too old for any signal or action to change it"))
    return tuple(found)


def _state_change(state: IncidentState) -> Change:
    what, why = _STATES[state]
    return Change(what, why=why)
