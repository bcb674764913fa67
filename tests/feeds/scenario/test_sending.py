"""A scenario arrives whole over gRPC in the services of all domains, once however often it is sent."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from services.cli.domains import find_domains
from services.core.kind import HOUR_MS
from services.core.sources import Sources
from services.feeds.scenario.city import SMALL_BLOCKS, City, build_city
from services.feeds.scenario.delivery import AHEAD_GROUP, clock_errors_ms, steps
from services.feeds.scenario.script import Script
from services.feeds.scenario.sending import ScenarioFeed
from services.runtime.fakes import MemoryLog
from tests.contract.calls import memory_log, observations_in, serving

# 2026-06-02T08:00Z
T0 = 1_780_387_200_000
SCRIPT = Script(T0, T0 + HOUR_MS, ())
URBAN = (sys.executable, "-c", "from services.cli.main import app; app()")


@dataclass
class Served:
    """The api of every domain, over logs in memory."""

    addresses: dict[str, str]
    logs: dict[str, MemoryLog]

    def folded(self) -> int:
        """Observations that partitions take: each by its own sources, as an entity has one partition."""
        by_entity: dict[str, Sources] = {}
        found = 0
        for domain in find_domains():
            for frame in (f for kind in domain.kinds for f in observations_in(self.logs[domain.name], kind.name)):
                sources = by_entity.setdefault(frame.entity_ids[0], Sources())
                found += 0 if sources.repeats(frame.source_id, frame.sequence) else len(frame)
        return found


@asynccontextmanager
async def served() -> AsyncIterator[Served]:
    async with AsyncExitStack() as stack:
        found = Served({}, {})
        for domain in find_domains():
            log = found.logs[domain.name] = memory_log(domain)
            client = await stack.enter_async_context(serving(domain, log, clock="replay"))
            found.addresses[domain.name] = f"127.0.0.1:{client.port}"
        yield found


def expected(city: City) -> tuple[int, int]:
    """Observations of the hour that are taken, and those of the counter whose clock is ahead."""
    ahead = city.groups[AHEAD_GROUP].ids[int(clock_errors_ms(city, city.groups[AHEAD_GROUP]).argmax())]
    total = refused = 0
    for step in steps(city, SCRIPT):
        for _, frame in step.frames:
            total += len(frame)
            refused += [frame.entity_ids[i] for i in frame.entity.tolist()].count(ahead)
    return total - refused, refused


@pytest.mark.timeout(300)
async def test_an_hour_arrives_whole_and_counts_once_however_often_it_is_sent():
    city = build_city(4, SMALL_BLOCKS)
    taken, refused = expected(city)
    async with served() as services:
        feed = ScenarioFeed(city, SCRIPT, services.addresses, None)
        await feed.run()
        assert (feed.accepted, feed.rejected, feed.registered) == (taken, refused, city.sensors)
        assert services.folded() == taken
        # Another process that begins anew says the same again; the city's clock has gone on and never goes back.
        again = ScenarioFeed(city, SCRIPT, services.addresses, None)
        await again.run()
        assert again.accepted == taken + refused  # by now the counter that was ahead is not ahead any more
        assert services.folded() == taken  # and its frame is known


@pytest.mark.timeout(300)
async def test_the_command_sends_a_scenario_and_writes_its_truth(tmp_path):
    truth = tmp_path / "truth.jsonl"
    async with served() as services:
        environment = {
            **os.environ,
            "URBAN_KAFKA": "127.0.0.1:1",
            "URBAN_CLICKHOUSE": "http://127.0.0.1:1",
            "URBAN_SERVICES": json.dumps(services.addresses),
        }
        options = ["--days", "0.42", "--from", "2026-06-02T08:00:00Z", "--only", "tampered_entry", "--blocks", "7"]
        process = await asyncio.create_subprocess_exec(
            *(*URBAN, "scenario", *options, "--truth", str(truth), "--json"),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        told = json.loads(output)
        assert services.folded() == told["accepted"] > 50_000
    found = [json.loads(line) for line in truth.read_text().splitlines()]
    assert {one["what"] for one in found} == {"incident", "near_miss", "decoy"}
    assert len(found) == told["happenings"] == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--days", "0"], "--days 0 must lie between"),
        (["--from", "yesterday"], "--from 'yesterday' is no time"),
        (["--from", "2026-06-01T00:30:00Z"], "must be a whole hour"),
        (["--speed", "fast"], "--speed 'fast' must be a number above 0, or max"),
        (["--only", "earthquake"], "no scene of earthquake"),
    ],
)
def test_an_option_that_cannot_be_is_told(options, text, capsys):
    from services.cli.main import app

    with pytest.raises(SystemExit) as ended:
        app(["scenario", "--blocks", "7", "--days", "0.25", "--only", "street_flooding", *options])
    assert ended.value.code == 1
    assert text in capsys.readouterr().err
