"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]], left: Collection[int] = (0,)) -> str:
    """A table; the columns in `left` stand to the left, all others, as they are numbers, to the right."""
    marks = "|".join("---" if column in left else "---:" for column in range(len(head)))
    return "\n".join([f"| {' | '.join(head)} |", f"|{marks}|", *(f"| {' | '.join(row)} |" for row in rows)])
