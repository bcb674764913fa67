"""The figures of a quality run as tables for people, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_RULES = (
    "rule",
    "planted",
    "recall",
    "precision",
    "false / city-week",
    "to detect s: median / p95",
    "after last signal s",
    "in its windows",
)
_WAYS = ("way", "incidents", "share found", "false", "false / detector-hour", "mean s to detect")
_DETECTORS = ("detector", "expected", "share found", "false", "false / detector-hour", "mean s to detect")


def table_of(document: Mapping[str, Any]) -> str:
    """Rules, then detectors, then what was missed and what was false."""
    rules = [
        (
            one["rule"],
            one["planted"],
            _number(one["recall"]),
            _number(one["precision"]),
            _number(one["false_per_city_week"]),
            _spread(one["seconds_to_detect"]),
            _spread(one["seconds_after_the_last_needed_signal"]),
            _spread(one["windows_after_the_last_needed_signal"]),
        )
        for one in document["rules"]
    ]
    in_all = document["in_all"]
    rules.append(
        (
            "**all**",
            in_all["planted"],
            _number(in_all["recall"]),
            _number(in_all["precision"]),
            _number(in_all["false_per_city_week"]),
            "",
            "",
            _spread(in_all["windows_after_the_last_needed_signal"]),
        )
    )
    detectors = [
        (
            one["detector"],
            one["expected"],
            _number(one["detection_rate"]),
            one["false"],
            "-" if one["false_per_detector_hour"] is None else f"{one['false_per_detector_hour']:.2g}",
            _number(one["mean_seconds_to_detect"]),
        )
        for one in document["detectors"]
    ]
    parts = [_table(_RULES, rules), _table(_DETECTORS, detectors)]
    if without := document["planted_without_a_rule"]:
        parts.append(f"Planted, and there is no rule of the name: {', '.join(without)}.")
    if lacking := document["rules_without_truth"]:
        parts.append(f"Rules of which nothing was planted: {', '.join(lacking)}.")
    false = [
        f"- {one['rule']}: {times} × {about}"
        for one in document["rules"]
        for about, times in one["false_about"].items()
    ]
    missed = [f"- {line}" for one in document["rules"] for line in one["missed"]]
    parts += ["False incidents are about:\n" + "\n".join(false)] if false else []
    parts += ["Missed:\n" + "\n".join(missed)] if missed else []
    if "motorway" in document:
        parts.append(_motorway(document["motorway"]))
    return "\n\n".join(parts)


def _motorway(told: Mapping[str, Any]) -> str:
    """Three ways side by side on SUMO's roads, or why they are not there."""
    if "ways" not in told:
        return f"**Not run: the motorway of SUMO.** {told['left_out']}"
    rows = [
        (
            one["way"],
            one["incidents"],
            _number(one["detection_rate"]),
            one["false"],
            "-" if one["false_per_detector_hour"] is None else f"{one['false_per_detector_hour']:.2g}",
            _number(one["mean_seconds_to_detect"]),
        )
        for one in told["ways"]
    ]
    return _table(_WAYS, rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _spread(value: Mapping[str, float] | None) -> str:
    return "-" if value is None else f"{value['median']:g} / {value['p95']:g}"
