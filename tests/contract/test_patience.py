"""What is tried again when ClickHouse is away, what is not, and how it is told."""

from __future__ import annotations

import asyncio

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from services.runtime import patience
from services.runtime.patience import PASSING_CODES, keep_trying, passes


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 0.0)


class Server:
    """Answers with these, one after the other; an exception is raised, None hangs for ever."""

    def __init__(self, *answers: object) -> None:
        self._answers = list(answers)
        self.shown: list[float | None] = []

    async def __call__(self) -> object:
        self.shown.append(REGISTRY.get_sample_value("urban_clickhouse_unavailable_seconds", {"what": "t"}))
        answer = self._answers.pop(0)
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("code", sorted(PASSING_CODES))
def test_what_ends_by_itself_passes(code: int):
    assert passes(DatabaseError(f"Code: {code}", code=code))


@pytest.mark.parametrize("code", [16, 47, 60, 117, 164, 192, 497, 516])
def test_what_somebody_has_to_mend_does_not(code: int):
    assert not passes(DatabaseError(f"Code: {code}", code=code))
    assert not passes(OperationalError(f"Code: {code}", code=code))


def test_a_status_without_a_code_is_of_what_stands_before_clickhouse():
    for status in (408, 429, 500, 502, 503, 504):
        assert passes(DatabaseError(f"HTTP driver received HTTP status {status} (for url http://x)"))
    for status in (400, 401, 403, 404):
        assert not passes(DatabaseError(f"HTTP driver received HTTP status {status} (for url http://x)"))
    assert passes(OperationalError("Network Error: Server disconnected"))
    assert passes(ConnectionRefusedError())
    assert passes(TimeoutError())


async def test_it_is_told_once_that_a_server_is_away_and_once_that_it_is_back():
    server = Server(ConnectionRefusedError("refused"), DatabaseError("full", code=243), OperationalError("cut"), "done")
    with capture_logs() as lines:
        assert await keep_trying("t", server, 60.0) == "done"
    assert [(line["event"], line["what"]) for line in lines] == [("clickhouse_away", "t"), ("clickhouse_back", "t")]
    assert lines[0]["error"] == "refused"
    assert lines[1]["failed"] == 3
    assert all(seconds > 0 for seconds in server.shown[2:] if seconds is not None)
    assert REGISTRY.get_sample_value("urban_clickhouse_unavailable_seconds", {"what": "t"}) == 0


async def test_one_that_hangs_is_asked_again_and_gets_more_time():
    assert await keep_trying("t", Server(None, None, "done"), 0.01) == "done"


async def test_what_does_not_pass_is_raised_at_once():
    with pytest.raises(DatabaseError, match="password"):
        await keep_trying("t", Server(OperationalError("away"), DatabaseError("wrong password", code=516)), 60.0)


async def test_who_answers_a_caller_gives_up():
    with pytest.raises(OperationalError, match="away"):
        await keep_trying("t", Server(OperationalError("away")), 60.0, give_up_s=0.0)
    with pytest.raises(TimeoutError):
        await keep_trying("t", Server(*[None] * 20), 60.0, give_up_s=0.05)
