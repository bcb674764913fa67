"""Rows in are rows stored, whatever the client's format, compression and number of blocks."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from urllib.parse import quote, urlsplit

import clickhouse_connect
import lz4.frame
import pyarrow
import pytest
import zstandard
from clickhouse_connect.driver.client import Client

from deploy.local.servers import Endpoints

Post = Callable[..., tuple[int, bytes, dict[str, str]]]

ROWS = 300_000
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "lz4": lz4.frame.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


def stored(client: Client) -> tuple[int, int]:
    (row,) = client.query("SELECT count(), sum(id) FROM rows").result_rows
    return int(row[0]), int(row[1])


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_every_block_of_a_native_insert_is_stored(servers: Endpoints, client: Client, compress: str | bool):
    # The client sends a block, and with it a compressed frame, for every few thousand rows.
    url = urlsplit(servers.clickhouse)
    with clickhouse_connect.get_client(
        host=url.hostname or "", port=url.port or 0, database=client.database, compress=compress
    ) as sender:
        columns = [range(ROWS), [f"n{i % 7}" for i in range(ROWS)], [i / 3 for i in range(ROWS)]]
        context = sender.create_insert_context("rows", data=columns, column_oriented=True)
        context.block_row_count = 4096
        summary = sender.insert(context=context)
        assert summary.written_rows == ROWS
        assert stored(sender) == (ROWS, ROWS * (ROWS - 1) // 2)


@pytest.mark.parametrize("encoding", sorted(COMPRESS))
def test_frames_of_one_body_are_all_read(post: Post, client: Client, encoding: str):
    pieces = [
        b"".join(b'{"id":%d,"name":"x","v":1}\n' % i for i in range(start, start + 1000))
        for start in range(0, 9000, 1000)
    ]
    body = b"".join(COMPRESS[encoding](piece) for piece in pieces)
    path = f"/?database={client.database}&query={quote('INSERT INTO rows FORMAT JSONEachRow')}"
    status, text, headers = post(path, body, {"Content-Encoding": encoding})
    assert (status, text) == (200, b"")
    assert json.loads(headers["x-clickhouse-summary"])["written_rows"] == "9000"
    assert stored(client) == (9000, 9000 * 8999 // 2)


@pytest.mark.parametrize("encoding", sorted(COMPRESS))
def test_a_cut_body_stores_nothing_and_says_so(post: Post, client: Client, encoding: str):
    rows = b"".join(b"%d\tx\t%d.5\n" % (i, i * 7919 % 10007) for i in range(5000))
    body = COMPRESS[encoding](rows) + COMPRESS[encoding](rows)[:-9]
    path = f"/?database={client.database}&query={quote('INSERT INTO rows FORMAT TSV')}"
    status, text, headers = post(path, body, {"Content-Encoding": encoding})
    assert status == 400
    assert headers["x-clickhouse-exception-code"] == "271"
    assert b"CANNOT_DECOMPRESS" in text
    assert stored(client) == (0, 0)


def test_an_unknown_encoding_is_refused(post: Post, client: Client):
    path = f"/?database={client.database}&query={quote('INSERT INTO rows FORMAT TSV')}"
    status, _, headers = post(path, b"1\tx\t1\n", {"Content-Encoding": "br"})
    assert (status, headers["x-clickhouse-exception-code"]) == (400, "89")
    assert stored(client) == (0, 0)


def test_a_body_above_the_cap_is_refused_compressed_or_not(post: Post, client: Client):
    # The fixture's servers take 64 MiB.
    path = f"/?database={client.database}&query={quote('INSERT INTO rows FORMAT TSV')}"
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(65 << 20))
    status, _, headers = post(path, bomb, {"Content-Encoding": "zstd"})
    assert (status, headers["x-clickhouse-exception-code"]) == (413, "307")
    status, _, headers = post(path, bytes(65 << 20), {})
    assert (status, headers["x-clickhouse-exception-code"]) == (413, "307")
    assert stored(client) == (0, 0)


def test_arrow_goes_in_and_comes_out(client: Client):
    ids = pyarrow.array(range(50_000), pyarrow.uint64())
    table = pyarrow.table({"id": ids, "name": pyarrow.array(["a", "b"] * 25_000), "v": pyarrow.array([0.5] * 50_000)})
    assert client.insert_arrow("rows", table).written_rows == 50_000
    back = client.query_arrow("SELECT id, v FROM rows ORDER BY id", use_strings=True)
    assert back.column("id").equals(pyarrow.chunked_array([ids]))
    assert back.num_rows == 50_000


def test_data_may_hold_what_looks_like_sql(client: Client):
    names = ["INSERT INTO rows FORMAT CSV\n1", "'; DROP TABLE rows", "-- FORMAT TSV", "a\\'b`c\"d", "FORMAT JSON"]
    client.insert("rows", [[i, name, 0.0] for i, name in enumerate(names)], column_names=["id", "name", "v"])
    assert [row[0] for row in client.query("SELECT name FROM rows ORDER BY id").result_rows] == names
    values = ", ".join(f"({i + 10}, {name!r}, 1)" for i, name in enumerate(["x FORMAT CSV y", "/* FORMAT"]))
    client.command(f"INSERT INTO rows VALUES {values}")
    assert stored(client)[0] == len(names) + 2


def test_a_bad_row_is_an_error_with_its_code(post: Post, client: Client):
    path = f"/?database={client.database}"
    status, text, headers = post(path, b"INSERT INTO rows FORMAT CSV\n1,a,1\nnot-a-number,b,2\n", {})
    assert status == 400
    assert headers["x-clickhouse-exception-code"] in ("27", "72", "117")
    assert text.startswith(b"Code: ")
    assert b"not-a-number" in text
    assert stored(client) == (0, 0)


DEDUPLICATING = "ENGINE = MergeTree ORDER BY id SETTINGS non_replicated_deduplication_window = 100"


def test_the_same_token_stores_once(client: Client):
    client.command(f"CREATE TABLE once (id UInt64) {DEDUPLICATING}")
    for token in ("a", "a", "b"):
        client.insert("once", [[1], [2]], column_names=["id"], settings={"insert_deduplication_token": token})
    assert client.query("SELECT count() FROM once").result_rows == [(4,)]


def test_the_settings_of_an_insert_end_with_it(client: Client):
    client.command(f"CREATE TABLE twice (id UInt64) {DEDUPLICATING}")
    client.insert("twice", [[1]], column_names=["id"], settings={"insert_deduplication_token": "a"})
    client.insert("twice", [[2]], column_names=["id"])
    assert client.query("SELECT count() FROM twice").result_rows == [(2,)]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO rows (id) FORMAT CSV",
        "INSERT INTO rows(id)\nSETTINGS async_insert=1 FORMAT CSV",
        "/* c */ INSERT INTO rows (id) -- FORMAT TSV\nFORMAT CSV",
        "insert into `rows` (`id`) format CSV;",
    ],
)
def test_insert_statements_are_read_as_the_server_reads_them(post: Post, client: Client, statement: str):
    status, text, _ = post(f"/?database={client.database}", statement.encode() + b"\n7\n8\n", {})
    assert (status, text) == (200, b"")
    assert stored(client) == (2, 15)
