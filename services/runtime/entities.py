"""What observations are about: the compacted topic of entities, held in memory by every process that needs it."""

from __future__ import annotations

import asyncio
import re
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
import structlog
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from services.core.signals import CARRIED_LABELS, COUNTED_LABELS, HEARD_LABELS
from services.runtime.catalogue import ENTITIES
from services.runtime.declared import find_domain
from services.runtime.log import FROM_BEGINNING, LogError, LogReader, LogRecord, OpenReader
from services.runtime.reader import KafkaReader
from urban.common.v1.entity_pb2 import Entity

__all__ = ["ENTITY_NAME", "Entity", "EntityRegistry", "entity_name"]

log = structlog.get_logger(__name__)

# cities/{city}/domains/{domain}/entities/{entity}
ENTITY_NAME = re.compile(
    r"cities/(?P<city>[a-z0-9-]{1,63})/domains/(?P<domain>[a-z][a-z0-9_]{0,62})/entities/(?P<entity>[A-Za-z0-9._~:-]{1,128})"
)
_READ_SECONDS = 1.0

_Key = tuple[str, str, str]


def entity_name(city: str, domain: str, entity_id: str) -> str:
    """The resource name of an entity."""
    return f"cities/{city}/domains/{domain}/entities/{entity_id}"


class EntityRegistry:
    """Every entity of the deployment in its newest version; follows the topic from `start` until `stop`.

    An unknown error of the log stops the following, and every later `refresh` raises it.
    """

    def __init__(self, kafka: str, open_reader: OpenReader | None = None) -> None:
        """`kafka`: bootstrap servers; `open_reader` takes the place of Kafka's reader in tests."""
        self._open_reader = open_reader or (lambda topic: KafkaReader(kafka, topic))
        self.on_new: Callable[[str, str, str], None] | None = None  # hears city, domain and id of who was not known
        self._reader: LogReader | None = None
        self.version = 0  # another number when something of an entity may have changed
        self._entities: dict[_Key, Entity] = {}
        self._names: dict[tuple[str, str], list[str]] = {}  # ids by city and domain, in order
        self._sharing: Counter[_Key] = Counter()  # entities by city, label and its value
        self._positions: dict[int, int] = {}
        self._moved = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Returns when everything is read that the topic held at this moment. LogError where it cannot be reached."""
        reader = self._open_reader(ENTITIES)
        await reader.start(FROM_BEGINNING)
        self._reader = reader
        self._following = asyncio.create_task(self._follow(reader), name="entities")
        self._following.add_done_callback(lambda _: self._wake())
        try:
            await self.refresh()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._following is not None:
            self._following.cancel()
            await asyncio.wait([self._following])
        if self._reader is not None:
            reader, self._reader = self._reader, None
            await reader.stop()

    async def wait(self) -> None:
        """Raises what ended the following; it does not end by itself."""
        if self._following is not None:
            await asyncio.wait([self._following])
            if not self._following.cancelled():
                self._following.result()

    async def refresh(self) -> None:
        """Returns when everything is read that the topic held at this moment."""
        if self._reader is None:
            raise LogError("the registry of entities is not started")
        await self._wait_for(await self._reader.end_offsets())

    async def wait_for(self, partition: int, offset: int) -> None:
        """Returns when the record at this offset is read."""
        await self._wait_for({partition: offset + 1})

    async def _wait_for(self, ends: dict[int, int]) -> None:
        while any(self._positions.get(partition, 0) < end for partition, end in ends.items()):
            if self._following is None or self._following.cancelled():
                raise LogError("the registry of entities was stopped")
            if self._following.done():
                self._following.result()  # raises what ended the following
            await self._moved.wait()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _follow(self, reader: LogReader) -> None:
        while True:
            self._positions = await reader.positions()
            self._wake()
            for record in await reader.read(_READ_SECONDS):
                self._take(record)

    def _take(self, record: LogRecord) -> None:
        match = ENTITY_NAME.fullmatch((record.key or b"").decode("utf-8", "replace"))
        try:
            entity = Entity.FromString(record.value) if record.value is not None else None
        except DecodeError:
            match = None
            entity = None
        if match is None:
            # Only the services write here. A stranger's record must not stop the city, and nobody has asked for it.
            log.warning("no entity", topic=record.topic, partition=record.partition, offset=record.offset)
            return
        self._put((match["city"], match["domain"], match["entity"]), entity)

    def _put(self, key: _Key, entity: Entity | None) -> None:
        self.version += 1
        names = self._names.setdefault(key[:2], [])
        known = key in self._entities
        for version, one in ((self._entities.get(key), -1), (entity, 1)):
            for label in COUNTED_LABELS:
                if version is not None and version.labels.get(label) and _counts(label, key[1], version):
                    self._sharing[key[0], label, version.labels[label]] += one
        if entity is None:
            if known:
                del self._entities[key]
                del names[bisect_left(names, key[2])]
            return
        if not known:
            insort(names, key[2])
            if self.on_new is not None:
                self.on_new(*key)
        self._entities[key] = entity

    def __len__(self) -> int:
        return len(self._entities)

    def get(self, city: str, domain: str, entity_id: str) -> Entity | None:
        """The entity, None where it is not known. It is shared: not to be changed."""
        return self._entities.get((city, domain, entity_id))

    def attributes(self, city: str, entity: Entity) -> tuple[tuple[str, str], ...]:
        """What signals say of an entity, by name: its labels that rules ask for, and how many entities share those.

        Counted are all entities of its city, of whichever domain, as they are known now; of a cabinet those that some
        detector might tell to have fallen silent.
        """
        found = {name: entity.labels[name] for name in CARRIED_LABELS if name in entity.labels}
        shared = {
            n: self._sharing[city, label, found[label]] for label, n in COUNTED_LABELS.items() if found.get(label)
        }
        return tuple(sorted({**found, **{name: str(count) for name, count in shared.items()}}.items()))

    def list(self, city: str, domain: str, type: str = "", after: str = "", limit: int | None = None) -> list[Entity]:
        """Entities of a city and domain in the order of their ids, of that type (empty: any), behind the id `after`."""
        names = self._names.get((city, domain), [])
        found: list[Entity] = []
        for name in names[bisect_left(names, after + "\0") if after else 0 :]:
            if limit is not None and len(found) >= limit:
                break
            entity = self._entities[(city, domain, name)]
            if not type or entity.type == type:
                found.append(entity)
        return found

    def ids(self, domain: str) -> dict[str, Sequence[str]]:
        """The ids of a domain's entities by city, in order, as they are now."""
        return {city: [*names] for (city, of_domain), names in self._names.items() if of_domain == domain and names}

    def numbers(
        self, domain: str, cities: Sequence[str], entity_ids: Sequence[str], name: str, default: float
    ) -> NDArray[np.float64]:
        """One number of each entity (parallel sequences), `default` where it has none. Shape: (entities,)."""
        values = np.full(len(entity_ids), default, np.float64)
        for i, key in enumerate(zip(cities, entity_ids, strict=True)):
            entity = self._entities.get((key[0], domain, key[1]))
            if entity is not None and name in entity.numbers:
                values[i] = entity.numbers[name]
        return values

    def labels(self, domain: str, cities: Sequence[str], entity_ids: Sequence[str], name: str) -> NDArray[np.object_]:
        """One label of each entity (parallel sequences), "" where it has none. Shape: (entities,)."""
        values = np.full(len(entity_ids), "", np.object_)
        for i, key in enumerate(zip(cities, entity_ids, strict=True)):
            entity = self._entities.get((key[0], domain, key[1]))
            if entity is not None and name in entity.labels:
                values[i] = entity.labels[name]
        return values


def _counts(label: str, domain: str, entity: Entity) -> bool:
    """Whether an entity is one of those that a label is counted for."""
    if label not in HEARD_LABELS:
        return True
    declared = find_domain(domain)
    return declared is not None and declared.can_fall_silent(entity.type, entity.numbers)
