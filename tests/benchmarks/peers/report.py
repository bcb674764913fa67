"""The table of the comparison, as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

OURS = "urban-brain"


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> str:
    """Engine by encoding: observations per CPU-second, wall time, correct or not, and how ours compares."""
    lines = [
        "| records | engine | sink | observations | per CPU-second | range | steady | wall, s | RSS, MB | correct"
        " | ours : this |",
        "|---|---|---|---:|---:|---|---:|---:|---:|---|---:|",
    ]
    best = {row["encoding"]: row["observations_per_cpu_s"] for row in rows if row["engine"] == OURS and row["correct"]}
    for row in rows:
        ours = best.get(row["encoding"])
        ratio = ""
        if ours and row["engine"] != OURS and row["correct"] and row["observations_per_cpu_s"]:
            ratio = f"{ours / row['observations_per_cpu_s']:.1f}"
        steady = row["steady_observations_per_cpu_s"]
        low, high = row["range"]
        lines.append(
            f"| {row['encoding']} | {row['engine']} | {row['sink']} | {row['observations']:,}"
            f" | {row['observations_per_cpu_s']:,} | {low:,} to {high:,} | {steady or 0:,} | {row['wall_s']}"
            f" | {row['peak_rss_mb']} | {'yes' if row['correct'] else 'no: ' + '; '.join(row['troubles'])} | {ratio} |"
        )
    return "\n".join(lines)
