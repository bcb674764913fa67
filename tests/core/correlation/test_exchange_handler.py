"""The exchange of two cities over logs in memory: what crosses, restarts anywhere, loops, bad reports, third cities."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from aiokafka.structs import ConsumerRecord

from services.core.correlation.incident import IncidentState
from services.core.exchange import Report, SharedIncident
from services.core.signals import Signal
from services.correlation.exchange_handler import ExchangeHandler, ExchangeSetup
from services.correlation.exchange_idle import IdleHandler
from services.correlation.exchange_wire import Told, read_report, read_shared, report_message, report_record
from services.correlation.intake import BadRecordError
from services.correlation.neighbours import Neighbour, Neighbours
from services.runtime.catalogue import EXCHANGE, INCIDENTS, NEIGHBOUR_REPORTS, SHARED_INCIDENTS
from services.runtime.fakes import MemoryLog
from services.runtime.log import LogReader
from services.runtime.outbox import Outbox
from services.runtime.records import signal_message
from tests.core.correlation.city import MINUTE, NOON
from tests.core.exchange.border import EAST, FAR, MIDDLE, NEAR, SOUTH, WEST, facts, report
from urban.correlation.v1.incident_pb2 import Incident, RuleReference

PATIENCE_S = 10.0


class Town:
    """A city's log and tables, and the Kafkas of its neighbours."""

    def __init__(self, name: str, *, forward: bool = False) -> None:
        self.name, self.forward = name, forward
        self.log = MemoryLog({EXCHANGE: 1, NEIGHBOUR_REPORTS: 1, SHARED_INCIDENTS: 1})
        self.rows: list[dict[str, Any]] = []
        self.neighbours: list[Town] = []

    async def insert(self, table: str, rows: pa.Table) -> None:
        assert table == "correlation.shared_incidents"
        self.rows += rows.to_pylist()

    def open_neighbour(self, neighbour: Neighbour) -> LogReader:
        (there,) = [town for town in self.neighbours if town.name == neighbour.name]
        return there.log.reader(EXCHANGE)

    def told(self, topic: str) -> list[Told]:
        return [read_report(record.value) for record in self.log.records(topic)[0]]

    def shared(self) -> dict[str, SharedIncident]:
        """The newest version of each."""
        found = [read_shared(record.value) for record in self.log.records(SHARED_INCIDENTS)[0]]
        return {shared.id: shared for shared in sorted(found, key=lambda shared: shared.revision)}

    async def tell(self, told: Told) -> None:
        """Writes to its topic as if it was another software."""
        record = report_record(EXCHANGE, told)
        await self.log.send(EXCHANGE, record.value, partition=0, key=record.key)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[ExchangeHandler]:
        """A restored handler; at the end it is killed."""
        outbox = Outbox("correlation", self, self.log, linger_s=0.001)
        sending = asyncio.create_task(outbox.run())
        neighbours = tuple(Neighbour(town.name, "memory:9092", "", NEAR) for town in self.neighbours)
        broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        settings = Neighbours(self.name, self.forward, neighbours)
        handler = ExchangeHandler(
            ExchangeSetup(settings, outbox, self.log.reader, self.open_neighbour, broken), partition=0
        )
        try:
            assert await handler.restore() is None
            yield handler
            if broken.done():
                broken.result()
        finally:
            handler.close()
            sending.cancel()
            await asyncio.wait([sending])
            broken.cancel()


def towns(*names: str, forward: tuple[str, ...] = ()) -> list[Town]:
    """Cities in a row, each a neighbour of the next."""
    made = [Town(name, forward=name in forward) for name in names]
    for one, other in pairwise(made):
        one.neighbours.append(other)
        other.neighbours.append(one)
    return made


def incident(city: str, revision: int = 1, name: str = "a", signals: Iterable[Signal] | None = None, **changes: Any):
    """A record of urban.incidents.v1."""
    told = replace(facts(), city=city, id=report(city, name).incident_id, revision=revision, **changes)
    message = Incident(
        id=told.id,
        city=city,
        rule=RuleReference(name=told.rule, version=1),
        state=int(told.state),  # type: ignore[arg-type]
        severity=int(told.severity),  # type: ignore[arg-type]
        revision=revision,
        title="Unusual crowd near bridge",
        explanation="Somebody at bridge",
        signals=[signal_message(signal) for signal in (told.signals if signals is None else signals)],
    )
    message.position.latitude, message.position.longitude = told.latitude, told.longitude
    message.start_time.FromMilliseconds(told.start_ms)
    message.end_time.FromMilliseconds(told.end_ms)
    value = message.SerializeToString()
    return ConsumerRecord(INCIDENTS, 0, revision, NOON, 0, told.id.encode(), value, None, 0, len(value), ())


async def until(holds: Callable[[], object], what: str) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():  # noqa: ASYNC110 (what is waited for is written to a log in memory)
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"waited in vain for {what}") from None


async def hears_all(town: Town, neighbour: Town, but: str = "") -> None:
    """All that a neighbour has told; `but`: nothing of this city."""

    def versions(told: list[Told]) -> set[tuple[str, str, int]]:
        return {(*one.report.key, one.report.revision) for one in told if one.report.city != but}

    await until(
        lambda: versions(town.told(NEIGHBOUR_REPORTS)) == versions(neighbour.told(EXCHANGE)),
        "what a neighbour has told",
    )


async def shares_with(town: Town, cities: set[str]) -> None:
    await until(
        lambda: {city for shared in town.shared().values() for city in shared.cities} == {*cities, town.name}, "shares"
    )


async def test_one_event_seen_by_two_cities_is_one_shared_incident_in_both():
    west, east = towns(WEST, EAST)
    async with west.running() as in_west, east.running() as in_east:
        await in_west.handle([incident(WEST)])
        await in_east.handle([incident(EAST, start_ms=NOON + MINUTE)])
        await until(lambda: west.shared() and east.shared(), "a shared incident in both")
        await in_west.handle([incident(WEST, 2, state=IncidentState.RESOLVED)])
        await until(lambda: [s.reports[1].revision for s in east.shared().values()] == [2], "the second version")
        await until(lambda: west.shared() == east.shared(), "the same in both")
    (row,) = [row for row in east.rows if row["revision"] == 1]
    assert (row["city"], row["neighbour"], row["state"]) == (EAST, WEST, "open")
    assert (row["own_ids"], row["neighbour_ids"]) == ([report(EAST).incident_id], [report(WEST).incident_id])
    assert (row["own_people"], row["neighbour_people"]) == (4210, 4210)


async def test_what_is_inland_or_of_another_city_never_crosses_and_nothing_names_an_entity():
    (west, _east) = towns(WEST, EAST)
    (crowd,) = facts().signals
    inland = replace(crowd, latitude=0.0, longitude=0.0)
    async with west.running() as in_west:
        await in_west.handle([incident(WEST, name="inland", signals=[inland]), incident(SOUTH), incident(WEST)])
        assert await in_west.checkpoint() == 2
    (told,) = west.log.records(EXCHANGE)[0]
    assert read_report(told.value) == Told(report(WEST, signals=(("community", 1),), people=4210), (WEST,)), (
        "nothing more is in it"
    )
    everything = b"".join([told.key or b"", told.value or b"", *(name.encode() + text for name, text in told.headers)])
    for secret in (b"bridge", crowd.id.encode(), b"Somebody", b"Unusual"):
        assert secret not in everything


async def test_killed_after_each_step_both_end_with_all_of_it_each_once():
    west, east = towns(WEST, EAST)
    steps = [
        (west, incident(WEST)),
        (east, incident(EAST)),
        (east, incident(EAST, 2, end_ms=NOON + 40 * MINUTE)),
        (west, incident(WEST, 1, "b", start_ms=NOON - MINUTE)),
        (west, incident(WEST, 2, "b", state=IncidentState.RETRACTED)),
        (east, incident(EAST, 3, state=IncidentState.RESOLVED)),
        (west, incident(WEST, 2, state=IncidentState.RESOLVED)),
    ]
    for number, _ in enumerate(steps):
        # All incidents are read again from the beginning, as after every start; at most one is new.
        for town in (west, east):
            async with town.running() as handler:
                await handler.handle([record for owner, record in steps[: number + 1] if owner is town])
                await handler.checkpoint()
    for town, other in ((west, east), (east, west)):
        async with town.running() as handler:
            await hears_all(town, other)
            await handler.checkpoint()
        for topic in (EXCHANGE, NEIGHBOUR_REPORTS):
            versions = [(*told.report.key, told.report.revision) for told in town.told(topic)]
            assert len(versions) == len(set(versions))
    standing = [{i: s for i, s in town.shared().items() if s.stands} for town in (west, east)]
    assert standing[0] == standing[1]
    assert [s.state.name for s in standing[0].values()] == ["RESOLVED"]


async def test_a_third_city_is_told_only_where_the_file_says_so_and_nothing_goes_round():
    for forward, cities in (((), {EAST}), ((EAST,), {EAST, WEST})):
        west, east, south = towns(WEST, EAST, SOUTH, forward=forward)
        async with west.running() as w, east.running() as e, south.running() as s:
            for town, handler in ((west, w), (east, e), (south, s)):
                await handler.handle([incident(town.name)])
            await shares_with(south, cities)
            await hears_all(west, east, but=WEST)
        assert WEST not in {told.report.city for told in west.told(NEIGHBOUR_REPORTS)}, "its own came back"
        assert all(len(set(told.hops)) == len(told.hops) for told in east.told(EXCHANGE))
        hops = {told.hops for told in south.told(NEIGHBOUR_REPORTS)}
        assert hops == ({(EAST,), (WEST, EAST)} if forward else {(EAST,)})


async def test_what_was_heard_and_not_passed_on_before_a_kill_is_passed_on_after_it():
    west, east, south = towns(WEST, EAST, SOUTH, forward=(EAST,))
    heard = report_record(NEIGHBOUR_REPORTS, Told(report(WEST), (WEST,)))
    await east.log.send(NEIGHBOUR_REPORTS, heard.value, partition=0, key=heard.key)
    for _ in range(2):
        async with east.running() as handler:
            await handler.checkpoint()
    assert [told.hops for told in east.told(EXCHANGE)] == [(WEST, EAST)]
    assert not west.told(EXCHANGE)
    assert not south.told(EXCHANGE)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ("taken", Told(report(EAST), (EAST,))),
        ("taken", Told(report(SOUTH), (SOUTH, EAST))),
        ("loop", Told(report(WEST), (WEST, EAST))),
        ("loop", Told(report(SOUTH), (SOUTH, WEST, EAST))),
        ("refused", Told(report(SOUTH), (SOUTH,))),
        ("refused", Told(report(SOUTH), (EAST,))),
        ("refused", Told(report(EAST), ())),
        ("refused", Told(report("East"), ("East",))),
        ("refused", Told(report(EAST, incident_id="me"), (EAST,))),
        ("refused", Told(report(EAST, people=3), (EAST,))),
        ("refused", Told(report(EAST, rule="Who; was"), (EAST,))),
        ("refused", Told(report(EAST, cells=(FAR, FAR)), (EAST,))),
        ("refused", Told(report(EAST, cells=(0x8A2A1072B59FFFF,)), (EAST,))),
        ("refused", Told(report(EAST, end_ms=NOON - 1), (EAST,))),
        ("refused", Told(report(EAST, end_ms=NOON + 367 * 1440 * MINUTE), (EAST,))),
    ],
)
async def test_what_becomes_of_a_report(result: str, told: Told):
    west, east = towns(WEST, EAST)
    mark = Told(report(EAST, "mark", cells=(MIDDLE,)), (EAST,))
    await east.tell(told)
    await east.tell(told)
    await east.tell(mark)
    async with west.running():
        await until(lambda: mark in west.told(NEIGHBOUR_REPORTS), "what comes behind it")
    assert west.told(NEIGHBOUR_REPORTS) == ([told, mark] if result == "taken" else [mark])


def test_a_report_is_read_as_it_was_written_and_no_other_record_is_one():
    told = Told(report(people=10, cells=NEAR[:3]), (WEST, EAST))
    assert read_report(report_record(EXCHANGE, told).value) == told
    for value, field in ((None, "city"), (b"\xff\xff", "value"), (b"", "city")):
        with pytest.raises(BadRecordError, match=field):
            read_report(value)
    strange = report_message(report(), (WEST,))
    strange.state = 99  # type: ignore[assignment]
    with pytest.raises(BadRecordError, match="state = 99"):
        read_report(strange.SerializeToString())


def test_every_field_of_a_report_is_one_that_may_cross():
    """A new field of the message has to be looked at by somebody before this list grows."""
    assert {field.name for field in report_message(report()).DESCRIPTOR.fields} == {
        *("city", "incident_id", "revision", "rule", "state", "severity", "start_time", "end_time"),
        *("h3_cells", "domains", "people", "hops"),
    }
    assert set(Report.__dataclass_fields__) == {
        *("city", "incident_id", "revision", "rule", "state", "severity", "start_ms", "end_ms"),
        *("cells", "signals", "people"),
    }


@pytest.mark.parametrize(("held", "first"), [(0, 0), (1, 0), (5, 4)])
async def test_a_city_without_neighbours_passes_over_its_incidents(held: int, first: int):
    log = MemoryLog({INCIDENTS: 1})
    for _ in range(held):
        await log.send(INCIDENTS, b"", partition=0)
    handler = IdleHandler(log.reader, 0)
    assert await handler.restore() == first
    await handler.handle([incident(WEST, 7)])
    assert await handler.checkpoint() == 8
    handler.close()
