"""The figures of a run as tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks.tables import markdown

HERE = Path(__file__).parent
JSON_FILE = HERE.parent / "all_kinds.json"
PAGE = HERE / "README.md"
MARK = "all_kinds"


def as_markdown(document: Mapping[str, Any]) -> str:
    """Both tables, and the ratio that they are about."""
    machine, whole = document["machine"], document["at_once"]
    opening = (
        f"{machine['cores']} cores ({machine['architecture']}) shared by processors, broker, engine and harness; Python"
        f" {machine['python']}; {document['rounds']} rounds, medians; load average at the end"
        f" {document['load_average']}.\n\n**All kinds at once cost {whole['ratio']:.2f} times the plain windows of the"
        f" same observations** ({whole['ns']:,} ns against {whole['plain_ns']:,}; by round:"
        f" {', '.join(f'{ratio:.2f}' for ratio in whole['ratios'])}).{_in_a_city(document['in_a_city'])}"
    )
    kinds = markdown(
        ("kind alone", "observations", "measures", "judges", "windows per observation", "plain, ns", "whole, ns"),
        [
            (
                kind["name"],
                f"{kind['observations']:,}",
                f"{kind['measures']}",
                f"{kind['judges']}",
                f"{kind['windows_per_observation']:.2f}",
                f"{kind['plain_ns']:,}",
                f"{kind['whole_ns']:,}",
            )
            for kind in document["kinds"]
        ],
    )
    domains = markdown(
        ("domain, at once with the others", "kinds", "plain, ns", "ns", "ratio", "signals per window", "memory, MB"),
        [
            (
                domain["name"],
                f"{domain['kinds']}",
                f"{domain['plain_ns']:,}",
                f"{domain['ns']:,}",
                f"{domain['ns'] / domain['plain_ns']:.2f}",
                f"{domain['signals_per_window']:.4f}",
                f"{domain['pss_mb']:,}",
            )
            for domain in document["domains"]
        ],
    )
    return f"{opening}\n\n{kinds}\n\n{domains}"


def _in_a_city(told: Mapping[str, Any]) -> str:
    if told["ratio"] is None:
        return ""
    left_out = f", without {', '.join(told['left_out'])}" if told["left_out"] else ""
    return f" Kinds alone, weighed by what a city reports today{left_out}: whole {told['ratio']:.2f} times plain."
