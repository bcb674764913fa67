"""Stores every version of a domain's entities in ClickHouse, from the compacted topic that all of them lie in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa
import structlog
from clickhouse_connect.driver.exceptions import DatabaseError
from google.protobuf.message import DecodeError

from services.runtime.catalogue import ENTITIES
from services.runtime.entities import ENTITY_NAME, Entity
from services.runtime.entity_dictionary import reload_statement
from services.runtime.log import FROM_BEGINNING, LogRecord
from services.runtime.outbox import Tables
from services.runtime.reader import KafkaReader

log = structlog.get_logger(__name__)

READ_WAIT_S = 0.5
# A bulk import comes in many reads, and every look at the table reads all of it.
LONGEST_STALE_S = 2.0
_NUMBERS = pa.map_(pa.string(), pa.float64())
_LABELS = pa.map_(pa.string(), pa.string())


class Store(Tables, Protocol):
    """Where rows go, and what takes statements."""

    async def command(self, sql: str, *, repeatable: bool = False) -> None: ...


class EntityArchive:
    """Reads the topic whole at every start: it is small, and the table keeps the newest version of each."""

    def __init__(self, domain: str, kafka: str, store: Store) -> None:
        self._domain, self._store = domain, store
        self._reader = KafkaReader(kafka, ENTITIES)
        self._stopping = False

    async def run(self) -> None:
        """Store until `stop`."""
        await self._reader.start(FROM_BEGINNING)
        try:
            await self._follow()
        finally:
            await self._reader.stop()

    async def _follow(self) -> None:
        now_s = asyncio.get_running_loop().time
        stale_since_s: float | None = None  # since when the dictionary lacks something
        while not self._stopping:
            found = [e for r in await self._reader.read(READ_WAIT_S) if (e := self._of_domain(r)) is not None]
            if found:
                await self._store.insert(f"{self._domain}.entities", entities_table(found))
                stale_since_s = now_s() if stale_since_s is None else stale_since_s
            if stale_since_s is not None and (not found or now_s() - stale_since_s >= LONGEST_STALE_S):
                await self._reload()
                stale_since_s = None

    async def _reload(self) -> None:
        try:
            await self._store.command(reload_statement(self._domain), repeatable=True)
        except DatabaseError as error:
            # A server looks at the table by itself, some seconds later; we may not be allowed to ask for it.
            log.warning("dictionary_not_reloaded", domain=self._domain, reason=str(error))

    def stop(self) -> None:
        """Ask `run` to return."""
        self._stopping = True

    def _of_domain(self, record: LogRecord) -> Entity | None:
        if record.value is None:
            return None  # a tombstone: what was observed of it stays, and so does its name
        try:
            entity = Entity.FromString(record.value)
        except DecodeError:
            return None  # the registry tells of it
        name = ENTITY_NAME.fullmatch(entity.name)
        return entity if name is not None and name["domain"] == self._domain else None


def entities_table(entities: Sequence[Entity]) -> pa.Table:
    """Rows of `<domain>.entities`."""
    names = [ENTITY_NAME.fullmatch(e.name) for e in entities]
    placed = [e.HasField("position") for e in entities]
    nan = float("nan")
    return pa.table(
        {
            "city": pa.array([n["city"] if n else "" for n in names], pa.string()),
            "entity_id": pa.array([n["entity"] if n else "" for n in names], pa.string()),
            "type": pa.array([e.type for e in entities], pa.string()),
            "display_name": pa.array([e.display_name for e in entities], pa.string()),
            "latitude": pa.array(
                [e.position.latitude if p else nan for e, p in zip(entities, placed, strict=True)], pa.float64()
            ),
            "longitude": pa.array(
                [e.position.longitude if p else nan for e, p in zip(entities, placed, strict=True)], pa.float64()
            ),
            "h3_cell": pa.array([e.position.h3_cell for e in entities], pa.uint64()),
            "numbers": pa.array([sorted(e.numbers.items()) for e in entities], _NUMBERS),
            "labels": pa.array([sorted(e.labels.items()) for e in entities], _LABELS),
            "update_time": pa.array([e.update_time.ToMilliseconds() for e in entities], pa.timestamp("ms", "UTC")),
        }
    )
