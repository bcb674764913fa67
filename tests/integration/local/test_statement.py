"""What is read out of a SQL text before the engine sees it."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local.clickhouse.errors import ClickHouseError
from deploy.local.clickhouse.statement import Kind, read_statement


@pytest.mark.parametrize(
    ("text", "format", "data"),
    [
        (b"INSERT INTO t FORMAT Native\n\x00\x01", "Native", b"\x00\x01"),
        (b"INSERT INTO t FORMAT CSV 1,2", "CSV", b"1,2"),
        (b"INSERT INTO t FORMAT CSV", "CSV", b""),
        (b"INSERT INTO t FORMAT CSV;\r\n1", "CSV", b"1"),
        (b"INSERT INTO t FORMAT TSV\n\n1", "TSV", b"\n1"),
        (b"insert into t(a, `FORMAT x`) format JSONEachRow\n{}", "JSONEachRow", b"{}"),
        (b"INSERT INTO FUNCTION file('x FORMAT y', 'CSV') FORMAT TSV\n1", "TSV", b"1"),
        (b"-- FORMAT CSV\nINSERT /* FORMAT CSV */ INTO t SETTINGS a='FORMAT CSV' FORMAT TSV\n1", "TSV", b"1"),
        (b"INSERT INTO t FORMAT RowBinary\n INSERT INTO x FORMAT CSV\n", "RowBinary", b" INSERT INTO x FORMAT CSV\n"),
    ],
)
def test_data_behind_an_insert_begin_where_the_server_has_them_begin(text: bytes, format: str, data: bytes):
    found = read_statement(text, "TSV")
    assert (found.kind, found.format, text[found.data_start :]) == (Kind.INSERT_DATA, format, data)
    assert text[found.head_end :].upper().startswith(b"FORMAT")


@pytest.mark.parametrize(
    "text",
    [
        b"INSERT INTO t VALUES (1, ' FORMAT CSV ')",
        b"INSERT INTO t SELECT 1 FORMAT CSV",
        b"INSERT INTO t (a) WITH 1 AS x SELECT x",
        b"INSERT INTO t FROM INFILE 'f' FORMAT CSV",
        b"INSERT INTO t FORMAT Values (1); (2)",
    ],
)
def test_other_inserts_are_left_to_the_engine(text: bytes):
    assert read_statement(text, "TSV").kind is Kind.OTHER


@pytest.mark.parametrize(
    ("text", "format", "streams"),
    [
        (b"SELECT 1", "", True),
        (b"SELECT 1;", "", True),
        (b"(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV", "CSV", True),
        (b"WITH 1 AS x SELECT x FORMAT JSON", "JSON", False),
        (b"SELECT 1 FORMAT Native SETTINGS max_threads = 1", "Native", True),
        (b"SELECT format FROM t", "", True),
        (b"SELECT format('{}', a) b FROM t", "", True),
        (b"SELECT 'FORMAT CSV' -- FORMAT JSON", "", True),
        (b"SELECT a FROM t GROUP BY a WITH TOTALS", "", False),
        (b"SHOW TABLES", "", False),
        (b"", "", False),
    ],
)
def test_reads_and_their_format(text: bytes, format: str, streams: bool):
    found = read_statement(text, "TabSeparated")
    assert (found.format, found.streams) == (format, streams)


@pytest.mark.parametrize("text", [b"SELECT 1; SELECT 2", b"SELECT 1 INTO OUTFILE 'x'", b"DROP TABLE a; DROP TABLE b;"])
def test_what_the_server_refuses_over_http_is_refused(text: bytes):
    with pytest.raises(ClickHouseError, match="Code: 62"):
        read_statement(text, "TSV")


@given(st.binary(max_size=200))
def test_data_are_never_looked_at(data: bytes):
    text = b"INSERT INTO t (a) FORMAT RowBinary\n" + data
    assert text[read_statement(text, "TSV").data_start :] == data


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text: bytes):
    with contextlib.suppress(ClickHouseError):
        found = read_statement(text, "TSV")
        assert 0 <= found.head_end <= found.data_start <= len(text)
