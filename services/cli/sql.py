"""`urban sql`: any ClickHouse query against the running city."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from typing import Annotated

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.output import RootOption, fail
from services.runtime.clickhouse_address import client_address


class Format(StrEnum):
    """How rows are printed."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"


_CLICKHOUSE_FORMATS = {Format.TABLE: "PrettyCompactMonoBlock", Format.JSON: "JSONEachRow", Format.CSV: "CSVWithNames"}


def sql(
    query: Annotated[str, typer.Argument(help="One statement; views for reading: urban.v_*. '-' reads it from stdin.")],
    format: Annotated[Format, typer.Option("--format", help="Form of the rows.")] = Format.TABLE,
    root: RootOption = None,
) -> None:
    """Run one ClickHouse statement and print its rows."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    text = (sys.stdin.read() if query == "-" else query).strip().rstrip(";")
    try:
        addresses = find_addresses(root)
        with clickhouse_connect.get_client(**client_address(addresses.clickhouse), compress=False) as client:
            if text[:6].lower() == "insert":
                # What gives no rows takes no format.
                client.command(text)
                return
            rows = client.raw_query(text, fmt=_CLICKHOUSE_FORMATS[format])
    except NothingRunsError as error:
        fail(str(error))
    except ClickHouseError as error:
        fail(in_clickhouse_words(str(error)))
    sys.stdout.buffer.write(in_array(rows) if format is Format.JSON else rows)
    sys.stdout.buffer.flush()


def in_array(lines: bytes) -> bytes:
    """Lines of JSON as one JSON array; ClickHouse's own setting for it would reach into functions of the query too."""
    return b"[" + b",\n".join(lines.splitlines()) + b"]\n"


def in_clickhouse_words(text: str) -> str:
    """ClickHouse's own message, without what the client library writes around it."""
    return re.sub(r"^.*?server response: |\s*\(for url [^)]*\)\s*$", "", text, flags=re.DOTALL)
