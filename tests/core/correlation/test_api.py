"""CorrelationService over a log in memory: what the view knows, how pages are cut, who takes an incident over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from services.correlation import acting as acting_module
from services.correlation import api as api_module
from services.correlation.api import CorrelationApi
from services.correlation.finding_calls import FindingView
from services.correlation.intake import read_action, read_planned_event
from services.correlation.planned import PlannedEventView
from services.correlation.view import IncidentView
from services.runtime.api.watch import TopicWatches
from services.runtime.catalogue import FINDINGS, INCIDENT_ACTIONS, INCIDENTS, PLANNED_EVENTS
from services.runtime.errors import CallError
from services.runtime.fakes import MemoryLog
from urban.correlation.v1.incident_pb2 import Incident, IncidentAction, IncidentState, PlannedEvent
from urban.correlation.v1.service_pb2 import (
    AcknowledgeIncidentRequest,
    AssignIncidentRequest,
    DispatchIncidentRequest,
    ListIncidentsRequest,
    ListPlannedEventsRequest,
    MergeIncidentRequest,
    ReopenIncidentRequest,
    ReportIncidentRequest,
    ResolveIncidentRequest,
    UpsertPlannedEventRequest,
)

OPEN, ACKNOWLEDGED = IncidentState.INCIDENT_STATE_OPEN, IncidentState.INCIDENT_STATE_ACKNOWLEDGED
SUPERSEDED, RETRACTED = IncidentState.INCIDENT_STATE_SUPERSEDED, IncidentState.INCIDENT_STATE_RETRACTED


class Call:
    """The context of a call without a deadline."""

    def time_remaining(self) -> None:
        return None


CONTEXT: Any = Call()


def incident(number: int, **fields: Any) -> Incident:
    """The incident of that number, one starting a second after the other."""
    id_ = f"00000000-0000-0000-0000-{number:012d}"
    made = Incident(id=id_, name=f"cities/auckland/incidents/{id_}", city="auckland", revision=1, state=OPEN)
    made.start_time.FromSeconds(number)
    made.MergeFrom(Incident(**fields))
    return made


class City:
    """A log with incidents, a view of it, and the calls."""

    def __init__(self) -> None:
        self.log = MemoryLog({INCIDENTS: 1, INCIDENT_ACTIONS: 1, PLANNED_EVENTS: 1, FINDINGS: 1})
        self.view = IncidentView(self.log.reader)
        self.planned = PlannedEventView(self.log.reader)
        self.findings = FindingView(self.log.reader)
        self.api = CorrelationApi(self.view, self.planned, self.findings, TopicWatches(self.log.reader), self.log)
        self.calls = self.api.service().methods

    async def tell(self, *incidents: Incident) -> None:
        for made in incidents:
            await self.log.send(INCIDENTS, made.SerializeToString(), partition=0, key=made.id.encode())

    async def listed(self, **fields: Any) -> tuple[list[int], str]:
        """Numbers of the incidents of a page, and the token of the next."""
        response = await self.api.list_incidents(ListIncidentsRequest(parent="cities/auckland", **fields), CONTEXT)
        return [int(i.id[-12:]) for i in response.incidents], response.next_page_token

    async def fold_actions(self, fold: Any) -> None:
        """Stands for the processor: tells what `fold` makes of every action."""
        reader = self.log.reader(INCIDENT_ACTIONS)
        await reader.start({0: 0})
        while True:
            for record in await reader.read(1.0):
                await self.tell(*fold(IncidentAction.FromString(record.value or b"")))


@asynccontextmanager
async def city_with(*incidents: Incident) -> AsyncIterator[City]:
    city = City()
    await city.tell(*incidents)
    await city.view.start()
    await city.planned.start()
    try:
        yield city
    finally:
        await city.planned.stop()
        await city.view.stop()


async def test_the_newest_incidents_come_first_and_pages_continue_behind_each_other():
    async with city_with(*(incident(n) for n in (3, 1, 5, 2, 4))) as city:
        first, token = await city.listed(page_size=2)
        second, token = await city.listed(page_size=2, page_token=token)
        last, end = await city.listed(page_size=2, page_token=token)
        assert (first, second, last, end) == ([5, 4], [3, 2], [1], "")


async def test_a_page_ends_where_it_would_grow_too_large_but_is_never_empty(monkeypatch):
    monkeypatch.setattr(api_module, "MAX_PAGE_BYTES", 3_000)
    async with city_with(*(incident(n, query="x" * size) for n, size in ((3, 900), (2, 900), (1, 5_000)))) as city:
        first, token = await city.listed()
        second, end = await city.listed(page_token=token)
        assert (first, second, end) == ([3, 2], [1], "")


async def test_ended_incidents_are_listed_only_when_asked_for():
    ended = [incident(n, state=s) for n, s in ((2, SUPERSEDED), (3, RETRACTED), (4, MERGED))]
    async with city_with(incident(1), *ended) as city:
        assert (await city.listed())[0] == [1]
        assert (await city.listed(state=SUPERSEDED))[0] == [2]
        assert (await city.listed(state=ACKNOWLEDGED))[0] == []


async def test_an_older_version_that_comes_again_changes_nothing():
    async with city_with(incident(1, revision=7, state=ACKNOWLEDGED), incident(1, revision=3)) as city:
        found = city.view.get("auckland", incident(1).id)
        assert found is not None
        assert (found.revision, found.state) == (7, ACKNOWLEDGED)
        assert city.view.get("wellington", incident(1).id) is None


async def test_a_strangers_record_is_passed_over():
    city = City()
    await city.log.send(INCIDENTS, b"\xff", partition=0, key=b"x")
    await city.log.send(INCIDENTS, None, partition=0, key=b"x")
    await city.tell(incident(1))
    await city.view.start()
    assert len(city.view) == 1
    await city.view.stop()


def folded(action: IncidentAction) -> list[Incident]:
    return [incident(1, revision=2, state=ACKNOWLEDGED, acknowledged_by=action.actor)]


async def test_an_acknowledgement_is_written_and_answered_when_the_topic_shows_it():
    async with city_with(incident(1)) as city, asyncio.TaskGroup() as tasks:
        folding = tasks.create_task(city.fold_actions(folded))
        request = AcknowledgeIncidentRequest(name=incident(1).name, actor="Ana", note="on my way")
        answer = await city.calls["AcknowledgeIncident"](request, CONTEXT)
        folding.cancel()
        assert (answer.state, answer.revision, answer.acknowledged_by) == (ACKNOWLEDGED, 2, "Ana")
        (record,) = city.log.records(INCIDENT_ACTIONS)[0]
        action = IncidentAction.FromString(record.value or b"")
        assert (action.incident_id, action.actor, action.acknowledgement.note) == (incident(1).id, "Ana", "on my way")
        assert record.key == incident(1).id.encode()
        assert dict(record.headers)["ce_id"] == action.request_id.encode()


async def refusal(city: City, number: int, actor: str = "Ana", **fields: Any) -> CallError:
    request = AcknowledgeIncidentRequest(name=incident(number).name, actor=actor, **fields)
    with pytest.raises(CallError) as refused:
        await city.calls["AcknowledgeIncident"](request, CONTEXT)
    return refused.value


async def test_whoever_comes_second_is_refused():
    async with city_with(incident(1)) as city, asyncio.TaskGroup() as tasks:
        folding = tasks.create_task(city.fold_actions(lambda _: [incident(1, revision=2, acknowledged_by="Bob")]))
        refused = await refusal(city, 1)
        folding.cancel()
        assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
        assert "Bob has taken it over" in refused.message


async def test_an_incident_that_is_superseded_meanwhile_is_answered_with_its_heir():
    async with city_with(incident(1)) as city, asyncio.TaskGroup() as tasks:
        heir = incident(2, state=ACKNOWLEDGED, acknowledged_by="Ana")
        ended = incident(1, revision=2, state=SUPERSEDED, superseded_by=heir.id)
        folding = tasks.create_task(city.fold_actions(lambda _: [heir, ended]))
        request = AcknowledgeIncidentRequest(name=incident(1).name, actor="Ana")
        assert (await city.calls["AcknowledgeIncident"](request, CONTEXT)).id == heir.id
        folding.cancel()


@pytest.mark.parametrize("state", [IncidentState.INCIDENT_STATE_RESOLVED, SUPERSEDED, RETRACTED])
async def test_what_has_ended_cannot_be_taken_over(state):
    async with city_with(incident(1, state=state, superseded_by=incident(2).id), incident(2)) as city:
        assert (await refusal(city, 1)).code is grpc.StatusCode.FAILED_PRECONDITION
        assert city.log.records(INCIDENT_ACTIONS)[0] == []


async def test_where_nobody_folds_the_caller_may_ask_again(monkeypatch):
    monkeypatch.setattr(acting_module, "ACT_SECONDS", 0.05)
    async with city_with(incident(1)) as city:
        assert (await refusal(city, 1)).code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    ("fields", "field"),
    [({"actor": "x" * 129}, "actor"), ({"actor": " "}, "actor"), ({"note": "x" * 1001}, "note")],
)
async def test_what_is_too_long_or_missing_is_refused(fields, field):
    async with city_with(incident(1)) as city:
        refused = await refusal(city, 1, **fields)
        assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
        assert refused.message.startswith(f"{field}: ")


async def test_a_view_that_is_stopped_says_so():
    async with city_with(incident(1)) as city:
        await city.view.stop()
        with pytest.raises(ConnectionError, match="was stopped"):
            await city.view.changed()


PARK = incident(2)
DEEDS = [
    ("AssignIncident", AssignIncidentRequest(assignee="Bob"), "assignment"),
    ("DispatchIncident", DispatchIncidentRequest(units="engine 7"), "dispatch"),
    ("ReportIncident", ReportIncidentRequest(note="smoke"), "feedback"),
    ("ResolveIncident", ResolveIncidentRequest(note="nothing there"), "resolution"),
    ("MergeIncident", MergeIncidentRequest(into=PARK.name), "merging"),
    ("ReopenIncident", ReopenIncidentRequest(note="it burns again"), "reopening"),
]


@pytest.mark.parametrize(("call", "asked", "action"), DEEDS)
async def test_each_deed_is_written_once_and_answered_when_the_incident_shows_it(call, asked, action):
    state = IncidentState.INCIDENT_STATE_RESOLVED if call == "ReopenIncident" else OPEN
    there = incident(1, state=state)
    there.end_time.FromSeconds(99)
    async with city_with(there, PARK) as city, asyncio.TaskGroup() as tasks:
        folding = tasks.create_task(city.fold_actions(lambda a: [incident(1, revision=2, actions=[a])]))
        request = type(asked)(name=there.name, actor="Ana", request_id=REQUEST)
        request.MergeFrom(asked)
        answer = await city.calls[call](request, CONTEXT)
        assert await city.calls[call](request, CONTEXT) == answer, "a repetition is answered with the same"
        folding.cancel()
        (record,) = city.log.records(INCIDENT_ACTIONS)[0]
        written = IncidentAction.FromString(record.value or b"")
        assert (written.WhichOneof("action"), written.request_id, written.seen_end_time.seconds) == (
            action,
            REQUEST,
            99,
        )
        assert read_action(record.value).actor == "Ana"
        if call == "MergeIncident":
            assert written.merging.into_incident_id == PARK.id


REQUEST = "11111111-2222-3333-4444-555555555555"
MERGED = IncidentState.INCIDENT_STATE_MERGED
WRONG = [
    ("AssignIncident", AssignIncidentRequest(), {}, "assignee"),
    ("DispatchIncident", DispatchIncidentRequest(units="x" * 257), {}, "units"),
    ("ReportIncident", ReportIncidentRequest(note=" "), {}, "note"),
    ("ReopenIncident", ReopenIncidentRequest(note="x"), {}, "it is open, and so cannot be reopened"),
    ("ResolveIncident", ResolveIncidentRequest(note="x"), {"state": MERGED}, "it is merged"),
    ("ResolveIncident", ResolveIncidentRequest(note="x"), {"settled": True}, "it is settled"),
    ("AssignIncident", AssignIncidentRequest(assignee="B"), {"action_count": 500}, "it has had 500 actions"),
    ("MergeIncident", MergeIncidentRequest(into=incident(1).name), {}, "another incident"),
    ("MergeIncident", MergeIncidentRequest(into=incident(7).name), {}, "does not exist"),
    ("MergeIncident", MergeIncidentRequest(into="x"), {}, "into: x"),
]


@pytest.mark.parametrize(("call", "asked", "fields", "text"), WRONG)
async def test_a_deed_that_cannot_be_is_refused_and_not_written(call, asked, fields, text):
    async with city_with(incident(1, **fields), PARK) as city:
        request = type(asked)(name=incident(1).name, actor="Ana")
        request.MergeFrom(asked)
        with pytest.raises(CallError) as refused:
            await city.calls[call](request, CONTEXT)
        assert text in refused.value.message
        assert city.log.records(INCIDENT_ACTIONS)[0] == []


def match(number: int = 1, **fields: Any) -> PlannedEvent:
    event = PlannedEvent(
        name=f"cities/auckland/plannedEvents/match-{number}", title="A match", actor="Ana", radius_m=300
    )
    event.start_time.FromSeconds(number)
    event.end_time.FromSeconds(number + 100)
    event.position.SetInParent()
    event.MergeFrom(PlannedEvent(**fields))
    return event


async def test_planned_events_are_written_replaced_and_listed_by_their_start():
    async with city_with() as city:
        for event in (match(2), match(1), match(3), match(2, title="A better match")):
            stored = await city.calls["UpsertPlannedEvent"](UpsertPlannedEventRequest(planned_event=event), CONTEXT)
            assert stored.HasField("update_time")
            assert read_planned_event(stored.SerializeToString()).title == event.title
        seen: list[tuple[str, str]] = []
        token = ""
        while not seen or token:
            request = ListPlannedEventsRequest(parent="cities/auckland", page_size=2, page_token=token)
            page = await city.calls["ListPlannedEvents"](request, CONTEXT)
            seen += [(event.name[-1], event.title) for event in page.planned_events]
            token = page.next_page_token
        assert seen == [("1", "A match"), ("2", "A better match"), ("3", "A match")]


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (match(name="cities/auckland/plannedEvents/Match"), "planned_event.name"),
        (match(title="x" * 257), "planned_event.title"),
        (match(actor=" " * 200), "planned_event.actor"),
        (match(radius_m=200_000), "planned_event.radius_m"),
        (match(position={"latitude": 91}), "planned_event.position"),
        (match(end_time={"seconds": 400 * 86_400}), "planned_event.end_time"),
        (match(kinds=["Traffic"]), "planned_event.kinds[0]"),
    ],
)
async def test_a_planned_event_that_cannot_be_is_refused_with_the_field(event, field):
    async with city_with() as city:
        with pytest.raises(CallError) as refused:
            await city.calls["UpsertPlannedEvent"](UpsertPlannedEventRequest(planned_event=event), CONTEXT)
        assert refused.value.message.startswith(f"{field}: ")
        assert city.log.records(PLANNED_EVENTS)[0] == []
