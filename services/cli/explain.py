"""Puts windows, signals and incidents into words for people: plain functions from messages to text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

SHOWN_SIGNALS = 20
SHOWN_LINKS = 20


def moment(timestamp: Any) -> str:
    """A protobuf Timestamp as UTC, to the second."""
    return f"{datetime.fromtimestamp(timestamp.seconds, UTC):%Y-%m-%d %H:%M:%S}"


def enum_name(message: Any, field: str) -> str:
    """The short name of an enum field's value: SIGNAL_STATE_RAISED of `state` -> "raised"."""
    kind = message.DESCRIPTOR.fields_by_name[field].enum_type
    value = kind.values_by_number.get(getattr(message, field))
    if value is None:
        return str(getattr(message, field))
    prefix = "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in kind.name).lstrip("_")
    return str(value.name.removeprefix(f"{prefix}_").lower())


def number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def window_line(window: Any) -> str:
    """One window: when, which, about whom, how many observations, its measures."""
    measures = " ".join(f"{name}={number(value)}" for name, value in sorted(window.measures.items()))
    so_far = " so far" if window.early else ""
    return (
        f"{moment(window.start_time)} {window.kind}/{window.window} {window.entity_id}"
        f" revision {window.revision}{so_far} {measures}"
    )


def evidence_text(evidence: Iterable[Any]) -> str:
    """Each figure with what it was held against: robust_z 8.1 (threshold 5), speed_kmh_mean 9 (normal 27)."""
    parts = []
    for figure in evidence:
        against = [
            f"{word} {number(value)}"
            for word, value in (("threshold", figure.threshold), ("normal", figure.expected))
            if not math.isnan(value)
        ]
        parts.append(f"{figure.measure} {number(figure.value)}" + (f" ({', '.join(against)})" if against else ""))
    return ", ".join(parts)


def signal_line(signal: Any) -> str:
    """One signal: when, what, where, how bad, on which evidence."""
    return (
        f"{moment(signal.start_time)} {signal.domain} {signal.type} {signal.entity_id} ({signal.window})"
        f" {enum_name(signal, 'state')} {enum_name(signal, 'severity')}: {evidence_text(signal.evidence)}"
    )


def incident_line(incident: Any) -> str:
    """One incident: when, its state and severity, its title, how much it stands on."""
    return (
        f"{moment(incident.start_time)} {enum_name(incident, 'state')} {enum_name(incident, 'severity')}"
        f" {incident.title} [{incident.signal_count:,} signals, revision {incident.revision}, {incident.id}]"
    )


def action_line(action: Any) -> str:
    """One thing that somebody did: when, who, what, and what they said."""
    what = action.WhichOneof("action")
    said = [str(value) for _, value in getattr(action, what).ListFields()] if what else []
    return f"{moment(action.time)} {action.actor}: {' '.join([what or 'something', *said])}"


def outcome_line(outcome: Any) -> str:
    """One condition of the rule: what it asks for, whether it is so, what was found against what it was held."""
    said = f"{outcome.condition}: {enum_name(outcome, 'truth').replace('_', ' ')}"
    if math.isnan(outcome.value):
        return said
    bound = f" (bound {number(outcome.bound)})" if math.isfinite(outcome.bound) else ""
    return f"{said}, {number(outcome.value)}{bound}"


def explain(incident: Any, everything: bool = False) -> str:
    """The whole of an incident: what it says, signals, evidence, distances and gaps, rule, query."""
    lines = [
        # Before an incident was explained, its title was all that it said.
        incident.explanation or incident.title,
        f"  incident     {incident.id}, revision {incident.revision}",
        f"  state        {enum_name(incident, 'state')}, {enum_name(incident, 'severity')}",
        f"  rule         {incident.rule.name} version {incident.rule.version}: "
        + ", ".join(f"{bound.name} {number(bound.value)}" for bound in incident.thresholds),
        f"  time         {moment(incident.start_time)} to {moment(incident.end_time)} UTC",
        f"  place        {incident.position.latitude:.5f}, {incident.position.longitude:.5f}, "
        f"signals within {number(incident.extent_m)} m of it",
    ]
    if incident.acknowledged_by:
        lines.append(f"  taken by     {incident.acknowledged_by} at {moment(incident.acknowledge_time)} UTC")
    if incident.assignee:
        lines.append(f"  given to     {incident.assignee}")
    if incident.planned_event:
        lines.append(f"  planned      {incident.planned_event}: nobody is told")
    lines += _muting_lines(incident)
    if incident.merged_into:
        lines.append(f"  merged into  {incident.merged_into}")
    if incident.superseded_by:
        lines.append(f"  replaced by  {incident.superseded_by}")
    if incident.outcomes:
        told = [outcome_line(outcome) for outcome in incident.outcomes]
        lines += part("what its rule asks for", len(told), told, None)
    if incident.actions:
        lines += part("what people did", incident.action_count, [action_line(a) for a in incident.actions], None)
    names = {signal.id: signal.entity_id for signal in incident.signals}
    links = [
        f"{names.get(link.first_signal_id, link.first_signal_id)} and "
        f"{names.get(link.second_signal_id, link.second_signal_id)}: "
        f"{number(link.distance_m)} m and {number(link.gap_s)} s apart"
        for link in incident.links
    ]
    told = [signal_line(signal) for signal in incident.signals]
    lines += part("signals", incident.signal_count, told, None if everything else SHOWN_SIGNALS)
    lines += part("pairs that belong together", incident.link_count, links, None if everything else SHOWN_LINKS)
    return "\n".join([*lines, "", "the windows behind it (urban sql)", *indented(incident.query.splitlines())])


def why_untold(incident: Any) -> str:
    """In a word or two why nobody is told of it; empty: people are."""
    reasons = {
        "planned": incident.planned_event,
        "limited": incident.rate_limited,
        "flapping": incident.flap_count,
        "inhibited": incident.inhibited_by,
    }
    return ", ".join(reason for reason, given in reasons.items() if given)


def _muting_lines(incident: Any) -> list[str]:
    """Why nobody is told of it though it stands, and how many more there were."""
    lines = []
    if incident.rate_limited:
        lines.append("  limited      as many of its rule as are told began before it: nobody is told")
    if incident.surplus_count:
        lines.append(f"  surplus      {incident.surplus_count:,} more of its rule are told to nobody")
    if incident.flap_count:
        since = moment(incident.flapping_since)
        lines.append(f"  flapping     {incident.flap_count:,} like it began since {since} UTC: nobody is told")
    if incident.inhibited_by:
        lines.append(f"  inhibited    by {incident.inhibited_by}: nobody is told")
    return lines


def part(title: str, count: int, lines: list[str], shown: int | None) -> list[str]:
    """A heading and lines below it; `count` is how many there are, of which the incident lists `lines`."""
    kept = lines[:shown]
    more = [f"… and {len(lines) - len(kept)} more (--all)"] if len(kept) < len(lines) else []
    if count > len(lines):
        more.append(f"… and {count - len(lines):,} that the incident does not list")
    return ["", f"{title} ({count:,})", *indented([*kept, *more])]


def indented(lines: Iterable[str]) -> list[str]:
    """Lines that stand below a heading."""
    return [f"  {line}" for line in lines]


def incident_sentence(title: str, severity: str, start: datetime, state: str) -> str:
    """One incident as the tables tell it."""
    return f"{title} ({severity}, {state}, since {start:%Y-%m-%d %H:%M} UTC)"
