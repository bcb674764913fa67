"""Stores every version of a domain's entities in ClickHouse, from the compacted topic that all of them lie in."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from google.protobuf.message import DecodeError

from services.runtime.catalogue import ENTITIES
from services.runtime.entities import ENTITY_NAME, Entity
from services.runtime.log import FROM_BEGINNING, LogRecord
from services.runtime.outbox import Tables
from services.runtime.reader import KafkaReader

READ_WAIT_S = 0.5
_NUMBERS = pa.map_(pa.string(), pa.float64())
_LABELS = pa.map_(pa.string(), pa.string())


class EntityArchive:
    """Reads the topic whole at every start: it is small, and the table keeps the newest version of each."""

    def __init__(self, domain: str, kafka: str, tables: Tables) -> None:
        self._domain, self._tables = domain, tables
        self._reader = KafkaReader(kafka, ENTITIES)
        self._stopping = False

    async def run(self) -> None:
        """Store until `stop`."""
        await self._reader.start(FROM_BEGINNING)
        try:
            while not self._stopping:
                found = [e for r in await self._reader.read(READ_WAIT_S) if (e := self._of_domain(r)) is not None]
                if found:
                    await self._tables.insert(f"{self._domain}.entities", entities_table(found))
        finally:
            await self._reader.stop()

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
