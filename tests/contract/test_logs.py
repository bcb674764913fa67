"""What a library repeats is told seldom, and how often; what we say is always told."""

from __future__ import annotations

import logging

from services.runtime import logs
from services.runtime.logs import SeldomTheSame


def record(name: str, text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, "", 0, text, values, None)


def test_a_library_is_heard_once_in_a_while_and_with_what_was_left_out():
    now = 1000.0
    seldom = SeldomTheSame(10.0, lambda: now)
    assert seldom.filter(record("aiokafka.client", "no connection to %s", 1))
    assert not seldom.filter(record("aiokafka.client", "no connection to %s", 2))
    assert seldom.filter(record("aiokafka.client", "something else"))
    assert seldom.filter(record("aiokafka.conn", "no connection to %s", 1))
    now += 9
    assert not seldom.filter(record("aiokafka.client", "no connection to %s", 3))
    now += 1
    again = record("aiokafka.client", "no connection to %s", 3)
    assert seldom.filter(again)
    assert again.getMessage() == "no connection to 3 [2 times more since this was told last]"
    now += 10
    last = record("aiokafka.client", "no connection to %s", 3)
    assert seldom.filter(last)
    assert last.getMessage() == "no connection to 3"


def test_what_we_say_is_always_told():
    seldom = SeldomTheSame()
    assert all(seldom.filter(record("services.runtime.lane", "again")) for _ in range(3))


def test_its_memory_is_bounded():
    seldom = SeldomTheSame()
    for number in range(3 * logs.LONGEST_MEMORY):
        seldom.filter(record("noisy", f"{number}"))
    assert len(seldom._told) <= logs.LONGEST_MEMORY
