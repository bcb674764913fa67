"""What happens in the story: signals, what people do, and what they plan. Every step can be written as it stands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.core.correlation.incident import incident_id
from services.core.signals import Evidence, Signal
from services.runtime.catalogue import INCIDENT_ACTIONS, PLANNED_EVENTS, SIGNALS
from tests.core.correlation.city import HOUR, MINUTE, NOON, congestion, crowding
from tests.integration.correlation.city import reports, written
from urban.correlation.v1.incident_pb2 import IncidentAction, PlannedEvent

CITY = "auckland"


@dataclass(frozen=True)
class Step:
    """One transition: what is written, in order. Nothing is written where only a clock runs out."""

    name: str
    topic: str = ""
    values: tuple[bytes, ...] = ()


def story(now_ms: int) -> list[Step]:
    """Every transition of an incident, and every clock of a plan. People act at `now_ms`: old actions are forgotten."""
    return [*_square(now_ms), *_parks(now_ms)]


def _square(now_ms: int) -> list[Step]:
    crowd, road = _crowd(), congestion("square-road")
    early = crowding("square", NOON - HOUR)
    opened, heir = _incident("square", crowd, road), _incident("square", early)
    return [
        signals("opened", *written(crowd, road), *reports(NOON + HOUR)),
        Step("nobody has taken it over"),
        signals("raised to alarm", *written(_crowd(2, 13.0))),
        Step("nobody has taken it over there either, and nothing was sent"),
        signals("raised to siege", *written(_crowd(3, 16.0))),
        Step("no word from there"),
        signals("raised to evacuation", *written(_crowd(4, 19.0))),
        Step("nobody has closed it"),
        signals("lowered to alarm", *written(_crowd(5, 13.0))),
        _actions("acknowledged", _act(opened, now_ms + 1, acknowledgement={"note": "on my way"})),
        _actions(
            "assigned and dispatched",
            _act(opened, now_ms + 2, assignment={"assignee": "Ben"}),
            _act(opened, now_ms + 3, dispatch={"units": "P1"}),
        ),
        _actions("reported", _act(opened, now_ms + 4, feedback={"note": "full"})),
        signals("superseded by an heir", *written(early)),
        _actions("closed by somebody", _act(heir, now_ms + 5, NOON + HOUR, resolution={"note": "over"})),
        signals(
            "reopened, as it grows",
            *written(congestion("square-road", NOON + HOUR)),
            *reports(NOON + HOUR + 5 * MINUTE),
        ),
        Step("nobody has taken it over in the second round, and nothing was sent"),
    ]


def _parks(now_ms: int) -> list[Step]:
    at = NOON + 4 * HOUR
    places = {name: 20_000.0 + 5_000.0 * number for number, name in enumerate(("lake", "hill", "gate", "lawn"))}
    crowds = {name: crowding(f"park-{name}", at, north_m=m) for name, m in places.items()}
    roads = {name: congestion(f"park-{name}-road", at, north_m=m) for name, m in places.items()}
    ids = {name: _incident("park", roads[name], crowds[name]) for name in places}
    both = {name: written(crowds[name], roads[name]) for name in places}
    retracted = congestion("park-hill-road", at, north_m=places["hill"], retracted=True, revision=2)
    lake = crowds["lake"]
    planned = PlannedEvent(name=f"cities/{CITY}/plannedEvents/match", title="Match", radius_m=1_000, actor="Ana")
    planned.position.latitude, planned.position.longitude = lake.latitude, lake.longitude
    planned.start_time.FromMilliseconds(at - HOUR)
    planned.end_time.FromMilliseconds(at + 2 * HOUR)
    cancelled = PlannedEvent(cancelled=True)
    cancelled.MergeFrom(planned)
    end = at + HOUR
    return [
        signals("resolved by its signals", *reports(at)),
        signals("four are opened", *(value for name in places for value in both[name]), *reports(end)),
        Step("planned", PLANNED_EVENTS, (planned.SerializeToString(),)),
        Step("not planned any more", PLANNED_EVENTS, (cancelled.SerializeToString(),)),
        signals("retracted", *written(retracted)),
        _actions("merged", _act(ids["gate"], now_ms + 6, end, merging={"into_incident_id": ids["lawn"]})),
        signals("all are resolved by their signals", *reports(at + 4 * HOUR)),
        _actions("reopened by somebody", _act(ids["lake"], now_ms + 7, end, reopening={"note": "look again"})),
        _actions("closed for good", _act(ids["lake"], now_ms + 8, end, resolution={"note": "over"})),
        signals("settled", *reports(at + 20 * HOUR)),
    ]


def signals(name: str, *values: bytes) -> Step:
    return Step(name, SIGNALS, values)


def _actions(name: str, *actions: IncidentAction) -> Step:
    return Step(name, INCIDENT_ACTIONS, tuple(action.SerializeToString() for action in actions))


def _act(incident: str, time_ms: int, seen_ms: int = 0, **deed: object) -> IncidentAction:
    fields: dict[str, Any] = {"incident_id": incident, "request_id": f"at {time_ms}", "actor": "Ana", **deed}
    made = IncidentAction(**fields)
    made.time.FromMilliseconds(time_ms)
    made.seen_end_time.FromMilliseconds(seen_ms)
    return made


def _crowd(revision: int = 1, robust_z: float = 9.5) -> Signal:
    return crowding("square", revision=revision, evidence=(Evidence("robust_z", robust_z, 5.0),))


def _incident(rule: str, *signals: Signal) -> str:
    first = min(signals, key=lambda s: (s.start_ms, s.id))
    return incident_id(CITY, rule, 1, first.id)
