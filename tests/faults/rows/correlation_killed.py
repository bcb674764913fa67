"""kill -9 of the correlation and of the responder in every transition of an incident, and in every escalation.

A story of steps (tests/faults/story) is told once to an undisturbed core, and to real processes, one of which is killed
around a step: before it could read; when it has decided and ClickHouse has nothing; when ClickHouse has it and Kafka
has not; when Kafka has it and no checkpoint says so; in the middle of a delivery; or at a random moment. A step ends
when all that must come of it has come. What must not come is looked for at the end.

All strikes, of step, role and moment, stand in a list (`strikes`), and each seed takes the next of them: all seeds of
`make faults` strike the whole list, `make test` always the same few of all parts of the story.

Observations of this row are versions of incidents and notifications.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence, Set
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from deploy.local.process import Child
from services.core.response.case import Notice
from services.core.response.responder import GRACE_MS
from services.correlation.hands import audit_table
from services.correlation.notices import notification_message
from services.runtime.catalogue import INCIDENTS, NOTIFICATIONS, shared_topics
from services.runtime.log import FROM_BEGINNING, LogRecord
from services.runtime.migrations import ensure_schema
from services.runtime.reader import KafkaReader
from services.runtime.topics import ensure_topics
from tests.faults.clickhouse_front import SOUND, ClickHouseFront, holding
from tests.faults.matrix import PROCESS
from tests.faults.row import Outcome, Row, Trial
from tests.faults.story.desk import RECEIVERS, Desk
from tests.faults.story.muted import muted
from tests.faults.story.steps import story
from tests.faults.story.strikes import (
    BEFORE_CHECKPOINT,
    BEFORE_READ,
    BEFORE_STORED,
    BEFORE_TOLD,
    MID_DELIVERY,
    PROCESSOR,
    RESPONDER,
    Strike,
    slice_of,
    tellings,
)
from tests.faults.story.undisturbed import RULES, SILENCE_MS, Expected, undisturbed
from tests.integration.processor.city import REPOSITORY, City
from urban.correlation.v1.incident_pb2 import Incident
from urban.correlation.v1.notification_pb2 import Notification

STEP_TIMEOUT_S = 60.0
POLL_S = 0.02
TABLES = {PROCESSOR: "correlation.incidents", RESPONDER: "correlation.notifications"}
TOPICS = {PROCESSOR: INCIDENTS, RESPONDER: NOTIFICATIONS}
# A checkpoint now and then, or none but that of before: then all is read again.
CHECKPOINT_SECONDS = ("0.2", "1", "300")
LONGEST_RANDOM_S = 1.0


@dataclass
class Tail:
    """All that a topic holds, read on as it grows."""

    reader: KafkaReader
    records: list[LogRecord] = field(default_factory=list)

    async def read_on(self) -> list[LogRecord]:
        self.records += await self.reader.read(POLL_S)
        return self.records


class Stage:
    """The processes of one telling of the story, and what is seen of them."""

    def __init__(self, trial: Trial, city: City, front: ClickHouseFront, desk: Desk, tails: Mapping[str, Tail]) -> None:
        self._chance, self.city, self.front, self.desk, self._tails = trial.chance, city, front, desk, tails
        self.children: dict[str, Child] = {}
        self.kills: Counter[str] = Counter()
        self.struck: set[str] = set()

    def start(self, role: str) -> None:
        """`python -m services.correlation processor`, or the responder with the plans of the story."""
        module = ["services.correlation", role] if role == PROCESSOR else ["tests.faults.story.responder"]
        env = {
            **os.environ,
            "URBAN_KAFKA": self.city.kafka,
            "URBAN_CLICKHOUSE": self.front.url,
            "URBAN_RULES": str(RULES),
            # Else a slow machine makes partitions silent, and event time moves at another record.
            "URBAN_SILENCE_SECONDS": str(SILENCE_MS // 1000),
            "URBAN_CHECKPOINT_SECONDS": self._chance.choice(CHECKPOINT_SECONDS),
            # Else each start waits until the group has missed who was killed.
            "URBAN_STATIC_MEMBER": "true",
            "URBAN_INSTANCE": f"the-{role}",
            "URBAN_RECEIVERS": json.dumps({receiver: self.desk.url(receiver) for receiver in RECEIVERS}),
            "URBAN_RECEIVER_SECRETS": json.dumps(dict.fromkeys(RECEIVERS, "a shared secret")),
        }
        name = f"{role}-{len(self.city.children)}"
        child = Child.start(name, [sys.executable, "-m", *module], self.city.folder / f"{name}.log", env, REPOSITORY)
        self.children[role] = child
        self.city.children.append(child)

    async def kill(self, role: str) -> None:
        """kill -9."""
        child = self.children[role]
        assert child.poll() is None, child.tail(40)
        child.kill()
        await asyncio.to_thread(child.wait)

    async def write(self, expected: Expected) -> None:
        """What happens in a step."""
        if expected.step.values:
            await self.city.send_raw([(0, value) for value in expected.step.values], expected.step.topic)

    async def until(self, holds: Callable[[], Awaitable[bool]], what: str) -> None:
        """As `City.until`, with an eye on processes that end by themselves."""
        until_s = time.monotonic() + STEP_TIMEOUT_S
        while not await holds():
            ended = [child for child in self.children.values() if child.poll() is not None]
            if ended or time.monotonic() > until_s:
                logs = "\n".join(f"--- {child.name}\n{child.tail(25)}" for child in ended or self.children.values())
                raise AssertionError(f"{what}: {'a process ended' if ended else 'not in time'}\n{logs}")

    async def versions(self) -> set[tuple[str, int]]:
        """Versions of incidents that were told."""
        messages = [Incident.FromString(r.value or b"") for r in await self._tails[INCIDENTS].read_on()]
        return {(message.id, message.revision) for message in messages}

    async def notices(self) -> Counter[str]:
        """Notifications that were told, by id."""
        records = await self._tails[NOTIFICATIONS].read_on()
        return Counter(Notification.FromString(r.value or b"").id for r in records)

    def told(self, topic: str) -> list[bytes]:
        return [record.value or b"" for record in self._tails[topic].records]

    async def strike(self, expected: Expected, strike: Strike) -> None:
        """Kills a role at a moment of a step, and starts it again.

        A clock may have run out before this is called: then the role is killed after it has told, and the moment is
        not struck.
        """
        role, moment, met = strike.role, strike.moment, True
        if moment == BEFORE_READ:
            await self.kill(role)
            await self.write(expected)
        elif moment in (BEFORE_STORED, BEFORE_TOLD):
            await self.front.fail(holding(TABLES[role], stored=moment == BEFORE_TOLD))
            await self.write(expected)
            await self.until(lambda: self._met(expected, role), f"{expected.step.name}: an insert into {TABLES[role]}")
            met = self.front.met > 0
            assert met or not expected.step.values, f"{strike}: no insert was held"
            await self.kill(role)
            await self.front.fail(SOUND)
        elif moment == BEFORE_CHECKPOINT:
            await self.write(expected)
            await self.until(lambda: self._all_told(expected, TOPICS[role]), f"{expected.step.name}: told")
            await self.kill(role)
        elif moment == MID_DELIVERY:
            before = len(self.desk.calls)
            self.desk.keep_back()
            await self.write(expected)
            await self.until(lambda: self._called(before, expected), f"{expected.step.name}: a call of a webhook")
            met = len(self.desk.calls) > before
            await self.kill(role)
            self.desk.answer()
        else:
            await self.write(expected)
            await asyncio.sleep(self._chance.uniform(0.0, LONGEST_RANDOM_S))
            await self.kill(role)
        self.kills[f"{role} killed {moment if met else 'after it has told'}"] += 1
        if met:
            self.struck.add(str(strike))
        self.start(role)

    async def _met(self, expected: Expected, role: str) -> bool:
        return self.front.met > 0 or await self._all_told(expected, TOPICS[role])

    async def _called(self, before: int, expected: Expected) -> bool:
        await asyncio.sleep(POLL_S)
        return len(self.desk.calls) > before or self._all_called(expected)

    def _all_called(self, expected: Expected) -> bool:
        return {(notice.receiver, notice.id) for notice in expected.notices} <= set(self.desk.calls)

    async def _all_told(self, expected: Expected, topic: str) -> bool:
        if topic == INCIDENTS:
            return {key_of(version.incident) for version in expected.versions} <= await self.versions()
        return {notice.id for notice in expected.notices} <= (await self.notices()).keys()

    async def until_done(self, expected: Expected) -> None:
        """Everything that must come of a step has come, to the topics and to the receivers."""

        async def done() -> bool:
            told = await self._all_told(expected, INCIDENTS) and await self._all_told(expected, NOTIFICATIONS)
            return told and self._all_called(expected)

        await self.until(done, f"{expected.step.name}: what must come of it")


def key_of(incident: object) -> tuple[str, int]:
    return incident.id, incident.revision  # type: ignore[attr-defined]


def whole_story() -> list[Expected]:
    """All that is told, and what must come of it. People act now: old actions are forgotten."""
    return undisturbed([*story(time.time_ns() // 1_000_000), *muted()])


async def run(trial: Trial) -> Outcome:
    expected = whole_story()
    every = tellings(expected)
    outcome = Outcome(every=frozenset(str(strike) for strikes in every for strike in strikes))
    for strikes in slice_of(every, trial.seed, trial.faults):
        outcome += await tell(trial, expected, strikes)
    return outcome


async def tell(trial: Trial, expected: Sequence[Expected], strikes: Sequence[Strike]) -> Outcome:
    """The story once; each strike is of another step."""
    async with AsyncExitStack() as parts:
        city = await parts.enter_async_context(trial.world.city())
        await ensure_topics(city.kafka, shared_topics(()))
        await ensure_schema(city.clickhouse_url, "correlation")
        front = await parts.enter_async_context(ClickHouseFront(city.clickhouse_url).running())
        desk = await parts.enter_async_context(Desk().running())
        tails = {topic: Tail(KafkaReader(city.kafka, topic)) for topic in (INCIDENTS, NOTIFICATIONS)}
        for tail in tails.values():
            await tail.reader.start(FROM_BEGINNING)
            parts.push_async_callback(tail.reader.stop)
        stage = Stage(trial, city, front, desk, tails)
        for role in (PROCESSOR, RESPONDER):
            stage.start(role)
        of_steps = {strike.step: strike for strike in strikes}
        for number, one in enumerate(expected):
            if number in of_steps:
                await stage.strike(one, of_steps[number])
            else:
                await stage.write(one)
            await stage.until_done(one)
        # Time for whatever would be told once more.
        await asyncio.sleep(GRACE_MS / 1000 + 1.5)
        return await compare(stage, expected)


async def compare(stage: Stage, expected: Sequence[Expected]) -> Outcome:
    """What was told against what had to be; AssertionError where something is told that is otherwise."""
    await stage.versions()
    told = await stage.notices()
    messages = {message for one in expected for message in one.messages}
    strangers = [_in_short(Incident.FromString(value)) for value in set(stage.told(INCIDENTS)) - messages]
    assert not strangers, f"versions that an undisturbed run does not tell: {strangers}"
    notices = {notice.id: notice for one in expected for notice in one.notices}
    for value in stage.told(NOTIFICATIONS):
        check_notification(Notification.FromString(value), notices)
    calls = stage.desk.taken()
    order = {call.id: place for place, call in enumerate(calls)}
    for receiver in RECEIVERS:
        mine = [order[n.id] for one in expected for n in one.notices if n.receiver == receiver and n.id in order]
        assert mine == sorted(mine), f"{receiver} was told in another order"
    assert {call.id for call in calls} <= notices.keys(), "a webhook was called about something that nobody told"
    await check_tables(stage.city, expected)
    outcome = Outcome(faults=stage.kills, observations=len(messages) + len(notices), struck=frozenset(stage.struck))
    outcome.lost = lost(messages, set(stage.told(INCIDENTS)), notices.keys(), told.keys(), order.keys())
    outcome.doubled = sum(count - 1 for count in told.values())
    return outcome


def lost(messages: Set[bytes], told: Set[bytes], notices: Set[str], noted: Set[str], called: Set[str]) -> int:
    """Versions that were not told, and notices that do not stand on their topic, or of which no receiver was called."""
    return len(messages - told) + len(notices - (noted & called))


def _in_short(i: Incident) -> str:
    return f"{i.id} {i.title}, revision {i.revision}: {i.state}, {i.action_count} actions, planned {i.planned_event!r}"


def check_notification(found: Notification, notices: Mapping[str, Notice]) -> None:
    """All but its times, which are those of the clock on the wall."""
    assert found.id in notices, f"nobody was to be told this: {found}"
    wanted = notification_message(notices[found.id])
    for message in (found, wanted):
        for name in ("time", "due_time"):
            message.ClearField(name)
    assert found == wanted


async def check_tables(city: City, expected: Sequence[Expected]) -> None:
    """ClickHouse: the last version of each incident, every change with who, when and why, every notification once."""
    last = {version.incident.id: version.incident for one in expected for version in one.versions}
    rows = await city.query(
        "SELECT toString(id), revision, state, superseded_by, acknowledged_by FROM correlation.incidents FINAL"
        " ORDER BY 1"
    )
    assert rows == [
        (i.id, i.revision, i.state.name.lower(), i.superseded_by, i.acknowledged_by)
        for i in sorted(last.values(), key=lambda i: i.id)
    ]
    names = ("id", "incident_id", "what", "actor", "why", "state", "revision", "request_id")
    audit = [row for one in expected for row in audit_table(one.versions).to_pylist()]
    wanted = sorted((*(row[n] for n in names), round(row["time"].timestamp() * 1000)) for row in audit)
    columns = ", ".join(f"toString({n})" if n.endswith("id") else n for n in names)
    found = await city.query(f"SELECT {columns}, toUnixTimestamp64Milli(time) FROM correlation.incident_audit FINAL")
    missing, strange = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
    assert sorted(found) == wanted, f"the audit misses {missing}, and has {strange}"
    ids = sorted(notice.id for one in expected for notice in one.notices)
    assert await city.query("SELECT toString(id) FROM correlation.notifications FINAL ORDER BY 1") == [
        (i,) for i in ids
    ]


# `make test`: a third of the steps once. `make faults`: the whole list.
ROWS = (Row("correlation_killed", PROCESS, run, once=13, whole=369),)
