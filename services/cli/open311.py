"""`urban open311`: requests of citizens for others, as an Open311 GeoReport v2 server answers them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.output import DEFAULT_CITY, CityOption, RootOption, fail, say

if TYPE_CHECKING:
    from datetime import datetime

app = typer.Typer(help="Requests of citizens in Open311 GeoReport v2.", no_args_is_help=True)


@app.callback()
def default() -> None:
    """Requests of citizens in Open311 GeoReport v2."""


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write them.")] = Path("requests.json"),
    since: Annotated[str, typer.Option("--from", help="Opened from this time on (90 days before --to).")] = "",
    until: Annotated[str, typer.Option("--to", help="Opened before this time (now): 2024-03-01 or RFC 3339.")] = "",
    radius: Annotated[
        list[str] | None,
        typer.Option(help="Requests of a category that are so near are one cluster: pothole=30, in m."),
    ] = None,
    city: CityOption = DEFAULT_CITY,
    root: RootOption = None,
) -> None:
    """Write the requests of a city as the answer to GET /requests.json, with the clusters that open ones are of.

    Who asked, in which words, and how satisfied somebody was is not in it. `urban replay … --format open311` reads it.
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from services.cli.sql import in_clickhouse_words

    try:
        begin, end = _span(since, until)
        radii = dict(_radius(text) for text in radius or [])
        found = asyncio.run(_read(find_addresses(root).clickhouse, city, begin, end, radii))
        file.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except (NothingRunsError, ValueError, OSError) as error:
        fail(str(error))
    except ClickHouseError as error:
        fail(in_clickhouse_words(str(error)))
    say(f"{len(found):,} requests in {file}")


async def _read(
    address: str, city: str, since: datetime, until: datetime, radius_m: dict[str, float]
) -> list[dict[str, Any]]:
    from services.community.open311_export import documents_of, read_requests
    from services.runtime.clickhouse import ClickHouse

    clickhouse = await ClickHouse.connect(address)
    try:
        return documents_of(await read_requests(clickhouse, city, since, until), radius_m)
    finally:
        await clickhouse.close()


def _span(since: str, until: str) -> tuple[datetime, datetime]:
    from datetime import UTC, datetime, timedelta

    from services.community.open311_export import DEFAULT_DAYS

    end = _moment("--to", until) if until else datetime.now(UTC)
    begin = _moment("--from", since) if since else end - timedelta(days=DEFAULT_DAYS)
    if not begin < end:
        raise ValueError(f"--from {begin.isoformat()} must lie before --to {end.isoformat()}")
    return begin, end


def _moment(option: str, text: str) -> datetime:
    from services.cli.moments import read_utc

    try:
        return read_utc(text)
    except ValueError:
        raise ValueError(f"{option} {text!r} is no time as 2024-03-01 or 2024-03-01T00:00:00+08:00") from None


def _radius(text: str) -> tuple[str, float]:
    category, _, metres = text.rpartition("=")
    try:
        if category:
            return category, float(metres)
    except ValueError:
        pass
    raise ValueError(f"--radius {text!r} is not like pothole=30")
