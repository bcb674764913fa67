"""The audit of incidents: a row for every change and for no repetition, with who, when and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from services.core.correlation.incident import Change, Incident, changed
from services.correlation.hands import AUDIT_TABLE, NEW_RULES, Audited, Cause, audit_table
from services.runtime.catalogue import PLANNED_EVENTS, SIGNALS
from services.runtime.records import signal_record
from tests.core.correlation.city import HOUR, MINUTE, NOON, Reader, both, congestion, crowding
from tests.core.correlation.test_handler import (
    AN_INCIDENT,
    CROWD,
    TEXT,
    Folder,
    World,
    passed,
    running,
    until,
    until_told,
)
from urban.correlation.v1.incident_pb2 import PlannedEvent

TOLD_MS = NOON + 7 * MINUTE + 250


class AuditedWorld(World):
    """It keeps the rows of the audit."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    async def insert(self, table: str, rows: Any) -> None:
        await super().insert(table, rows)
        if table == AUDIT_TABLE:
            self.rows += rows.to_pylist()

    async def plan(self, name: str = "match", *, cancelled: bool = False, actor: str = "Ana") -> None:
        event = PlannedEvent(name=f"cities/auckland/plannedEvents/{name}", title=f"The {name}", radius_m=5_000.0)
        event.actor, event.cancelled = actor, cancelled
        event.position.latitude, event.position.longitude = CROWD.latitude, CROWD.longitude
        event.start_time.FromMilliseconds(NOON - HOUR)
        event.end_time.FromMilliseconds(NOON + 2 * HOUR)
        event.update_time.FromMilliseconds(TOLD_MS)
        await self.log.send(PLANNED_EVENTS, event.SerializeToString(), partition=0)


def stored(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """What ClickHouse keeps: of rows with one id the last."""
    return {row["id"]: row["what"] for row in rows}


async def test_what_changes_again_and_again_at_one_event_time_is_a_row_each_time_and_a_repetition_is_none():
    world = AuditedWorld()
    records = await world.records(*AN_INCIDENT)
    async with running(world) as (handler, _):
        await handler.handle(records)
        await until_told(world, 1)
        for number, (name, cancelled) in enumerate(
            [("match", False), ("match", True), ("match", False), ("derby", False), ("derby", True)]
        ):
            await world.plan(name, cancelled=cancelled)
            await until_told(world, 2 + number)
    once = stored(world.rows)
    assert list(once.values()) == ["opened", "planned", "unplanned", "planned", "planned", "planned"]
    # Killed before a checkpoint: all of it is told again.
    async with running(world) as (handler, _):
        await handler.handle(records)
        await until_told(world, 12)
    assert len(world.rows) == 12
    assert stored(world.rows) == once


async def test_what_late_signals_take_back_and_bring_again_is_a_row_each_time_and_a_repetition_is_none():
    world = AuditedWorld()
    people = crowding("early", NOON - HOUR, north_m=5_000, h3_cell=1)
    jams = [
        congestion("early", NOON - HOUR, north_m=5_100, h3_cell=1, revision=r, retracted=r % 2 == 0)
        for r in range(1, 5)
    ]
    records = await world.records(*AN_INCIDENT, *(signal_record(signal)[1] for signal in (people, *jams)))
    rules = Folder({"limited.yaml": f"{TEXT}limit: {{incidents: 1, within_s: 86400}}\n"})
    for _ in range(2):
        async with running(world, rules) as (handler, _):
            before = len(world.told())
            await handler.handle(records)
            await until_told(world, before + 9)
    first, second = world.rows[: len(world.rows) // 2], world.rows[len(world.rows) // 2 :]
    assert first == second
    of_late = [row["what"] for row in first if row["incident_id"] == world.told()[0].id]
    assert [what for what in of_late if "limited" in what] == ["limited", "unlimited", "limited", "unlimited"]
    assert len(stored(first)) == len(first)


def an_incident() -> Incident:
    (incident,) = Reader().read(crowding(), congestion(), *both(NOON + HOUR))
    return incident


def test_one_record_may_change_the_same_thing_several_times():
    """Event time that moves far at once: an inhibitor comes, goes, and another one comes."""
    whats = ("inhibited", "uninhibited", "inhibited")
    versions = [
        Audited(changed(an_incident(), revision=2 + n, changes=(Change(what),)), NOON, Cause(SIGNALS, 7))
        for n, what in enumerate(whats)
    ]
    rows = audit_table(versions).to_pylist()
    assert len(stored(rows)) == 3
    assert audit_table(versions).to_pylist() == rows


def test_what_rules_that_come_into_force_change_is_not_what_the_next_record_changes():
    incident = changed(an_incident(), changes=(Change("severity"),))
    causes = Cause(SIGNALS, 7), Cause(PLANNED_EVENTS, 7), Cause(NEW_RULES, 7)
    rows = [audit_table([Audited(incident, NOON, cause)]).to_pylist()[0]["id"] for cause in causes]
    assert len({*rows}) == 3


async def test_the_audit_says_who_announced_and_cancelled_and_when():
    world = AuditedWorld()
    async with running(world) as (handler, _):
        await handler.handle(await world.records(*AN_INCIDENT))
        await until_told(world, 1)
        await world.plan(actor="Ana")
        await until_told(world, 2)
        await world.plan(actor="Ben", cancelled=True)
        await until_told(world, 3)
        await until(lambda: len(world.rows) == 3)
    found = [(r["what"], r["actor"], r["time"].timestamp() * 1000, r["why"]) for r in world.rows[1:]]
    assert found == [
        ("planned", "Ana", TOLD_MS, "match: The match, announced 2024-06-02 12:07:00 UTC"),
        ("unplanned", "Ben", TOLD_MS, "match: The match, cancelled 2024-06-02 12:07:00 UTC"),
    ]


async def test_who_announced_it_is_known_after_a_kill_as_well():
    world = AuditedWorld()
    records = await world.records(*AN_INCIDENT, *passed(NOON + HOUR + 1))
    async with running(world) as (handler, _):
        await world.plan(actor="Ana")
        await handler.handle(records[:2])
        await until(lambda: handler._offsets[PLANNED_EVENTS] == 1)
        await handler.checkpoint()
    async with running(world) as (handler, start):
        assert start == 2
        await handler.handle(records[2:])
        await until(lambda: len(world.rows) == 2)
    (planned,) = [row for row in world.rows if row["what"] == "planned"]
    assert (planned["actor"], planned["why"]) == ("Ana", "match: The match, announced 2024-06-02 12:07:00 UTC")
    # What was announced by then was found with the incident.
    assert planned["time"].timestamp() * 1000 == NOON + HOUR


@pytest.mark.parametrize("number", range(3))
def test_a_change_that_somebody_asked_for_is_one_row_wherever_it_is_folded(number: int):
    incident = changed(an_incident(), changes=(Change("acknowledged", "Ana", NOON, "mine", "a request"),))
    ids = [audit_table([Audited(incident, NOON, Cause(SIGNALS, n))]).to_pylist()[0]["id"] for n in (0, number)]
    assert ids[0] == ids[1]
