"""How commands speak: results on standard output, everything else on standard error, failures in one plain line."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer

DEFAULT_CITY = "auckland"

RootOption = Annotated[
    Path | None,
    typer.Option("--root", envvar="URBAN_ROOT", help="Folder of the city's data.", show_default="nearest .urban"),
]
CityOption = Annotated[str, typer.Option("--city", envvar="URBAN_CITY", help="City, as in cities/{city}.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def fail(message: str) -> NoReturn:
    """Say why on standard error and end with exit status 1."""
    say(f"urban: {message}")
    raise typer.Exit(1)


def say(message: str) -> None:
    """One line to standard error, where it does not mix with results."""
    print(message, file=sys.stderr, flush=True)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Rows in aligned columns of plain text; numbers to the right."""
    rows = [list(row) for row in rows]
    texts = [list(heads), *([_text(cell) for cell in row] for row in rows)]
    widths = [max(len(line[i]) for line in texts) for i in range(len(heads))]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(heads))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in texts
    )


def _text(cell: object) -> str:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    return f"{cell:,.2f}" if isinstance(cell, float) else str(cell)
