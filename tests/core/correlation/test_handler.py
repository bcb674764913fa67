"""The handler of a partition over a log in memory: order of effects, restarts, changed rules, actions, bad records."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from aiokafka.structs import ConsumerRecord, RecordMetadata, TopicPartition

from services.correlation.checkpoint import saved_in
from services.correlation.handler import CorrelationHandler, CorrelationSetup
from services.correlation.rule_watch import RuleWatch
from services.correlation.rules import FOLDER, RuleFileError
from services.runtime.catalogue import INCIDENT_ACTIONS, INCIDENTS, PLANNED_EVENTS, SIGNALS
from services.runtime.checkpoints import CheckpointStore, Found
from services.runtime.fakes import MemoryLog
from services.runtime.outbox import Outbox
from services.runtime.records import signal_record, watermark_record
from tests.core.correlation.city import HOUR, NOON, congestion, crowding
from urban.common.v1.checkpoint_pb2 import Checkpoint
from urban.correlation.v1.incident_pb2 import Acknowledgement, Incident, IncidentAction, IncidentState, PlannedEvent

NAME = "crowd_road_pressure.yaml"
# Not the one that is shipped: it changes, and its version with it.
TEXT = (Path(__file__).parent / "rules" / NAME).read_text()


class World:
    """Everything around a handler, in memory; `done` tells what was done in which order."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.log = MemoryLog({INCIDENTS: 1, INCIDENT_ACTIONS: 1, PLANNED_EVENTS: 1, SIGNALS: 1}, self.now)
        self.saved: list[Checkpoint] = []
        self.parts: dict[int, bytes] = {}  # by their offset
        self.offset = 0

    def now(self) -> int:
        return NOON + self.offset * 1000

    async def insert(self, table: str, rows: Any) -> None:
        self.done.append(f"insert {table}")

    async def save(self, checkpoint: Checkpoint) -> int:
        self.done.append(f"checkpoint with {len(self.told())} told")
        self.saved.append(checkpoint)
        return 1

    async def put(self, partition: int, key: str, value: bytes | None) -> RecordMetadata:
        """A part of a checkpoint."""
        offset = len(self.parts)
        self.parts[offset] = value or b""
        return RecordMetadata("state", partition, TopicPartition("state", partition), offset, None, 0, None)

    def parts_of(self, checkpoint: Checkpoint) -> dict[int, bytes]:
        return {part.pane: self.parts[part.offset] for part in checkpoint.parts}

    async def load(self, partition: int) -> Found | None:
        return Found(self.saved[-1], self.parts_of(self.saved[-1])) if self.saved else None

    def told(self) -> list[Incident]:
        return [Incident.FromString(record.value or b"") for record in self.log.records(INCIDENTS)[0]]

    async def act(self, incident_id: str, actor: str) -> None:
        action = IncidentAction(incident_id=incident_id, actor=actor, acknowledgement=Acknowledgement(note="x"))
        await self.log.send(INCIDENT_ACTIONS, action.SerializeToString(), partition=0)

    async def records(self, *values: bytes) -> list[ConsumerRecord[Any, Any]]:
        """A fetch of the signal topic, one record a second."""
        found = []
        for value in values:
            record = ConsumerRecord(SIGNALS, 0, self.offset, self.now(), 0, None, value, None, 0, len(value), ())
            found.append(record)
            await self.log.send(SIGNALS, value, partition=0)
            self.offset += 1
        return found


class Folder(RuleWatch):
    """Rule files in memory, which may change."""

    def __init__(self, texts: dict[str, str]) -> None:
        super().__init__(FOLDER)
        self.texts = texts

    def _read(self) -> dict[str, str]:
        return dict(self.texts)

    async def edit(self, **texts: str) -> None:
        """Other files; returns when they are wanted."""
        self.texts = {f"{name}.yaml": text for name, text in texts.items()}
        await self.look_again()
        await self.look_again()


@asynccontextmanager
async def running(world: World, watch: RuleWatch | None = None) -> AsyncIterator[tuple[CorrelationHandler, int | None]]:
    """A restored handler with the offset that it wants to go on from; at the end it is killed."""
    outbox = Outbox("correlation", world, world.log, linger_s=0.001)
    sending = asyncio.create_task(outbox.run())
    watch = watch if watch is not None else Folder({NAME: TEXT})
    setup = CorrelationSetup(watch, 60_000, cast(CheckpointStore, world), outbox, world.log.reader)
    handler = CorrelationHandler(setup, 0)
    try:
        yield handler, await handler.restore()
    finally:
        handler.close()
        sending.cancel()
        await asyncio.wait([sending])


async def until(look: Callable[[], bool]) -> None:
    """Lets the others work until something is so."""
    async with asyncio.timeout(60):
        while not look():  # noqa: ASYNC110 (what it looks at has no event)
            await asyncio.sleep(0.001)


async def until_told(world: World, versions: int) -> None:
    """So many, those among them that were told again."""
    await until(lambda: len(world.told()) == versions)


def passed(time_ms: int) -> list[bytes]:
    partitions = dict.fromkeys(range(4), time_ms)
    kinds = (("community", "people_count"), ("traffic", "road_flow"))
    return [watermark_record(domain, kind, "test", partitions) for domain, kind in kinds]


CROWD, JAM = crowding(h3_cell=1), congestion(h3_cell=1)
AN_INCIDENT = [signal_record(CROWD)[1], signal_record(JAM)[1], *passed(NOON + HOUR)]


async def test_rows_are_stored_before_records_are_told_and_both_before_the_checkpoint():
    world = World()
    async with running(world) as (handler, start):
        assert start is None
        await handler.handle(await world.records(*AN_INCIDENT))
        assert await handler.checkpoint() == 4
    assert world.done == [
        "insert correlation.incidents",
        "insert correlation.incident_audit",
        "checkpoint with 1 told",
    ]
    assert (world.saved[0].partition, world.saved[0].next_offset, world.saved[0].watermark_ms) == (0, 4, NOON + HOUR)


async def test_after_a_kill_it_goes_on_from_the_checkpoint_and_tells_the_same_again():
    world = World()
    records = await world.records(*AN_INCIDENT, *passed(NOON + 3 * HOUR))
    async with running(world) as (handler, _):
        await handler.handle(records[:2])
        await handler.checkpoint()
        await handler.handle(records[2:])
        await until(lambda: len(world.told()) == 2)
    async with running(world) as (handler, start):
        assert start == 2
        await handler.handle(records[2:])
        await handler.checkpoint()
    told = world.told()
    assert [(i.revision, i.state) for i in told] == [(1, 1), (2, 3)] * 2
    assert told[:2] == told[2:]


async def test_an_action_is_folded_once_and_survives_a_kill():
    world = World()
    async with running(world) as (handler, _):
        await handler.handle(await world.records(*AN_INCIDENT))
        await until(lambda: len(world.told()) == 1)
        await world.act(world.told()[0].id, "Ana")
        await world.act(world.told()[0].id, "Bob")
        await until(lambda: len(world.told()) == 2)
        await handler.checkpoint()
    async with running(world) as (handler, _):
        await handler.handle(await world.records(*passed(NOON + 3 * HOUR)))
        await handler.checkpoint()
    told = [(i.revision, IncidentState.Name(i.state)[15:], i.acknowledged_by) for i in world.told()]
    assert told == [(1, "OPEN", ""), (2, "ACKNOWLEDGED", "Ana"), (3, "RESOLVED", "Ana")]


async def test_an_action_that_is_read_again_before_its_incident_is_not_lost():
    world = World()
    records = await world.records(*AN_INCIDENT)
    async with running(world) as (handler, _):
        await handler.checkpoint()
        await handler.handle(records)
        await until(lambda: len(world.told()) == 1)
        await world.act(world.told()[0].id, "Ana")
        await until(lambda: len(world.told()) == 2)
    async with running(world) as (handler, start):
        assert start == 0
        await asyncio.sleep(0.01)
        await handler.handle(records)
        await handler.checkpoint()
    assert world.told()[2:] == world.told()[:2]


async def test_what_nobody_has_told_before_a_kill_comes_behind_all_that_was_told():
    world = World()
    again = signal_record(replace(JAM, revision=2, score=0.9))[1]
    records = await world.records(*AN_INCIDENT, again)
    async with running(world) as (handler, _):
        await handler.handle(records)
        await until_told(world, 2)
    await world.act(world.told()[0].id, "Ana")
    async with running(world) as (handler, _):
        await asyncio.sleep(0.01)  # time to read the action
        await handler.handle(records)
        await until_told(world, 5)
    told = [(i.revision, i.acknowledged_by) for i in world.told()]
    assert told == [(1, ""), (2, ""), (1, ""), (2, ""), (3, "Ana")]


async def test_after_a_kill_signals_actions_and_plans_are_folded_in_the_order_of_before():
    """Read before its incident, what was planned and called off would leave no version: all later ones count less."""
    world = World()
    records = await world.records(*AN_INCIDENT, *passed(NOON + HOUR + 1), *passed(NOON + 3 * HOUR))
    planned = PlannedEvent(name="cities/auckland/plannedEvents/match", title="Match", radius_m=5_000.0)
    planned.position.latitude, planned.position.longitude = CROWD.latitude, CROWD.longitude
    planned.start_time.FromMilliseconds(NOON - HOUR)
    planned.end_time.FromMilliseconds(NOON + 2 * HOUR)
    async with running(world) as (handler, _):
        await handler.handle(records[:4])
        await until(lambda: len(world.told()) == 1)
        for number in range(2):
            planned.cancelled = number == 1
            await world.log.send(PLANNED_EVENTS, planned.SerializeToString(), partition=0)
            await until_told(world, 2 + number)
        await world.act(world.told()[0].id, "Ana")
        await until(lambda: len(world.told()) == 4)
        await handler.handle(records[4:])
        await until(lambda: len(world.told()) == 5)
    before = world.log.records(INCIDENTS)[0][:]
    await world.act(world.told()[0].id, "Bob")
    resolution = IncidentAction(incident_id=world.told()[0].id, actor="Bob")
    resolution.resolution.note = "over"
    resolution.seen_end_time.FromMilliseconds(NOON + HOUR)
    await world.log.send(INCIDENT_ACTIONS, resolution.SerializeToString(), partition=0)
    async with running(world) as (handler, start):
        assert start is None
        await handler.handle(records[:2])
        # Killed again, when a checkpoint has been made of a part only.
        await handler.checkpoint()
    async with running(world) as (handler, start):
        assert start == 2
        await asyncio.sleep(0.01)
        await handler.handle(records[2:])
        await until(lambda: len(world.told()) == 11)
        await handler.checkpoint()
    again = world.log.records(INCIDENTS)[0][5:]
    assert [(r.value, r.headers) for r in again[:5]] == [(r.value, r.headers) for r in before]
    # What nobody had told before comes behind all of that.
    assert [(i.revision, i.acknowledged_by, i.closed_by) for i in world.told()[10:]] == [(6, "Ana", "Bob")]
    async with running(world) as (handler, start):
        assert start == len(records)
    assert len(world.told()) == 11


def version(number: int, **changes: str) -> str:
    """The text of the rule in another version."""
    text = TEXT.replace("version: 1", f"version: {number}")
    for field, value in changes.items():
        text = re.sub(rf"(?m)^{field}: .*$", f"{field}: {value}", text)
    return text


async def ready(handler: CorrelationHandler) -> None:
    """Lets the handler rebuild what was edited."""
    await until(lambda: handler._reload is not None)


def story(world: World) -> list[tuple[int, str, int]]:
    """Version of the rule, state and revision of all that was told."""
    return [(i.rule.version, IncidentState.Name(i.state)[15:], i.revision) for i in world.told()]


async def test_an_edited_rule_is_in_force_after_a_checkpoint_and_nothing_is_read_again():
    world, folder = World(), Folder({NAME: TEXT})
    async with running(world, folder) as (handler, _):
        await handler.handle(await world.records(*AN_INCIDENT))
        await until(lambda: len(world.told()) == 1)
        await world.act(world.told()[0].id, "Ana")
        await until(lambda: len(world.told()) == 2)
        await folder.edit(pressure=version(2, radius_m="900"))
        await ready(handler)
        assert len(world.told()) == 2
        await handler.checkpoint()
        await until(lambda: len(world.told()) == 4)
        await handler.handle(await world.records(*passed(NOON + 3 * HOUR)))
        await handler.checkpoint()
    assert story(world)[2:] == [(2, "ACKNOWLEDGED", 1), (1, "SUPERSEDED", 3), (2, "RESOLVED", 2)]
    assert world.told()[3].superseded_by == world.told()[2].id
    async with running(world, folder) as (_, start):
        assert start == 6


async def test_a_kill_between_the_checkpoint_that_names_new_rules_and_what_they_find_loses_nothing():
    world, folder = World(), Folder({NAME: TEXT})
    async with running(world, folder) as (handler, _):
        await handler.handle(await world.records(*AN_INCIDENT))
        await folder.edit(pressure=version(2, radius_m="900"))
        await ready(handler)
        await handler.checkpoint()
        await until(lambda: len(world.told()) == 3)
    # What is in the folder now comes after what was about to come.
    folder = Folder({NAME: version(3, radius_m="800")})
    async with running(world, folder) as (handler, start):
        assert start == 4
        await until(lambda: len(world.told()) == 5)
        folder.look()
        await ready(handler)
        await handler.checkpoint()
        await until(lambda: len(world.told()) == 7)
    told = world.told()
    assert told[1:3] == told[3:5], "the same once more"
    assert story(world)[1:] == [(2, "OPEN", 1), (1, "SUPERSEDED", 2)] * 2 + [(3, "OPEN", 1), (2, "SUPERSEDED", 2)]


async def test_a_broken_rule_lets_the_old_one_go_on_over_a_restart_too():
    world, folder = World(), Folder({NAME: TEXT})
    records = await world.records(*AN_INCIDENT)
    async with running(world, folder) as (handler, _):
        await handler.handle(records[:2])
        await folder.edit(pressure=version(2, radius_m="far"))
        assert "radius_m = 'far': must be a number" in folder.faults[0]
        await handler.checkpoint()
    async with running(world, Folder({NAME: "rule: ["})) as (handler, start):
        assert start == 2
        await handler.handle(records[2:])
        await handler.checkpoint()
    assert story(world) == [(1, "OPEN", 1)]
    with pytest.raises(RuleFileError, match="no YAML"):
        async with running(World(), Folder({NAME: "rule: ["})):
            pass


async def test_a_rule_that_changed_under_its_version_while_nobody_ran_is_refused():
    world = World()
    records = await world.records(*AN_INCIDENT)
    async with running(world) as (handler, _):
        await handler.handle(records[:2])
        await handler.checkpoint()
    folder = Folder({NAME: version(1, radius_m="10")})
    folder.look()
    async with running(world, folder) as (handler, _):
        assert "version = 1: another rule is in force" in folder.faults[0]
        await handler.handle(records[2:])
        await handler.checkpoint()
    assert story(world) == [(1, "OPEN", 1)]


async def test_a_rule_beside_the_others_is_found_in_the_past_and_the_others_are_not_told_again():
    world, folder = World(), Folder({NAME: TEXT})
    async with running(world, folder) as (handler, _):
        await handler.handle(await world.records(b"\xff", *AN_INCIDENT))
        await folder.edit(pressure=TEXT, another=version(1, rule="another"))
        await ready(handler)
        # What comes between is taken by the new one too.
        late = signal_record(congestion("road-2", h3_cell=1))[1]
        await handler.handle(await world.records(late, *passed(NOON + HOUR + 1)))
        await handler.checkpoint()
        await until(lambda: len(world.told()) == 3)
        await folder.edit(pressure=TEXT)
        await ready(handler)
        await handler.checkpoint()
        await handler.handle(await world.records(*passed(NOON + 3 * HOUR)))
        await handler.checkpoint()
    told = [(i.rule.name, i.revision, i.signal_count) for i in world.told()]
    name = "crowd_road_pressure"
    assert told == [(name, 1, 2), (name, 2, 3), ("another", 2, 3), (name, 3, 3), ("another", 3, 3)]


async def test_a_record_that_cannot_be_used_is_passed_over_and_counted():
    world = World()
    await world.log.send(INCIDENT_ACTIONS, b"\xff", partition=0)
    async with running(world) as (handler, _):
        await handler.handle(await world.records(b"\xff\xff", AN_INCIDENT[0][:20], *AN_INCIDENT))
        assert await handler.checkpoint() == 6
        assert len(world.told()) == 1


async def test_a_failure_behind_the_actions_ends_the_handler(monkeypatch):
    world = World()
    async with running(world) as (handler, _):

        def fail(*_: object) -> None:
            raise RuntimeError("the disk is full")

        monkeypatch.setattr(handler, "_publish", fail)  # stands for any unknown error
        await world.act(CROWD.id, "Ana")
        await asyncio.sleep(0.05)
        with pytest.raises(RuntimeError, match="the disk is full"):
            await handler.handle(await world.records(*AN_INCIDENT))


async def test_a_planned_event_is_folded_and_known_after_a_kill():
    world = World()
    event = PlannedEvent(name="cities/auckland/plannedEvents/match", radius_m=1_000.0)
    event.start_time.FromMilliseconds(NOON)
    event.end_time.FromMilliseconds(NOON + HOUR)
    event.position.latitude, event.position.longitude = CROWD.latitude, CROWD.longitude
    records = await world.records(*AN_INCIDENT)
    async with running(world) as (handler, _):
        await world.log.send(PLANNED_EVENTS, b"\xff", partition=0)
        await world.log.send(PLANNED_EVENTS, event.SerializeToString(), partition=0)
        await handler.handle(records[:2])
        while not world.saved or saved_in(world.saved[-1], world.parts_of(world.saved[-1]))[0].planned_offset < 2:
            await asyncio.sleep(0.001)
            await handler.checkpoint()
    async with running(world) as (handler, _):
        await handler.handle(records[2:])
        await until(lambda: len(world.told()) == 1)
    assert [i.planned_event for i in world.told()] == ["match"]


TRIED = f"mode: shadow\n{version(2, radius_m='900')}"
FAR = signal_record(congestion("road-2", north_m=800.0, h3_cell=1))[1]


async def test_what_is_only_tried_is_kept_apart_and_told_to_nobody_over_a_kill_too():
    world, folder = World(), Folder({NAME: TEXT, "tried.yaml": TRIED})
    async with running(world, folder) as (handler, _):
        await handler.handle(await world.records(*AN_INCIDENT))
        await handler.checkpoint()
        assert "insert correlation.shadow_incidents" in world.done
        assert "insert correlation.shadow_runs" in world.done
    world.done.clear()
    async with running(world, folder) as (handler, start):
        assert start == 4
        await handler.handle(await world.records(FAR, *passed(NOON + HOUR + 1)))
        await handler.checkpoint()
    assert story(world) == [(1, "OPEN", 1)], "its second signal lies too far for the rule in force"
    assert world.done == ["insert correlation.shadow_incidents", "checkpoint with 1 told"]


async def test_promoted_it_opens_what_stands_once_and_a_kill_on_the_way_loses_nothing():
    world, folder = World(), Folder({NAME: TEXT, "tried.yaml": TRIED})
    async with running(world, folder) as (handler, _):
        await handler.handle(await world.records(*AN_INCIDENT, FAR, *passed(NOON + HOUR + 1)))
        await folder.edit(pressure=version(2, radius_m="900"))
        await ready(handler)
        assert handler._reload is not None
        assert handler._reload.rebuild.correlators == {}, "it knows all that it would be rebuilt for"
        await handler.checkpoint()
        await until(lambda: len(world.told()) == 3)
    async with running(world, folder) as (handler, start):
        assert start == 7
        await until(lambda: len(world.told()) == 5)
        assert handler._shadows.rules == ()
    told = world.told()
    assert told[1:3] == told[3:5], "the same once more"
    assert story(world)[:3] == [(1, "OPEN", 1), (2, "OPEN", 2), (1, "SUPERSEDED", 2)]
    assert told[1].signal_count == 3


async def test_what_is_tried_later_is_found_in_the_past_and_an_edit_of_it_is_another_trial():
    world, folder = World(), Folder({NAME: TEXT})
    async with running(world, folder) as (handler, _):
        await handler.handle(await world.records(*AN_INCIDENT))
        await until(lambda: len(world.told()) == 1)
        for number in (2, 3):
            world.done.clear()
            await folder.edit(pressure=TEXT, tried=f"mode: shadow\n{version(number, radius_m='900')}")
            await ready(handler)
            await handler.checkpoint()
            await until(lambda: "insert correlation.shadow_incidents" in world.done)
            assert [(rule.version, rule.radius_m) for rule in handler._shadows.rules] == [(number, 900.0)]
    assert story(world) == [(1, "OPEN", 1)]


async def test_beyond_the_limit_an_incident_is_told_as_muted_over_a_kill_too():
    folder = Folder({NAME: f"{TEXT}limit: {{incidents: 1, within_s: 7200}}\n"})
    second = [crowding("park", north_m=9_000.0, h3_cell=1), congestion("lane", north_m=9_100.0, h3_cell=1)]
    world = World()
    records = await world.records(*AN_INCIDENT[:2], *(signal_record(s)[1] for s in second), *passed(NOON + HOUR))
    async with running(world, folder) as (handler, _):
        await handler.handle(records)
        await handler.checkpoint()
    later = [crowding("mall", NOON + HOUR, north_m=20_000.0, h3_cell=1)]
    later.append(congestion("lot", NOON + HOUR, north_m=20_100.0, h3_cell=1))
    more = await world.records(*(signal_record(s)[1] for s in later), *passed(NOON + 2 * HOUR))
    async with running(world, folder) as (handler, start):
        assert start == 6
        await handler.handle(more)
        await handler.checkpoint()
    newest = {i.id: i for i in world.told()}
    by_order = sorted(newest.values(), key=lambda i: (i.start_time.seconds, i.id))
    assert [(i.rate_limited, i.surplus_count) for i in by_order] == [(False, 2), (True, 0), (True, 0)]
    assert {i.id for i in world.told() if i.rate_limited and i.revision == 1} == {i.id for i in by_order[1:]}
