"""`urban status`: whether every part of a running city is well."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import typer

from services.cli.addresses import Addresses, NothingRunsError, find_addresses
from services.cli.books import Book, read_books
from services.cli.output import JsonOption, RootOption, fail, table
from services.runtime.clickhouse_address import client_address

if TYPE_CHECKING:
    from services.cli.figures import Figures

HEALTH_TIMEOUT_S = 3.0
# Records behind which a processor is not just busy but in trouble.
LAG_BOUND = 10_000


@dataclass(frozen=True)
class ServiceStatus:
    """How one service is."""

    name: str
    health: str  # "serving", "not_serving", or why it does not answer
    watermark: str  # event time that its slowest partition has passed, RFC 3339; empty: none yet
    watermark_age_s: float | None  # against the wall clock; a replay of old days is old
    lag: int | None  # records
    ledger_difference: int  # observations unaccounted for, of all partitions
    archive_difference: int | None  # observations by which the archive differs; None: not known of any partition
    differing: tuple[str, ...] = ()  # the partitions and what is wrong there

    @property
    def troubles(self) -> list[str]:
        found = [] if self.health == "serving" else [f"{self.name}: {self.health}"]
        found += [f"{self.name}: {trouble}" for trouble in self.differing]
        if self.lag is not None and self.lag > LAG_BOUND:
            found.append(f"{self.name}: {self.lag:,} records behind")
        return found


def status(as_json: JsonOption = False, root: RootOption = None) -> None:
    """Say how every service is: health, event time, lag, ledger; exit status 1 if something is wrong."""
    try:
        addresses = find_addresses(root)
        books, clickhouse_trouble = _ledger(addresses.clickhouse)
        found = [_ask(addresses, name, books.get(name, [])) for name in addresses.services]
    except NothingRunsError as error:
        fail(str(error))
    troubles = [*clickhouse_trouble, *(trouble for service in found for trouble in service.troubles)]
    if not found:
        troubles.append("no address of any service is known")
    if as_json:
        print(json.dumps({"services": [asdict(service) for service in found], "troubles": troubles}, indent=1))
    else:
        heads = ("service", "health", "event time passed", "lag", "ledger difference", "archive difference")
        rows = [
            (s.name, s.health, s.watermark or "-", _known(s.lag), s.ledger_difference, _known(s.archive_difference))
            for s in found
        ]
        print(table(heads, rows))
        for trouble in troubles:
            print(f"! {trouble}")
    if troubles:
        raise typer.Exit(1)


def _known(count: int | None) -> int | str:
    return "-" if count is None else count


def _ask(addresses: Addresses, name: str, books: Sequence[Book]) -> ServiceStatus:
    from datetime import UTC, datetime

    from services.cli.figures import age_s, scrape_all

    address = addresses.service(name)
    figures: Figures | None = scrape_all({name: address.metrics}).get(name) if address.metrics else None
    passed_s = figures.watermark_s if figures else 0.0
    return ServiceStatus(
        name=name,
        health=health_of(address.grpc),
        watermark=datetime.fromtimestamp(passed_s, UTC).isoformat() if passed_s else "",
        watermark_age_s=round(age_s(passed_s), 1) if passed_s else None,
        lag=figures.lag if figures else None,
        ledger_difference=sum(abs(book.difference) for book in books),
        archive_difference=sum(known) if (known := _archive_differences(books)) else None,
        differing=tuple(trouble for book in books for trouble in book.troubles),
    )


def _archive_differences(books: Iterable[Book]) -> list[int]:
    return [abs(book.archive_difference) for book in books if book.archive_difference is not None]


def health_of(address: str) -> str:
    """What a service says over gRPC: "serving", "not_serving", or why it does not answer."""
    import grpc
    from grpc_health.v1 import health_pb2, health_pb2_grpc

    from services.runtime.grpc_client import open_channel

    with open_channel(address) as channel:
        try:
            answer = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=HEALTH_TIMEOUT_S
            )
        except grpc.RpcError as error:
            return f"does not answer at {address} ({error.code().name})"
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status).lower())


def _ledger(clickhouse: str) -> tuple[Mapping[str, list[Book]], list[str]]:
    """The books by domain, and what is wrong with ClickHouse itself."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError

    try:
        with clickhouse_connect.get_client(**client_address(clickhouse), autogenerate_session_id=False) as client:
            return read_books(client), []
    except ClickHouseError as error:
        return {}, [f"ClickHouse at {clickhouse}: {str(error).splitlines()[0]}"]
