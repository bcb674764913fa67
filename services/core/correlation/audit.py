"""What a version of an incident changed against the one before, for people who ask later: who, what, when, why."""

from __future__ import annotations

from services.core.correlation.action import Action, ActionKind
from services.core.correlation.incident import NOT_MUTED, Change, Incident, IncidentState
from services.core.correlation.muting import changes_of_muting

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


def changes_of(before: Incident | None, after: Incident, why: str = "a late signal") -> tuple[Change, ...]:
    """In the order in which they took effect; a version that only has more signals changes nothing of this.

    `why`: what made another incident take its place, if one did.
    """
    if before is None:
        return (_state_change(IncidentState.OPEN), *_since((), after), *_by_itself(None, after, why))
    return (*_since(before.hands.actions, after), *_by_itself(before, after, why))


def deed_of(action: Action) -> Change:
    """An action as it stands in the audit."""
    why = f"{action.about}: {action.note}" if action.about and action.note else action.about or action.note
    return Change(_DEEDS[action.kind], action.actor, action.time_ms, why, action.request_id)


def _since(known: tuple[Action, ...], after: Incident) -> tuple[Change, ...]:
    seen = {a.request_id for a in known}
    return tuple(deed_of(a) for a in after.hands.actions if a.request_id not in seen)


def _by_itself(before: Incident | None, after: Incident, why: str) -> tuple[Change, ...]:
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
    if (before.planned_event if before else "") != after.planned_event:
        planned = Change("planned", why=after.planned_event)
        found.append(planned if after.planned_event else Change("unplanned", why="no event covers all of it any more"))
    muted = before.muted if before else NOT_MUTED
    if muted is not after.muted:
        found += [Change(what, why=why) for what, why in changes_of_muting(muted, after.muted)]
    if after.settled:
        found.append(Change("settled", why="too old for any signal or action to change it"))
    return tuple(found)


def _state_change(state: IncidentState) -> Change:
    what, why = _STATES[state]
    return Change(what, why=why)
