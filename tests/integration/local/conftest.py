"""ClickHouse clients for the tests of the embedded servers."""

from __future__ import annotations

import http.client
import zlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client

from deploy.local.servers import Endpoints

Answer = tuple[int, bytes, dict[str, str]]


@pytest.fixture
def post(servers: Endpoints) -> Callable[..., Answer]:
    """Sends one plain HTTP request to ClickHouse: (path, body, headers, method) → (status, body, headers)."""
    url = urlsplit(servers.clickhouse)

    def send(path: str, body: bytes = b"", headers: dict[str, str] | None = None, method: str = "POST") -> Answer:
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=60)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
        finally:
            connection.close()

    return send


@pytest.fixture
def client(servers: Endpoints, request: pytest.FixtureRequest) -> Iterator[Client]:
    """A client in a database of the test's own, with the table `rows`."""
    database = f"t_{zlib.crc32(request.node.nodeid.encode()):08x}"
    url = urlsplit(servers.clickhouse)
    with clickhouse_connect.get_client(host=url.hostname or "", port=url.port or 0) as first:
        first.command(f"CREATE DATABASE {database}")
    with clickhouse_connect.get_client(host=url.hostname or "", port=url.port or 0, database=database) as made:
        made.command(
            "CREATE TABLE rows (id UInt64, name LowCardinality(String), v Float64) ENGINE = MergeTree ORDER BY id"
        )
        yield made
        made.command(f"DROP DATABASE {database}")
