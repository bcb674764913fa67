"""The calls about entities, over the registry and its topic: list, get, upsert one or many."""

from __future__ import annotations

import uuid
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence

from services.core.geometry import cell_of
from services.runtime.api.announcer import Announcer
from services.runtime.api.clock import wall_clock_ms
from services.runtime.api.entity_rules import find_violations
from services.runtime.api.intake import MAX_REJECTIONS
from services.runtime.api.names import page_token, read_page_size, read_page_token, read_parent
from services.runtime.catalogue import ENTITIES
from services.runtime.entities import ENTITY_NAME, Entity, EntityRegistry
from services.runtime.errors import Violation, invalid_argument, invalid_field, not_found
from services.runtime.grpc_server import Context
from services.runtime.log import LogWriter
from services.runtime.partitioner import partition_of_key
from services.runtime.producer import acknowledged, cloud_event_headers
from services.runtime.rows import clip
from urban.common.v1.service_pb2 import (
    BatchUpsertEntitiesRequest,
    BatchUpsertEntitiesResponse,
    GetEntityRequest,
    ListEntitiesRequest,
    ListEntitiesResponse,
    Rejection,
    UpsertEntityRequest,
)

MAX_BATCH = 1_000
REMEMBERED_REQUESTS = 10_000
ACKNOWLEDGE_SECONDS = 30.0
EVENT_TYPE = "urban.entity.v1"


class EntityCalls:
    """Serves the entities of one domain."""

    def __init__(self, domain: str, registry: EntityRegistry, writer: LogWriter, announcer: Announcer) -> None:
        self._domain = domain
        self._registry = registry
        self._writer = writer
        self._announcer = announcer
        self._requests: OrderedDict[str, Entity] = OrderedDict()  # what came of the last requests of this replica

    async def list(self, request: ListEntitiesRequest, context: Context) -> ListEntitiesResponse:
        city, size = read_parent(request.parent), read_page_size(request.page_size)
        after = read_page_token(request, (str,))
        found = self._registry.list(city, self._domain, request.type, after[0] if after else "", size + 1)
        more = len(found) > size
        last = [found[size - 1].name.rpartition("/")[2]] if more else []
        return ListEntitiesResponse(entities=found[:size], next_page_token=page_token(request, [*last]) if more else "")

    async def get(self, request: GetEntityRequest, context: Context) -> Entity:
        match = ENTITY_NAME.fullmatch(request.name)
        if match is None or match["domain"] != self._domain:
            reason = f"must be cities/{{city}}/domains/{self._domain}/entities/{{entity}}"
            raise invalid_field("name", request.name, reason)
        found = self._registry.get(match["city"], self._domain, match["entity"])
        if found is None:
            raise not_found(request.name)
        return found

    async def upsert(self, request: UpsertEntityRequest, context: Context) -> Entity:
        """Returns when the log has the entity and this replica lists it. A repeated request_id changes nothing."""
        violations = list(self._find_in_request(request))
        if violations:
            raise invalid_argument(violations)
        if request.request_id in self._requests:
            return self._requests[request.request_id]
        (entity,) = await self._write([request.entity], request.request_id)
        if request.request_id:
            self._requests[request.request_id] = entity
            if len(self._requests) > REMEMBERED_REQUESTS:
                self._requests.popitem(last=False)
        return entity

    async def batch_upsert(self, request: BatchUpsertEntitiesRequest, context: Context) -> BatchUpsertEntitiesResponse:
        """All or none. What Kafka fails to take of a batch is told as UNAVAILABLE: to be sent again, which is safe."""
        entities = request.entities
        if not 1 <= len(entities) <= MAX_BATCH:
            raise invalid_field("entities", f"{len(entities)} of them", f"must be 1 to {MAX_BATCH}")
        violations = list(self._find_in_batch(entities))
        if request.validate_only:
            rejections = (
                Rejection(index=index, field=v.field, value=clip(v.value), reason=v.reason)
                for index, v in violations[:MAX_REJECTIONS]
            )
            return BatchUpsertEntitiesResponse(rejections=rejections)
        if violations:
            raise invalid_argument(Violation(f"entities[{i}].{v.field}", v.value, v.reason) for i, v in violations)
        return BatchUpsertEntitiesResponse(upserted=len(await self._write(entities)))

    def _find_in_request(self, request: UpsertEntityRequest) -> Iterator[Violation]:
        if not request.HasField("entity"):
            yield Violation("entity", "", "is missing")
            return
        for violation in find_violations(self._domain, request.entity):
            yield violation._replace(field=f"entity.{violation.field}")
        if request.request_id and not _is_uuid(request.request_id):
            yield Violation("request_id", request.request_id, "must be empty or a UUID")

    def _find_in_batch(self, entities: Sequence[Entity]) -> Iterator[tuple[int, Violation]]:
        times = Counter(entity.name for entity in entities)
        for index, entity in enumerate(entities):
            for violation in find_violations(self._domain, entity):
                yield index, violation
            if times[entity.name] > 1:
                # Which one would count is nobody's to guess.
                yield index, Violation("name", entity.name, f"comes {times[entity.name]} times")

    async def _write(self, given: Sequence[Entity], event_id: str = "") -> Sequence[Entity]:
        """Returns when the log has these entities, this replica lists them, and the kinds' logs know of them."""
        now_ms = wall_clock_ms()
        partitions = await self._writer.partitions(ENTITIES)
        written, sent = [], []
        for told in given:
            entity = Entity()
            entity.CopyFrom(told)
            entity.update_time.FromMilliseconds(now_ms)
            if entity.HasField("position"):
                entity.position.h3_cell = cell_of(entity.position.latitude, entity.position.longitude)
            id = event_id or f"{entity.name}@{now_ms}"
            headers = cloud_event_headers(id, EVENT_TYPE, f"/{self._domain}", now_ms, entity.name)
            partition, key = partition_of_key(entity.name, partitions), entity.name.encode()
            value = entity.SerializeToString()
            sent.append(await self._writer.send(ENTITIES, value, partition=partition, key=key, headers=headers))
            written.append(entity)
        for future in sent:
            stored = await acknowledged(future, ACKNOWLEDGE_SECONDS)
            await self._registry.wait_for(stored.partition, stored.offset)
        await self._announcer.announce_new()
        return written


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
