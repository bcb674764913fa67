"""Parts of pages that programs write: what stands between `<!-- name:begin -->` and `<!-- name:end -->`."""

from __future__ import annotations

from pathlib import Path


def read_part(page: Path, name: str) -> str:
    """What stands between the marks, without empty lines around it. ValueError: the page does not have them once."""
    return _split(page, name)[1].strip()


def write_part(page: Path, name: str, text: str) -> None:
    """Put a text between the marks, in the place of what is there. ValueError: the page does not have them once."""
    before, _, after = _split(page, name)
    page.write_text(f"{before}\n\n{text.strip()}\n\n{after}", encoding="utf-8")


def _split(page: Path, name: str) -> tuple[str, str, str]:
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"{page.name}: {begin} and {end} must stand there once each, in this order")
    before, _, rest = text.partition(begin)
    inner, _, after = rest.partition(end)
    return before + begin, inner, end + after
