"""Waiting for a ClickHouse that is away: what passes by itself is tried again, told once, and shown by a metric."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError, DatabaseError, OperationalError

from services.runtime import metrics

log = structlog.get_logger(__name__)

Result = TypeVar("Result")

# Errors of the server that end by themselves, or when somebody has made room: our query is not at fault.
PASSING_CODES = {
    75: "CANNOT_WRITE_TO_FILE_DESCRIPTOR",  # how a full disk shows where the room was not reserved before
    159: "TIMEOUT_EXCEEDED",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",  # the server stops
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    254: "NO_ACTIVE_REPLICAS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    286: "UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",  # the server stops
    425: "SYSTEM_ERROR",
    439: "CANNOT_SCHEDULE_TASK",
    999: "KEEPER_EXCEPTION",
}
# What stands before ClickHouse answers by a status alone; the client tells it in the text only.
_BARE_STATUS = re.compile(r"HTTP status (\d{3})")
_PASSING_STATUSES = frozenset((408, 429, *range(500, 600)))

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
# A server that is too slow for one request gets twice the time for the next, up to this.
LONGEST_ANSWER_S = 600.0


def passes(error: Exception) -> bool:
    """Whether trying again may help: the server is away or overloaded, the query itself is not at fault."""
    if isinstance(error, DatabaseError) and error.code is not None:
        return error.code in PASSING_CODES
    if isinstance(error, DatabaseError) and (status := _BARE_STATUS.search(str(error))):
        return int(status[1]) in _PASSING_STATUSES
    return isinstance(error, OperationalError | OSError | TimeoutError)


async def keep_trying(
    what: str, attempt: Callable[[], Awaitable[Result]], answer_timeout_s: float, give_up_s: float | None = None
) -> Result:
    """The result of the first attempt that succeeds. Raises what does not pass, or what came after `give_up_s`.

    `what` names it in the log and in the metric. Each attempt may take `answer_timeout_s`, and more from time to time:
    a server that is only slow must be able to come to its end.
    """
    began_s, failures = time.monotonic(), 0
    try:
        while True:
            try:
                async with asyncio.timeout(_answer_time_s(answer_timeout_s, began_s, give_up_s)):
                    result = await attempt()
            except (ClickHouseError, OSError, TimeoutError) as error:
                waited_s = time.monotonic() - began_s
                if not passes(error) or (give_up_s is not None and waited_s >= give_up_s):
                    raise
                if isinstance(error, TimeoutError):
                    answer_timeout_s = min(2 * answer_timeout_s, LONGEST_ANSWER_S)
                failures += 1
                _tell_absence(what, failures, waited_s, error)
                await asyncio.sleep(_pause_s(failures))
            else:
                if failures:
                    log.info(
                        "clickhouse_back", what=what, seconds=round(time.monotonic() - began_s, 1), failed=failures
                    )
                return result
    finally:
        if failures:
            metrics.CLICKHOUSE_UNAVAILABLE_SECONDS.labels(what).set(0)


def _answer_time_s(answer_timeout_s: float, began_s: float, give_up_s: float | None) -> float:
    """Somebody who gives up soon does not wait longer than that for an answer."""
    if give_up_s is None:
        return answer_timeout_s
    return min(answer_timeout_s, max(began_s + give_up_s - time.monotonic(), FIRST_PAUSE_S))


def _pause_s(failures: int) -> float:
    """Twice as long after each failure; spread, so that the workers of a city do not come back all at once."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * (1 << min(failures - 1, 16))) * random.uniform(0.5, 1.0)


def _tell_absence(what: str, failures: int, waited_s: float, error: Exception) -> None:
    metrics.CLICKHOUSE_UNAVAILABLE_SECONDS.labels(what).set(waited_s)
    if failures == 1:
        log.warning("clickhouse_away", what=what, error=str(error) or repr(error))
