"""Delivers the topic of notifications to the receivers that have an address; what waits lies in checkpoints.

At least once: what was delivered since the last checkpoint comes once more after a kill, under the same id, and
receivers drop it. Nothing is lost: what is neither delivered nor put aside is in the checkpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import aiohttp
import numpy as np
import structlog
from aiokafka.structs import ConsumerRecord
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError

from services.correlation.courier import Courier, Letter, Patience
from services.correlation.webhook import Address
from services.runtime import metrics
from services.runtime.catalogue import UNDELIVERED
from services.runtime.checkpoints import CheckpointStore
from services.runtime.log import LogWriter
from services.runtime.packing import pack, unpack
from services.runtime.producer import acknowledged_at_last, cloud_event_headers
from urban.common.v1.checkpoint_pb2 import Checkpoint
from urban.correlation.v1.notification_pb2 import Notification

log = structlog.get_logger(__name__)

DOMAIN, KIND = "correlation", "delivery"
# Raise it when the arrays below change.
LAYOUT = 1


@dataclass(frozen=True)
class DeliverySetup:
    """What the handler is made with."""

    addresses: Mapping[str, Address]  # by receiver
    patience: Patience  # with each notification
    store: CheckpointStore
    writer: LogWriter


class DeliveryHandler:
    """The handler of the topic of notifications (see `PartitionHandler`)."""

    def __init__(self, setup: DeliverySetup, partition: int) -> None:
        self._setup, self._partition = setup, partition
        self._next_offset = 0
        self._session: aiohttp.ClientSession | None = None
        self._couriers: dict[str, Courier] = {}
        self._running: list[asyncio.Task[None]] = []

    async def restore(self) -> int | None:
        """Loads the newest checkpoint, and goes on with what waited then."""
        newest = await self._setup.store.load(self._partition)
        session = self._session = aiohttp.ClientSession()
        for name, address in self._setup.addresses.items():
            courier = Courier(name, address, session, self._put_aside, self._setup.patience)
            self._couriers[name] = courier
            self._running.append(asyncio.create_task(courier.run(), name=f"courier to {name}"))
        if newest is None:
            return None
        arrays, _ = unpack(newest.checkpoint.body)
        data, ends = arrays["waiting"].tobytes(), np.cumsum(arrays["sizes"]).tolist()
        for start, end in zip([0, *ends[:-1]], ends, strict=False):
            await self._send(data[start:end])
        self._next_offset = newest.checkpoint.next_offset
        return self._next_offset

    async def handle(self, records: Sequence[ConsumerRecord]) -> None:
        """Takes one fetch of the notifications."""
        self._raise_failure()
        for record in records:
            await self._send(record.value or b"")
            self._next_offset = record.offset + 1

    async def checkpoint(self) -> int:
        """Saves what waits; the offset that is now safe to commit."""
        self._raise_failure()
        next_offset = self._next_offset
        waiting = [letter.value for courier in self._couriers.values() for letter in courier.waiting()]
        body = pack(
            {
                "waiting": np.frombuffer(b"".join(waiting), np.uint8),
                "sizes": np.array([len(value) for value in waiting], "<u4"),
            },
            {},
        )
        await self._setup.store.save(
            Checkpoint(
                layout=LAYOUT,
                domain=DOMAIN,
                kind=KIND,
                partition=self._partition,
                next_offset=next_offset,
                body=body,
            )
        )
        return next_offset

    def close(self) -> None:
        """Forgets the partition."""
        for task in self._running:
            task.cancel()
        if self._session is not None:
            self._closing = asyncio.create_task(self._session.close())

    async def _send(self, value: bytes) -> None:
        try:
            message = Notification.FromString(value)
        except DecodeError:
            message = Notification()
        courier = self._couriers.get(message.receiver)
        if courier is None or not message.id:
            # Whoever has no address reads the topic, or nobody: it stays there and in ClickHouse.
            metrics.DELIVERIES.labels("", "unrouted").inc()
            return
        body = MessageToJson(message, indent=None).encode()
        await courier.take(Letter(message.id, message.incident_id.encode(), value, body))

    async def _put_aside(self, receiver: str, letter: Letter, reason: str) -> None:
        """Writes an undelivered notification to its topic, with the reason in a header."""
        message = Notification.FromString(letter.value)
        headers = cloud_event_headers(
            letter.id, "urban.notification.v1", "/correlation", message.time.ToMilliseconds(), message.incident_id
        )
        told = [("urban_receiver", receiver.encode()), ("urban_error", reason.encode())]
        sent = await self._setup.writer.send(
            UNDELIVERED, letter.value, partition=0, key=letter.key, headers=[*headers, *told]
        )
        await acknowledged_at_last(sent)

    def _raise_failure(self) -> None:
        for task in self._running:
            if task.done() and not task.cancelled():
                task.result()
