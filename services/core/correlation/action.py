"""What people do with an incident, and what that makes of it: a function of the set of actions, in any order read.

Every action has a place in the log of actions; the fold goes by that place, so it does not matter when an action was
read, how often, or at which version of the incident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

# An incident remembers so many actions; what comes then changes nothing. Nobody works on one incident in more steps.
MAX_ACTIONS = 500
# So many of the last ones are told with the incident.
MAX_LISTED_ACTIONS = 50


class ActionKind(IntEnum):
    """What somebody does. Part of checkpoints: numbers stay."""

    ACKNOWLEDGE = 1
    ASSIGN = 2
    DISPATCH = 3
    FEEDBACK = 4
    RESOLVE = 5
    REOPEN = 6
    MERGE = 7


@dataclass(frozen=True)
class Action:
    """One thing that somebody did."""

    incident_id: str
    request_id: str
    actor: str
    time_ms: int  # by wall clock
    note: str = ""  # why
    kind: ActionKind = ActionKind.ACKNOWLEDGE
    about: str = ""  # who is assigned; what was dispatched; the incident that it is merged into
    seen_ms: int = 0  # end of the incident as it was when somebody acted on it
    place: int = 0  # offset in the log of actions

    @property
    def order(self) -> tuple[int, int, str]:
        return self.place, self.time_ms, self.request_id


@dataclass(frozen=True)
class Hands:
    """What people have made of an incident so far. Texts are empty and times 0 where that has not happened."""

    acknowledged_by: str = ""
    acknowledge_time_ms: int = 0
    assignee: str = ""
    dispatched: str = ""
    dispatch_time_ms: int = 0
    feedback_time_ms: int = 0
    closed_by: str = ""
    close_time_ms: int = 0
    closed_end_ms: int = 0  # the end that the incident had when it was closed
    merged_into: str = ""
    kept_open: bool = False  # somebody has reopened it: that its signals are over does not resolve it
    reopen_count: int = 0
    actions: tuple[Action, ...] = ()  # those that had an effect, in their order

    @property
    def at_work(self) -> bool:
        """Whether somebody has it in hand and has not ended it."""
        return bool(self.actions) and not self.closed_by and not self.merged_into

    def at_end(self, end_ms: int) -> Hands:
        """As of an incident that ends then: one that has grown since it was closed is open again."""
        if self.closed_by and end_ms > self.closed_end_ms:
            return _reopened(self, kept_open=False)
        return self


def fold(actions: Iterable[Action], may_merge: Callable[[Action], bool] = lambda _: True) -> Hands:
    """What a set of actions on one incident makes of it. `may_merge`: whether a merge would not end in a ring."""
    hands = Hands()
    for action in sorted(actions, key=lambda a: a.order):
        if len(hands.actions) == MAX_ACTIONS:
            break
        if action.kind is not ActionKind.MERGE or may_merge(action):
            hands = _take(hands, action)
    return hands


def _take(hands: Hands, action: Action) -> Hands:
    """The hands after one action; the same object where it has no effect."""
    if hands.merged_into and action.kind is not ActionKind.FEEDBACK:
        return hands
    if hands.closed_by and action.kind in _ON_OPEN_ONLY:
        # Who has seen that the incident went on after it was closed acts on the one that is open again.
        if action.seen_ms <= hands.closed_end_ms:
            return hands
        hands = _reopened(hands, kept_open=False)
    changed = _EFFECTS[action.kind](hands, action)
    return hands if changed is hands else replace(changed, actions=(*hands.actions, action))


def _reopened(hands: Hands, *, kept_open: bool) -> Hands:
    """Another round: it must be taken, sent for and closed anew. Who it was given to stays."""
    return Hands(
        assignee=hands.assignee,
        kept_open=kept_open,
        reopen_count=hands.reopen_count + 1,
        actions=hands.actions,
    )


def _acknowledge(hands: Hands, action: Action) -> Hands:
    if hands.acknowledged_by:
        return hands  # the first counts
    return replace(hands, acknowledged_by=action.actor, acknowledge_time_ms=action.time_ms)


def _assign(hands: Hands, action: Action) -> Hands:
    return hands if hands.assignee == action.about else replace(hands, assignee=action.about)


def _dispatch(hands: Hands, action: Action) -> Hands:
    return replace(hands, dispatched=action.about, dispatch_time_ms=hands.dispatch_time_ms or action.time_ms)


def _feed_back(hands: Hands, action: Action) -> Hands:
    return replace(hands, feedback_time_ms=hands.feedback_time_ms or action.time_ms)


def _resolve(hands: Hands, action: Action) -> Hands:
    return replace(
        hands, closed_by=action.actor, close_time_ms=action.time_ms, closed_end_ms=action.seen_ms, kept_open=False
    )


def _reopen(hands: Hands, action: Action) -> Hands:
    return hands if hands.kept_open else _reopened(hands, kept_open=True)


def _merge(hands: Hands, action: Action) -> Hands:
    return replace(hands, merged_into=action.about)


_EFFECTS = {
    ActionKind.ACKNOWLEDGE: _acknowledge,
    ActionKind.ASSIGN: _assign,
    ActionKind.DISPATCH: _dispatch,
    ActionKind.FEEDBACK: _feed_back,
    ActionKind.RESOLVE: _resolve,
    ActionKind.REOPEN: _reopen,
    ActionKind.MERGE: _merge,
}
_ON_OPEN_ONLY = frozenset(
    (ActionKind.ACKNOWLEDGE, ActionKind.ASSIGN, ActionKind.DISPATCH, ActionKind.RESOLVE, ActionKind.MERGE)
)
