"""Brings entities of a file to the service of their domain: first all are checked there, then they are written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc

from services.cli.calls import in_words
from services.cli.entity_csv import read_csv
from services.cli.entity_files import Fault, FileFormat, Into, UnreadableFileError, format_of, read_entities
from services.cli.entity_geojson import read_geojson
from services.runtime.entities import Entity
from urban.common.v1.service_pb2 import BatchUpsertEntitiesRequest

# A service takes as many in one call, and 4 MiB.
MOST_ENTITIES = 1_000
MOST_BYTES = 2 << 20
# It waits for Kafka for half a minute.
ANSWER_TIMEOUT_S = 60.0

Progress = Callable[[int, int], None]  # so many, of so many


def read_file(
    path: Path, format: FileFormat | None, into: Into, id_column: str
) -> tuple[list[str], list[Entity], list[Fault]]:
    """Where the rows of a file stand, the entities that they are, and what is wrong with others.

    ValueError, OSError: nothing of it can be read.
    """
    format = format or format_of(path.name)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if format is FileFormat.CSV:
                read = list(read_entities(read_csv(file, id_column), into))
            else:
                read = list(read_entities(read_geojson(file.read(), id_column), into))
    except UnicodeDecodeError as error:
        raise UnreadableFileError(f"is no UTF-8 at byte {error.start:,}: convert the file first") from None
    entities = [entity for _, entity in read if isinstance(entity, Entity)]
    return [place for place, _ in read], entities, [f for _, faults in read if isinstance(faults, list) for f in faults]


def batches(entities: Iterable[Entity]) -> Iterator[list[Entity]]:
    """As many together as one call takes, in their order."""
    batch: list[Entity] = []
    size = 0
    for entity in entities:
        own = entity.ByteSize()
        if batch and (len(batch) == MOST_ENTITIES or size + own > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entity)
        size += own
    if batch:
        yield batch


class Import:
    """One run over the entities of a file; `places` says where each stands in it."""

    def __init__(self, stub: Any, places: Sequence[str], entities: Sequence[Entity]) -> None:
        self.places = places
        self.written = 0  # so many of the first ones are in the log
        self.error = ""  # why it went no further; empty: it did
        self._stub, self._entities = stub, entities

    def check(self, tell: Progress) -> Iterator[Fault]:
        """What the service finds wrong; nothing is written. RpcError: it cannot be asked."""
        done = 0
        for batch in batches(self._entities):
            request = BatchUpsertEntitiesRequest(entities=batch, validate_only=True)
            for r in self._stub.BatchUpsertEntities(request, timeout=ANSWER_TIMEOUT_S).rejections:
                yield Fault(self.places[done + r.index], r.field, r.value, r.reason)
            done += len(batch)
            tell(done, len(self._entities))

    def write(self, tell: Progress) -> None:
        """Writes batch after batch; where one fails, `written` and `error` say how far it came."""
        for batch in batches(self._entities):
            try:
                self._stub.BatchUpsertEntities(BatchUpsertEntitiesRequest(entities=batch), timeout=ANSWER_TIMEOUT_S)
            except grpc.RpcError as error:
                self.error = in_words(error)
                return
            self.written += len(batch)
            tell(self.written, len(self._entities))
