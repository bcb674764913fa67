"""Examples of a rule, in a file beside it: signals in, incidents out. They are its tests, and its explanation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from services.core.correlation.bond import Bond
from services.core.correlation.checks import RuleError
from services.core.correlation.correlator import Correlator
from services.core.correlation.event_time import Watermarks
from services.core.correlation.group import gap_ms
from services.core.correlation.incident import Incident, IncidentState
from services.core.correlation.rule import Rule
from services.core.correlation.space import distance_m, place_of
from services.core.geometry import EARTH_RADIUS_M
from services.core.signals import Evidence, Severity, Signal, signal_id
from services.correlation.fields import Field, Table, listed, number, one_of, read_fields, text
from services.correlation.rule_language import SEVERITIES
from services.correlation.rules import EXAMPLES, RuleFileError, read_file

# Where and when examples play: a street in Auckland, 2024-06-02T12:00Z.
NORTH, EAST = -36.848, 174.765
NOON_MS = 1_717_329_600_000
CITY = "auckland"
MINUTE_MS = 60_000
SILENCE_MS = 60_000
_DEGREE_M = 2.0 * math.pi * EARTH_RADIUS_M / 360.0


@dataclass(frozen=True)
class Example:
    """Signals, and the incidents that they must make: each the labels of its signals."""

    name: str
    signals: Mapping[str, Signal]  # by label
    silent: tuple[str, ...]  # sources that say nothing: "environment.noise"
    incidents: frozenset[frozenset[str]]


@dataclass(frozen=True)
class Failure:
    """An example that came out otherwise."""

    example: str
    way: str  # how the signals were read: "in order"
    lines: tuple[str, ...]  # what was expected and is missing (-), what was found and is too much (+), and why


def examples_of(path: Path, rule: Rule) -> list[Example]:
    """The examples beside the rule file. RuleFileError: there are none, or one is wrong."""
    file = path.with_name(path.name.removesuffix(".yaml") + EXAMPLES)
    if not file.exists():
        raise RuleFileError(file, "", None, f"is missing: what should {rule.name} find, and what not?")
    return read_file(file, lambda document: _read_examples(document, rule))


def try_examples(rule: Rule, examples: Sequence[Example]) -> list[Failure]:
    """Reads each example in several ways, which must not matter, and compares."""
    return [failure for example in examples for failure in _try(rule, example)]


def _try(rule: Rule, example: Example) -> Iterator[Failure]:
    for way, records in _ways(rule, example):
        found = _read(rule, records)
        labels = {signal.id: label for label, signal in example.signals.items()}
        incidents = {frozenset(labels[s.id] for s in i.signals): i for i in found}
        missing, extra = example.incidents - set(incidents), set(incidents) - example.incidents
        if missing or extra:
            lines = [line for group in sorted(missing, key=sorted) for line in _missed(rule, example, group)]
            lines += [line for group in sorted(extra, key=sorted) for line in _extra(group, incidents[group])]
            yield Failure(example.name, way, tuple(lines))
            return


def _ways(rule: Rule, example: Example) -> Iterator[tuple[str, list[Signal | Watermarks]]]:
    signals = sorted(example.signals.values(), key=lambda s: (s.end_ms, s.id))
    end_ms = max(s.end_ms for s in signals) + rule.open_ms + 1
    begin, end = _reports(rule, (), min(s.start_ms for s in signals)), _reports(rule, example.silent, end_ms)
    in_order: list[Signal | Watermarks] = [*begin]
    for signal in signals:
        in_order += [signal, *_reports(rule, example.silent, signal.end_ms)]
    yield "in order", [*in_order, *end]
    yield "in reverse, each twice", [*begin, *(s for signal in reversed(signals) for s in (signal, signal)), *end]
    yield "all too late", [*begin, *end, *signals]


def _reports(rule: Rule, silent: Sequence[str], time_ms: int) -> list[Watermarks]:
    sources = sorted({(s.domain, s.kind) for s in rule.selectors})
    return [Watermarks(domain, kind, {0: time_ms}) for domain, kind in sources if f"{domain}.{kind}" not in silent]


def _read(rule: Rule, records: Sequence[Signal | Watermarks]) -> list[Incident]:
    """The incidents that stand after some records, and after a time in which a silent source is given up."""
    correlator = Correlator((rule,), {(s.domain, s.kind): 1 for s in rule.selectors}, silence_ms=SILENCE_MS)
    newest: dict[str, Incident] = {}
    last = [record for record in records if isinstance(record, Watermarks)]
    patience = [last[-1]] * 8 if last else []
    for at, record in enumerate([*records, *patience]):
        for incident in correlator.take(record, NOON_MS + at * SILENCE_MS // 3):
            newest[incident.id] = incident
    return [incident for incident in newest.values() if incident.state <= IncidentState.RESOLVED]


def _missed(rule: Rule, example: Example, group: frozenset[str]) -> Iterator[str]:
    yield f"- expected {_listed(group)}"
    bonds = {frozenset((bond.first, bond.second)): bond for bond in rule.all_bonds}
    sides = {label: rule.side_of(signal) for label, signal in example.signals.items()}
    for label in sorted(group):
        if sides[label] is None:
            yield f"    {label}: no name of the rule takes this signal"
    for a, b in combinations(sorted(group), 2):
        names = [rule.selectors[side].name for side in (sides[a], sides[b]) if side is not None]
        bond = bonds.get(frozenset(names)) if len(names) == 2 else None
        yield f"    {a} and {b}: {_apart(example.signals[a], example.signals[b], bond)}"


def _apart(a: Signal, b: Signal, bond: Bond | None) -> str:
    if bond is None:
        return "no link holds between them"
    metres, seconds = distance_m(place_of(a), place_of(b)), gap_ms(a, b) / 1000
    text = f"{metres:.0f} m (at most {bond.radius_m:g}), {seconds:g} s (at most {bond.within_s})"
    if bond.along is not None:
        text += f", {bond.along.apart_m(a, b):.0f} m along the {bond.along.of} (at most {bond.along.within_m:g})"
    return text


def _extra(group: frozenset[str], incident: Incident) -> Iterator[str]:
    yield f"+ found {_listed(group)}: {incident.title}"
    for outcome in incident.outcomes:
        yield f"    {outcome.condition}: {outcome.value:g} ({outcome.truth.name.lower()}, bound {outcome.bound:g})"


def _listed(group: frozenset[str]) -> str:
    return ", ".join(sorted(group))


def _read_examples(document: object, rule: Rule) -> list[Example]:
    entries = read_fields("", document, _FILE, "examples")["examples"]
    if not entries:
        raise RuleError("examples", [], "must have one example or more")
    return [_example(f"examples[{i}]", entry, rule) for i, entry in enumerate(entries)]


def _example(field: str, value: object, rule: Rule) -> Example:
    fields = read_fields(field, value, _EXAMPLE)
    signals: dict[str, Signal] = {}
    for i, entry in enumerate(fields["signals"]):
        label, signal = _signal(f"{field}.signals[{i}]", entry, rule)
        if label in signals or signal.id in {s.id for s in signals.values()}:
            reason = "another signal is called so, or is of this entity and time: give it another label (as), or entity"
            raise RuleError(f"{field}.signals[{i}]", label, reason)
        signals[label] = signal
    if not signals:
        raise RuleError(f"{field}.signals", [], "must have one signal or more")
    sources = {f"{s.domain}.{s.kind}" for s in rule.selectors}
    for name in fields.get("silent", ()):
        if name not in sources:
            raise RuleError(f"{field}.silent", name, f"is none of {', '.join(sorted(sources))}")
    for i, group in enumerate(fields["incidents"]):
        for label in group:
            if label not in signals:
                raise RuleError(f"{field}.incidents[{i}]", label, f"is none of {', '.join(signals)}")
    return Example(fields["name"], signals, fields.get("silent", ()), frozenset(map(frozenset, fields["incidents"])))


def _signal(field: str, value: object, rule: Rule) -> tuple[str, Signal]:
    fields = read_fields(field, value, _SIGNAL)
    if (side := rule.sides.get(fields["is"])) is None:
        raise RuleError(f"{field}.is", fields["is"], f"is none of {', '.join(rule.sides)}")
    selector, label = rule.selectors[side], fields.get("as", fields["is"])
    type_ = fields.get("type", selector.type)
    if type_ not in selector.types:
        raise RuleError(f"{field}.type", type_, f"is none of {', '.join(selector.types)}")
    entity = fields.get("entity", selector.entity.replace("*", label))
    start_ms = NOON_MS + int(fields["minute"] * MINUTE_MS)
    labels = {name: values[0] for name, values in selector.attributes} | fields.get("attributes", {})
    bounds = {bound.measure: max(bound.at_least, min(bound.at_most, 0.0)) for bound in selector.where}
    figures, normal = bounds | fields.get("evidence", {}), fields.get("expected", {})
    return label, Signal(
        id=signal_id(CITY, selector.domain, selector.kind, type_, entity, "example", start_ms),
        city=CITY,
        domain=selector.domain,
        kind=selector.kind,
        type=type_,
        entity_id=entity,
        window="example",
        start_ms=start_ms,
        end_ms=start_ms + int(fields.get("minutes", 5.0) * MINUTE_MS),
        retracted=False,
        severity=fields.get("severity", max(Severity.MODERATE, selector.minimum_severity)),
        score=fields.get("score", max(0.5, selector.minimum_score)),
        evidence=tuple(Evidence(name, value, math.nan, normal.get(name, math.nan)) for name, value in figures.items()),
        revision=1,
        detector_version="1",
        latitude=NORTH + fields.get("north_m", 0.0) / _DEGREE_M,
        longitude=EAST + fields.get("east_m", 0.0) / (_DEGREE_M * math.cos(math.radians(NORTH))),
        attributes=tuple(sorted(labels.items())),
    )


def _numbers(field: str, value: object) -> dict[str, float]:
    return {name: number(f"{field}.{name}", entry) for name, entry in _mapping(field, value).items()}


def _texts(field: str, value: object) -> dict[str, str]:
    return {name: text(f"{field}.{name}", entry) for name, entry in _mapping(field, value).items()}


def _mapping(field: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RuleError(field, value, "must be fields with values")
    return value


def _positive(field: str, value: object) -> float:
    found = number(field, value)
    if not found > 0.0:
        raise RuleError(field, value, "must lie above 0")
    return found


_AS_IT_IS = listed(lambda _, value: value)
_FILE: Table = {"examples": Field(_AS_IT_IS, {}, "The examples.")}
_EXAMPLE: Table = {
    "name": Field(text, {}, "What it shows, as a sentence."),
    "signals": Field(_AS_IT_IS, {}, "The signals."),
    "silent": Field(listed(text), {}, "Sources that say nothing: environment.noise.", needed=False),
    "incidents": Field(listed(listed(text)), {}, "Of every incident the labels of its signals; []: none."),
}
_SIGNAL: Table = {
    "is": Field(text, {}, "The rule's name for it."),
    "as": Field(text, {}, "What the example calls it; as the rule does.", needed=False),
    "type": Field(text, {}, "Detector, where the rule takes several; the first.", needed=False),
    "minute": Field(number, {}, "When its window starts, in minutes after noon."),
    "minutes": Field(_positive, {}, "How long its window is; 5.", needed=False),
    "north_m": Field(number, {}, "Metres to the north; 0.", needed=False),
    "east_m": Field(number, {}, "Metres to the east; 0.", needed=False),
    "entity": Field(text, {}, "Entity id; the label, in the pattern of the rule.", needed=False),
    "score": Field(number, {}, "Score; 0.5, or what the rule asks for.", needed=False),
    "severity": Field(one_of(SEVERITIES), {}, "Severity; moderate, or what the rule asks for.", needed=False),
    "evidence": Field(_numbers, {}, "Figures by measure.", needed=False),
    "expected": Field(_numbers, {}, "What is normal of these figures.", needed=False),
    "attributes": Field(_texts, {}, "Labels of the entity.", needed=False),
}
