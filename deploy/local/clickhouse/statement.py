"""Reads just enough of a SQL text to know how to run it: an insert with data behind it, a read, or anything else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from deploy.local.clickhouse.errors import SYNTAX_ERROR, ClickHouseError

# One lexical element of ClickHouse's SQL at a time; what matters is where literals and comments end.
TOKEN = re.compile(
    rb"""(?P<blank>\s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/)
       | (?P<quoted>'(?:[^'\\]|\\.|'')*' | `(?:[^`\\]|\\.|``)*` | "(?:[^"\\]|\\.|"")*")
       | (?P<word>[A-Za-z_][A-Za-z0-9_$]*)
       | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<semicolon>;) | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
READS = frozenset({b"SELECT", b"WITH", b"FROM"})
HARMLESS = READS | {b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"USE", b"SET"}
# Formats whose pieces simply follow one another; the others have a footer or one frame around everything.
STREAMED = frozenset(
    b"Native RowBinary TabSeparated TSV TabSeparatedRaw TSVRaw CSV JSONEachRow JSONCompactEachRow NDJSON".split()
)


class Kind(Enum):
    """How a statement is run."""

    INSERT_DATA = "insert with data in a format"
    READ = "read"
    OTHER = "other"


@dataclass(frozen=True)
class Statement:
    """What is known of one statement; `data_start` is the offset of the data behind an insert."""

    kind: Kind
    first_word: bytes  # in capitals
    format: str  # of the data of an insert, or asked for by a FORMAT clause at the end; "" when not said
    head_end: int  # where the words FORMAT X of an insert begin
    data_start: int
    streams: bool  # whether its result may leave piece by piece

    @property
    def harmless(self) -> bool:
        """Whether it may run where a request must not write."""
        return self.first_word in HARMLESS


def read_statement(text: bytes, default_format: str) -> Statement:
    """Look at a SQL text (data may follow an insert). Raises `ClickHouseError` where the server's HTTP interface would
    and the engine alone does not: several statements in one request, INTO OUTFILE."""
    first = _first_word(text)
    tokens = _words(text)
    if first == b"INSERT":
        return _read_insert(text, tokens)
    before, named = b"", ""
    totals = in_settings = False
    for start, word, end in tokens:
        if before == b";":
            raise ClickHouseError.of(SYNTAX_ERROR, "SYNTAX_ERROR", "Multi-statements are not allowed.")
        if before == b"INTO" and word == b"OUTFILE":
            raise ClickHouseError.of(SYNTAX_ERROR, "SYNTAX_ERROR", "INTO OUTFILE is not allowed over HTTP.")
        totals |= before == b"WITH" and word == b"TOTALS"
        in_settings |= word == b"SETTINGS"
        if before == b"FORMAT" and word not in (b"", b";"):
            named, in_settings = text[start:end].decode(), False
        elif named and not in_settings and word != b";":
            named = ""  # a column or alias that happens to be called format
        before = word
    kind = Kind.READ if first in READS else Kind.OTHER
    streams = kind is Kind.READ and not totals and (named or default_format).encode() in STREAMED
    return Statement(kind, first, named, len(text), len(text), streams)


def _read_insert(text: bytes, tokens: Iterator[tuple[int, bytes, int]]) -> Statement:
    """An insert ends for us at FORMAT X; with VALUES, SELECT or FROM INFILE first it is the engine's to read."""
    for start, word, _ in tokens:
        if word in (b"VALUES", b"SELECT", b"WITH", b"INFILE"):
            break
        if word == b"FORMAT":
            _, name, end = next(tokens, (0, b"", len(text)))
            if name == b"VALUES":
                break
            found = text[end - len(name) : end].decode()
            return Statement(Kind.INSERT_DATA, b"INSERT", found, start, _data_start(text, end), False)
    return Statement(Kind.OTHER, b"INSERT", "", len(text), len(text), False)


def _data_start(text: bytes, position: int) -> int:
    """Data begin after blanks and at most one line end (or semicolon) behind the format's name, as in the server."""
    while text[position : position + 1] in (b" ", b"\t", b"\f", b";"):
        position += 1
    if text[position : position + 1] == b"\r":
        position += 1
    if text[position : position + 1] == b"\n":
        position += 1
    return position


def _first_word(text: bytes) -> bytes:
    """In capitals, within brackets too: (SELECT 1) UNION ALL (SELECT 2)."""
    position = 0
    while (match := TOKEN.match(text, position)) is not None:
        if match.lastgroup == "word":
            return match[0].upper()
        if match.lastgroup not in ("blank", "open"):
            break
        position = match.end()
    return b""


def _words(text: bytes) -> Iterator[tuple[int, bytes, int]]:
    """(start, word in capitals, end) of words and semicolons outside brackets; other elements yield an empty word."""
    depth = position = 0
    while (match := TOKEN.match(text, position)) is not None:
        start, position = position, match.end()
        name = match.lastgroup
        depth += (name == "open") - (name == "close")
        if name == "blank" or depth > 0:
            continue
        yield start, match[0].upper() if name in ("word", "semicolon") else b"", position
