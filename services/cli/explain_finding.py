"""Puts findings into words for people."""

from __future__ import annotations

from typing import Any

from services.cli.explain import SHOWN_SIGNALS, enum_name, indented, moment, number, part, signal_line


def finding_line(finding: Any) -> str:
    """One finding: when, its state, its sentence, how likely it is by chance."""
    return (
        f"{moment(finding.start_time)} finding, {enum_name(finding, 'state')}: {finding.title}"
        f" [p {number(finding.p_value)}, {finding.signal_count:,} signals, revision {finding.revision}, {finding.id}]"
    )


def explain_finding(finding: Any, everything: bool = False) -> str:
    """The whole of a finding: what was counted, how likely it is by chance, the signals, the query."""
    tries = finding.method.replicates
    beaten = max(0, round(finding.p_value * (tries + 1)) - 1)
    lines = [
        finding.title,
        f"  finding      {finding.id}, revision {finding.revision}: no rule asked for it, and it is no incident",
        f"  state        {enum_name(finding, 'state')}, found by the scans from"
        f" {moment(finding.first_found_time)} to {moment(finding.last_found_time)} UTC",
        f"  method       {finding.method.name} version {finding.method.version}: p {number(finding.p_value)},"
        f" {beaten} of {tries} tries by chance were as clear anywhere in the city",
        f"  counted      {finding.observed} where {number(finding.expected)} were to be expected,"
        f" log likelihood ratio {number(finding.log_likelihood_ratio)}",
        f"  time         {moment(finding.start_time)} to {moment(finding.end_time)} UTC",
        f"  place        {finding.position.latitude:.5f}, {finding.position.longitude:.5f},"
        f" within {number(finding.radius_m)} m of it",
    ]
    if finding.explained_by:
        lines.append(f"  explained by {', '.join(finding.explained_by)}")
    begun = set(finding.case_ids)
    told = [f"{'begins ' if signal.id in begun else 'goes on'} {signal_line(signal)}" for signal in finding.signals]
    lines += part("signals", finding.signal_count, told, None if everything else SHOWN_SIGNALS)
    return "\n".join([*lines, "", "the windows behind it (urban sql)", *indented(finding.query.splitlines())])
