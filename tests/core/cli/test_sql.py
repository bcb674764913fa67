"""Rows of a query as a JSON array, and ClickHouse's errors in its own words."""

from __future__ import annotations

import json

from services.cli.sql import in_array, in_clickhouse_words


def test_rows_become_one_array():
    assert json.loads(in_array(b'{"a":1}\n{"a":"x\\ny"}\n')) == [{"a": 1}, {"a": "x\ny"}]
    assert json.loads(in_array(b"")) == []


def test_only_clickhouses_own_words_are_told():
    told = (
        "Received ClickHouse exception, code: 60, server response: Code: 60. DB::Exception: Unknown table 'x'. "
        "(UNKNOWN_TABLE) (for url http://127.0.0.1:8123)"
    )
    assert in_clickhouse_words(told) == "Code: 60. DB::Exception: Unknown table 'x'. (UNKNOWN_TABLE)"
    assert in_clickhouse_words("connection refused") == "connection refused"
