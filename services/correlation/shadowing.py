"""What is kept of rules that are only tried: what they would have found, and since when, as rows of two tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa

from services.core.correlation.incident import Incident
from services.core.correlation.rule import Rule
from services.correlation.rules import RuleFile
from services.correlation.wire import IncidentWriter
from services.runtime.records import TIME

SHADOW_TABLE = "correlation.shadow_incidents"
RUNS_TABLE = "correlation.shadow_runs"


class Turn(NamedTuple):
    """What became of a rule that is, or was, only tried."""

    rule: Rule
    what: str  # "began", "promoted", "ended"
    file: str = ""  # that says so


def turns(before: Iterable[Rule], files: Sequence[RuleFile]) -> list[Turn]:
    """What other files mean for rules that are tried; by name and version. `before`: those that were tried so far."""
    known = set(before)
    now = {file.rule: file for file in files}
    found = [Turn(file.rule, "began", file.name) for file in files if file.shadow and file.rule not in known]
    for rule in known:
        file = now.get(rule)
        if file is None:
            found.append(Turn(rule, "ended"))
        elif not file.shadow:
            found.append(Turn(rule, "promoted", file.name))
    return sorted(found, key=lambda turn: (turn.rule.name, turn.rule.version))


def shadow_rows(writer: IncidentWriter, versions: Sequence[Incident]) -> Mapping[str, pa.Table]:
    """Rows of what would have been told: of each incident the newest of these versions."""
    newest = {incident.id: incident for incident in versions}
    return {SHADOW_TABLE: writer.table(list(newest.values()))} if newest else {}


def run_rows(found: Sequence[Turn], event_ms: int | None, offset: int) -> Mapping[str, pa.Table]:
    """Rows of what became of rules before a record of the signal topic; a repetition gives the same rows."""
    if not found:
        return {}
    columns = {
        "rule": pa.array([turn.rule.name for turn in found], pa.string()),
        "rule_version": pa.array([turn.rule.version for turn in found], pa.uint32()),
        "what": pa.array([turn.what for turn in found], pa.string()),
        "time": pa.array([event_ms or 0] * len(found), TIME),
        "log_offset": pa.array([offset] * len(found), pa.uint64()),
        "file": pa.array([turn.file for turn in found], pa.string()),
    }
    return {RUNS_TABLE: pa.table(columns)}
