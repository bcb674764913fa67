"""Tells a running correlation service what a scenario's city knows beforehand."""

from __future__ import annotations

from collections.abc import Iterable

from services.core.correlation.planned import PlannedEvent
from services.feeds.sender import answered
from services.runtime.grpc_client import open_aio_channel
from urban.common.v1.geo_pb2 import Position
from urban.correlation.v1 import incident_pb2
from urban.correlation.v1.service_pb2 import UpsertPlannedEventRequest
from urban.correlation.v1.service_pb2_grpc import CorrelationServiceStub

ACTOR = "scenario"


async def announce(address: str, events: Iterable[PlannedEvent]) -> int:
    """Each event as it is now; how many. Asked again while the service is away; AioRpcError where it says no."""
    told = 0
    async with open_aio_channel(address) as channel:
        stub = CorrelationServiceStub(channel)
        for event in events:
            await answered(stub.UpsertPlannedEvent, UpsertPlannedEventRequest(planned_event=message_of(event)))
            told += 1
    return told


def message_of(event: PlannedEvent) -> incident_pb2.PlannedEvent:
    """As the service takes it."""
    message = incident_pb2.PlannedEvent(
        name=f"cities/{event.city}/plannedEvents/{event.id}",
        title=event.title,
        position=Position(latitude=event.latitude, longitude=event.longitude),
        radius_m=event.radius_m,
        kinds=sorted(event.kinds),
        cancelled=event.cancelled,
        actor=ACTOR,
    )
    message.start_time.FromMilliseconds(event.start_ms)
    message.end_time.FromMilliseconds(event.end_ms)
    return message
