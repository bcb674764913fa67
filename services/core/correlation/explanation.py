"""What an incident says to a duty officer, in a sentence or two made of what it holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from services.core.correlation.space import distance_m, place_of
from services.core.correlation.verdict import Outcome, Truth
from services.core.correlation.words import (
    IN_AREAS,
    SIGMAS,
    STATISTICS,
    UNUSUAL,
    Measured,
    Words,
    amount,
    distance,
    duration,
    measured,
    number,
    one,
    words_of,
)
from services.core.signals import Evidence, Signal

if TYPE_CHECKING:
    from services.core.correlation.incident import Incident

# An explanation is no longer than this; what does not fit is told by number.
MAX_CHARACTERS = 1_000
# So many kinds of finding are told each; nobody reads more.
MAX_SIDES = 4
MAX_CONDITIONS = 2
_MAX_TITLE, _MAX_ENTITY, _MAX_CONDITION = 160, 64, 120
# Nearer than this is the same place: entities are not placed to the metre.
_SAME_PLACE_M = 10.0
_LAST_MS = 253_402_300_799_000  # 9999-12-31T23:59:59Z


class _Side(NamedTuple):
    """All signals of one detector (and category): the strongest tells, the others are counted."""

    strongest: Signal
    start_ms: int
    entities: int
    category: str


def explain(incident: Incident) -> str:
    """What happened where and since when, each finding with its strongest figure, and what else is known; UTC.

    At most MAX_CHARACTERS. It depends on what the incident holds, not on the order of its signals.
    """
    sides = _sides(incident.signals)
    after = [*_known(incident.outcomes), *_stands_on(incident), _planned(incident)]
    for shown in range(min(MAX_SIDES, len(sides)), 0, -1):
        clauses = [
            _clause(side) if at == 0 else _clause(side) + _apart(sides[0], side, at)
            for at, side in enumerate(sides[:shown])
        ]
        if len(sides) == 1 and sides[0].entities > 1 and incident.extent_m >= _SAME_PLACE_M:
            clauses[0] += f", all within {distance(incident.extent_m)} of their middle"
        if left := len(sides) - shown:
            clauses.append(f"{left:,} more kinds of finding")
        text = " ".join([f"{_head(incident)} {_joined(clauses)}.", *after])
        if len(text) <= MAX_CHARACTERS:
            return text
    return " ".join([f"{_head(incident)} {len(incident.signals):,} signals.", _planned(incident)])


def _head(incident: Incident) -> str:
    title = _cut(" ".join(incident.title.split()).rstrip(".:; "), _MAX_TITLE)
    start = _moment(incident.start_ms)
    when = f"from {start} to {_moment(incident.end_ms)} UTC" if incident.over else f"since {start} UTC"
    return f"{title}: {when}"


def _sides(signals: Sequence[Signal]) -> list[_Side]:
    """By start; at one moment by domain, kind, detector and category."""
    found: dict[tuple[str, str, str, str], list[Signal]] = {}
    for signal in signals:
        category = signal.entity_id.partition(":")[0] if signal.kind in IN_AREAS and ":" in signal.entity_id else ""
        found.setdefault((signal.domain, signal.kind, signal.type, category), []).append(signal)
    sides = []
    for key, group in found.items():
        only = group[0]
        if len(group) == 1:
            sides.append((only.start_ms, key, _Side(only, only.start_ms, 1, key[3])))
            continue
        start_ms = min(signal.start_ms for signal in group)
        entities = len({signal.entity_id for signal in group})
        sides.append((start_ms, key, _Side(min(group, key=_rank), start_ms, entities, key[3])))
    sides.sort()
    return [side for _, _, side in sides]


def _rank(signal: Signal) -> tuple[float, int, str, str]:
    """The highest score first."""
    return -signal.score, signal.start_ms, signal.entity_id, signal.id


def _clause(side: _Side) -> str:
    """One finding: what, where, its figure, and how many more."""
    signal, words = side.strongest, words_of(side.strongest.kind, side.strongest.type)
    entity = signal.entity_id
    if side.category:
        entity = entity[len(side.category) + 1 :]
    where = f"in area {_cut(entity, _MAX_ENTITY)}" if side.category else f"at {_cut(entity, _MAX_ENTITY)}"
    category = f"{_cut(side.category, _MAX_ENTITY)} " if side.category else ""
    if signal.type.startswith(UNUSUAL):
        says, figure = _unusual(signal, category)
    else:
        says = words.says if "{}" in words.says else f"{{}}{words.says}"
        says, figure = says.replace("{}", category), _figure(signal, words)
    others = f" and {side.entities - 1:,} other{'s' if side.entities > 2 else ''}" if side.entities > 1 else ""
    return f"{says} {where} ({figure}){others}" if figure else f"{says} {where}{others}"


def _figure(signal: Signal, words: Words) -> str:
    """The figure that tells most; "": none does."""
    there = {e.measure: e for e in signal.evidence if math.isfinite(e.value)}
    if words.figures is None:
        some = [e for e in there.values() if e.measure not in STATISTICS]
    else:
        some = [there[name] for name in words.figures if name in there]
    if not some:
        return ""
    reached = some[0]
    if words.figures is not None and len(some) > 1:
        reached = next((e for e in some if e.value >= e.threshold), some[0])
    return _told(reached, measured(signal.kind, reached.measure), words)


def _told(evidence: Evidence, what: Measured, words: Words) -> str:
    if what.counts:
        value = one(what.noun) if evidence.value == 1 else f"{number(evidence.value)} {what.noun}"
    else:
        value = f"{what.noun} {amount(evidence.value, what.unit)}".lstrip()
    if words.normal and math.isfinite(evidence.expected):
        against = words.normal.format(amount(evidence.expected, what.unit))
    elif words.bound and math.isfinite(evidence.threshold):
        against = words.bound.format(amount(evidence.threshold, what.unit))
    else:
        return value
    return f"{value} against {against}"


def _unusual(signal: Signal, category: str) -> tuple[str, str]:
    """What a detector `unusual_<measure>` says: which way, and the figure, or how far it is from what was expected."""
    measure = signal.type[len(UNUSUAL) :]
    what = measured(signal.kind, measure)
    found = {e.measure: e for e in signal.evidence if math.isfinite(e.value)}
    own, sigmas = found.get(measure), found.get(SIGMAS)
    more = sigmas.value if sigmas is not None else own.value - own.expected if own is not None else math.nan
    # Of what is measured, the noun stands before it already.
    figure = _told(own, what if what.counts else what._replace(noun=""), Words("")) if own is not None else ""
    if own is None and sigmas is not None:
        way = "above" if more >= 0 else "below"
        figure = f"{number(abs(more))} standard deviations {way} what was expected"
    if what.counts:
        how = "an unusual number of" if math.isnan(more) else "unusually many" if more >= 0 else "unusually few"
    else:
        how = "an unusual" if math.isnan(more) else "an unusually high" if more >= 0 else "an unusually low"
    return f"{how} {category}{what.noun}", figure


def _apart(first: _Side, side: _Side, at: int) -> str:
    """How far and how long from the first finding, as the rest of a clause; `at`: place of the clause."""
    begun, other = first.strongest, side.strongest
    metres = distance_m(place_of(begun), place_of(other))
    where = ""
    if metres < _SAME_PLACE_M:
        where = ", at the same place"
    elif math.isfinite(metres):
        where = f", {distance(metres)} {'away' if at == 1 else 'from the first'}"
    later_ms, earlier_ms = other.start_ms - begun.end_ms, begun.start_ms - other.end_ms
    gap_ms = max(later_ms, earlier_ms)
    if gap_ms < 0:
        return f"{where}, at the same time"
    if gap_ms == 0:
        return f"{where}, right {'after' if later_ms == 0 else 'before'} it"
    return f"{where}, {duration(gap_ms / 1000)} {'later' if later_ms > 0 else 'earlier'}"


def _known(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """What came of the conditions that the signals do not tell by themselves."""
    told = (text for outcome in outcomes if (text := _condition(outcome)))
    for _, text in zip(range(MAX_CONDITIONS), told, strict=False):
        yield text


def _condition(outcome: Outcome) -> str:
    text, truth = _cut(outcome.condition, _MAX_CONDITION), outcome.truth
    if text.startswith("no "):  # of something that must be absent
        name, _, where = text[3:].partition(" ")
        sought = f'signal "{name}" {where}'
        match truth:
            case Truth.HELD:
                return f"There was no {sought}."
            case Truth.UNKNOWN:
                return f"It is not known whether there was a {sought}, since a sensor or a service is silent."
            case Truth.PENDING:
                return f"It is not known yet whether there was a {sought}."
    elif text.startswith("share of ") and truth is Truth.HELD and math.isfinite(outcome.value):
        return f"These are {amount(outcome.value, '1')} of all entities of one {text.split(' ')[2]}."
    return ""


def _stands_on(incident: Incident) -> Iterator[str]:
    if incident.signal_count > len(incident.signals):
        yield f"It stands on {incident.signal_count:,} signals."


def _planned(incident: Incident) -> str:
    if incident.planned_event:
        return f"The planned event {_cut(incident.planned_event, _MAX_ENTITY)} explains it."
    return "No planned event explains it."


def _joined(clauses: Sequence[str]) -> str:
    if len(clauses) == 1:
        return clauses[0]
    return f"{'; '.join(clauses[:-1])}; and {clauses[-1]}"


def _moment(time_ms: int) -> str:
    """UTC, to the minute."""
    return f"{datetime.fromtimestamp(min(max(time_ms, 0), _LAST_MS) / 1000, UTC):%Y-%m-%d %H:%M}"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
