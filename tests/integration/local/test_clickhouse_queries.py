"""Queries over HTTP: results, errors with their codes, sessions, cancelling, several clients at once."""

from __future__ import annotations

import http.client
import json
import threading
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlsplit

import clickhouse_connect
import lz4.frame
import pytest
import zstandard
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, StreamFailureError
from clickhouse_connect.driver.external import ExternalData

from deploy.local.servers import Endpoints

Post = Callable[..., tuple[int, bytes, dict[str, str]]]


def connect(servers: Endpoints, **more: object) -> Client:
    url = urlsplit(servers.clickhouse)
    return clickhouse_connect.get_client(host=url.hostname or "", port=url.port or 0, **more)  # type: ignore[arg-type]


def test_ping_and_the_empty_request(post: Post):
    for path in ("/ping", "/"):
        assert post(path, method="GET")[:2] == (200, b"Ok.\n")
    assert post("/nowhere", method="GET")[0] == 404


@pytest.mark.parametrize(
    ("sql", "code", "status"),
    [
        ("SELEC 1", 62, 400),
        ("SELECT * FROM no_such_table", 60, 404),
        ("SELECT * FROM no_such_database.t", 81, 404),
        ("SELECT no_such_function(1)", 46, 404),
        ("SELECT throwIf(1)", 395, 400),
        ("SELECT 1; SELECT 2", 62, 400),
        ("SELECT 1 INTO OUTFILE 'file'", 62, 400),
        ("SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_execution_time = 0.1, max_block_size = 1", 159, 408),
    ],
)
def test_errors_carry_code_and_status(post: Post, sql: str, code: int, status: int):
    got, text, headers = post("/", sql.encode())
    assert (got, headers["x-clickhouse-exception-code"]) == (status, str(code))
    assert text.startswith(f"Code: {code}. DB::Exception: ".encode())


def test_an_unknown_setting_is_refused(post: Post):
    assert post("/?no_such_setting=1", b"SELECT 1")[2]["x-clickhouse-exception-code"] == "115"
    assert post("/?a%20b=1", b"SELECT 1")[2]["x-clickhouse-exception-code"] == "115"


def test_only_the_default_user_exists(post: Post):
    assert post("/?user=default", b"SELECT 1")[:2] == (200, b"1\n")
    for path, headers in [
        ("/?user=eve", {}),
        ("/?user=default&password=x", {}),
        ("/", {"X-ClickHouse-User": "eve"}),
        ("/", {"Authorization": "Basic ZXZlOg=="}),
        ("/", {"Authorization": "Bearer x"}),
    ]:
        status, _, answer = post(path, b"SELECT 1", headers)
        assert (status, answer["x-clickhouse-exception-code"]) == (403, "516")


@pytest.mark.parametrize("session", ["", "&session_id=readonly-test"])
def test_get_does_not_write(post: Post, client: Client, session: str):
    for sql in ("INSERT INTO rows VALUES (1, 'a', 1)", "DROP TABLE rows", "INSERT INTO rows FORMAT TSV 1\ta\t1"):
        path = f"/?database={client.database}&query={quote(sql)}{session}"
        assert post(path, method="GET")[2]["x-clickhouse-exception-code"] == "164"
    assert (
        post(f"/?database={client.database}&query=SELECT%20count()%20FROM%20rows{session}", method="GET")[1] == b"0\n"
    )


@pytest.mark.parametrize("name", ["Native", "TabSeparated", "CSV", "JSONEachRow", "RowBinary", "JSON", "Parquet"])
def test_a_streamed_result_is_the_whole_result(post: Post, name: str):
    sql = "SELECT sum(id), count() FROM (SELECT number AS id FROM numbers(1000000))"
    assert post("/", sql.encode())[1] == b"499999500000\t1000000\n"
    whole = post("/?wait_end_of_query=1", f"SELECT number, 'x' FROM numbers(300000) FORMAT {name}".encode())[1]
    pieces = post(f"/?default_format={name}", b"SELECT number, 'x' FROM numbers(300000)")[1]
    if name == "JSON":  # holds its own time
        assert json.loads(whole)["data"] == json.loads(pieces)["data"]
    else:
        assert len(whole) == len(pieces)
        assert name == "Parquet" or whole == pieces


def test_totals_and_extremes_are_not_lost(post: Post):
    sql = b"SELECT number % 2 AS k, count() FROM numbers(10) GROUP BY k WITH TOTALS ORDER BY k"
    assert post("/", sql)[1] == b"0\t5\n1\t5\n\n0\t10\n"
    assert post("/?extremes=1", b"SELECT number FROM numbers(3)")[1] == b"0\n1\n2\n\n0\n2\n"


@pytest.mark.parametrize("encoding", ["gzip", "lz4", "zstd", ""])
def test_results_are_compressed_as_asked(post: Post, encoding: str):
    sql = b"SELECT number FROM numbers(500000)"
    _, body, headers = post("/?enable_http_compression=1", sql, {"Accept-Encoding": encoding})
    assert headers.get("content-encoding", "") == encoding
    plain: dict[str, Callable[[bytes], bytes]] = {
        "gzip": lambda data: zlib.decompress(data, 31),
        "lz4": lz4.frame.decompress,
        "zstd": lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data),
        "": bytes,
    }
    assert plain[encoding](body) == b"".join(b"%d\n" % number for number in range(500_000))


def test_an_empty_result_is_empty_and_not_compressed(post: Post):
    _, body, headers = post("/", b"SELECT 1 WHERE 0", {"Accept-Encoding": "gzip"})
    assert body == b""
    assert "content-encoding" not in headers


@pytest.mark.parametrize("compress", [False, "lz4", "zstd", "gzip"])
def test_an_error_within_a_stream_reaches_the_client(servers: Endpoints, compress: str | bool):
    with connect(servers, compress=compress) as client:
        sql = "SELECT number, throwIf(number = 5000000, 'late') FROM numbers(10000000)"
        read: list[int] = []
        with client.query_row_block_stream(sql) as stream, pytest.raises(StreamFailureError, match="late"):
            read.extend(len(block) for block in stream)
        assert 0 < sum(read) <= 5_000_000
        assert client.query("SELECT 1").result_rows == [(1,)]


def test_parameters_and_settings_of_a_query(client: Client):
    answer = client.query(
        "SELECT {a:UInt8} + 1, {s:String}, getSetting('max_threads')",
        parameters={"a": 41, "s": "it's\t\\ {x}"},
        settings={"max_threads": 1},
    )
    assert answer.result_rows == [(42, "it's\t\\ {x}", 1)]
    assert client.query("SELECT getSetting('max_threads') > 1 OR value LIKE 'auto%' FROM system.settings "
                        "WHERE name = 'max_threads'").result_rows == [(1,)]  # fmt: skip


def test_a_session_keeps_tables_settings_and_database(servers: Endpoints, client: Client):
    with connect(servers, session_id="keeps") as kept:
        kept.command("CREATE TEMPORARY TABLE mine (a UInt8)")
        kept.insert("mine", [[1], [2]], column_names=["a"])
        kept.command("SET max_threads = 1")
        kept.command(f"USE {client.database}")
        kept.query("SELECT 1", settings={"max_threads": 2})
        answer = kept.query("SELECT sum(a), getSetting('max_threads'), currentDatabase() FROM mine")
        assert answer.result_rows == [(3, 1, client.database)]
    with connect(servers, session_id="other") as other, pytest.raises(DatabaseError, match="UNKNOWN_TABLE"):
        other.query("SELECT * FROM mine")


def test_a_busy_session_refuses_a_second_query(servers: Endpoints, post: Post):
    begun = threading.Event()

    def occupy() -> int:
        begun.set()
        sql = b"SELECT sleepEachRow(0.1) FROM numbers(15) SETTINGS max_block_size = 1"
        return post("/?session_id=busy", sql)[0]

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(occupy)
        begun.wait()
        answers = []
        while not first.done():
            answers.append(post("/?session_id=busy", b"SELECT 1"))
        assert first.result() == 200
    assert any(headers.get("x-clickhouse-exception-code") == "373" for _, _, headers in answers)
    assert post("/?session_id=busy", b"SELECT 1")[:2] == (200, b"1\n")


def test_session_check_and_close(post: Post):
    assert post("/?session_id=new&session_check=1", b"SELECT 1")[2]["x-clickhouse-exception-code"] == "372"
    post("/?session_id=new", b"CREATE TEMPORARY TABLE t (a UInt8)")
    assert post("/?session_id=new&session_check=1&close_session=1", b"SELECT count() FROM t")[1] == b"0\n"
    assert post("/?session_id=new&session_check=1", b"SELECT 1")[2]["x-clickhouse-exception-code"] == "372"


def test_many_clients_write_and_read_at_once(servers: Endpoints, client: Client):
    def work(number: int) -> int:
        with connect(servers, database=client.database) as mine:
            for batch in range(5):
                ids = [number * 1000 + batch * 100 + i for i in range(100)]
                mine.insert("rows", [[i, "x", 0.0] for i in ids], column_names=["id", "name", "v"])
            return int(mine.query(f"SELECT count() FROM rows WHERE intDiv(id, 1000) = {number}").result_rows[0][0])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == [500] * 8


def test_a_long_read_does_not_hold_up_others(servers: Endpoints, post: Post):
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(post, "/", b"SELECT sum(sleepEachRow(0.1)) FROM numbers(15) SETTINGS max_block_size = 1")
        answered = 0
        while not long.done():
            assert post("/", b"SELECT 1")[1] == b"1\n"
            answered += 1
        assert long.result()[0] == 200
    assert answered > 1


@pytest.mark.parametrize("sql", [
    "SELECT sum(sleepEachRow(0.1)) FROM numbers(3000) SETTINGS max_block_size = 1",
    "SELECT number, sleepEachRow(0.1) FROM numbers(3000) SETTINGS max_block_size = 1",
])  # fmt: skip
def test_a_read_ends_when_its_client_leaves(servers: Endpoints, post: Post, sql: str):
    url = urlsplit(servers.clickhouse)
    mark = f"leaves-{zlib.crc32(sql.encode())}"
    running = f"SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{mark}'".encode()
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    connection.request("POST", f"/?query_id={mark}", sql)
    _wait(lambda: post("/", running)[1] == b"1\n")
    assert post(f"/?query_id={mark}", b"SELECT 1")[2]["x-clickhouse-exception-code"] == "216"
    connection.close()
    _wait(lambda: post("/", running)[1] == b"0\n")


def test_an_insert_goes_on_when_its_client_leaves(servers: Endpoints, post: Post, client: Client):
    url = urlsplit(servers.clickhouse)
    sql = "INSERT INTO rows SELECT number, 'x', sleepEachRow(0.1) FROM numbers(10) SETTINGS max_block_size = 1"
    running = f"SELECT count() FROM system.processes WHERE Settings['log_comment'] = '{client.database}'".encode()
    connection = http.client.HTTPConnection(url.hostname or "", url.port)
    connection.request("POST", f"/?query_id={client.database}&database={client.database}", sql)
    _wait(lambda: post("/", running)[1] == b"1\n")
    connection.close()
    _wait(lambda: post("/", running)[1] == b"0\n")
    assert client.query("SELECT count() FROM rows").result_rows == [(10,)]


def test_a_table_sent_along_with_a_query(client: Client):
    external = ExternalData(file_name="points", fmt="CSV", structure="id UInt32, name String", data=b"1,a\n2,b\n")
    for _ in range(2):
        answer = client.query("SELECT sum(id), max(name) FROM points", external_data=external)
        assert answer.result_rows == [(3, "b")]


def test_queries_are_logged_under_their_id(post: Post):
    post("/?query_id=find-me", b"SELECT 12345")
    post("/", b"SYSTEM FLUSH LOGS")
    found = (
        b"SELECT count() > 0 FROM system.query_log WHERE Settings['log_comment'] = 'find-me' AND query LIKE '%12345%'"
    )
    assert post("/", found)[1] == b"1\n"


async def test_the_asynchronous_client_works(servers: Endpoints):
    url = urlsplit(servers.clickhouse)
    client = await clickhouse_connect.get_async_client(host=url.hostname or "", port=url.port or 0)
    try:
        answer = await client.query("SELECT number FROM numbers(100000)")
        assert len(answer.result_rows) == 100_000
    finally:
        await client.close()


def _wait(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)
