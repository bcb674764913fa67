"""ListEntities and UpsertEntity, over the registry and its topic."""

from __future__ import annotations

import math
import re
import uuid
from collections import OrderedDict
from collections.abc import Iterator

from services.core.geometry import cell_of
from services.runtime.api.clock import wall_clock_ms
from services.runtime.api.names import page_token, read_page_size, read_page_token, read_parent
from services.runtime.catalogue import ENTITIES
from services.runtime.entities import ENTITY_NAME, Entity, EntityRegistry
from services.runtime.errors import Violation, invalid_argument
from services.runtime.grpc_server import Context
from services.runtime.log import LogWriter
from services.runtime.partitioner import partition_of_key
from services.runtime.producer import acknowledged, cloud_event_headers
from urban.common.v1.service_pb2 import ListEntitiesRequest, ListEntitiesResponse, UpsertEntityRequest

MAX_DISPLAY_NAME = 256
MAX_ATTRIBUTES = 64
MAX_LABEL = 1024
REMEMBERED_REQUESTS = 10_000
ACKNOWLEDGE_SECONDS = 30.0
EVENT_TYPE = "urban.entity.v1"

_TYPE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ATTRIBUTE = re.compile(r"[A-Za-z][A-Za-z0-9_.:-]{0,63}")


class EntityCalls:
    """Serves the entities of one domain."""

    def __init__(self, domain: str, registry: EntityRegistry, writer: LogWriter) -> None:
        self._domain = domain
        self._registry = registry
        self._writer = writer
        self._requests: OrderedDict[str, Entity] = OrderedDict()  # what came of the last requests of this replica

    async def list(self, request: ListEntitiesRequest, context: Context) -> ListEntitiesResponse:
        city, size = read_parent(request.parent), read_page_size(request.page_size)
        after = read_page_token(request, (str,))
        found = self._registry.list(city, self._domain, request.type, after[0] if after else "", size + 1)
        more = len(found) > size
        last = [found[size - 1].name.rpartition("/")[2]] if more else []
        return ListEntitiesResponse(entities=found[:size], next_page_token=page_token(request, [*last]) if more else "")

    async def upsert(self, request: UpsertEntityRequest, context: Context) -> Entity:
        """Returns when the log has the entity and this replica lists it. A repeated request_id changes nothing."""
        violations = list(find_violations(self._domain, request))
        if violations:
            raise invalid_argument(violations)
        if request.request_id in self._requests:
            return self._requests[request.request_id]
        entity = Entity()
        entity.CopyFrom(request.entity)
        now_ms = wall_clock_ms()
        entity.update_time.FromMilliseconds(now_ms)
        if entity.HasField("position"):
            entity.position.h3_cell = cell_of(entity.position.latitude, entity.position.longitude)
        partition = partition_of_key(entity.name, await self._writer.partitions(ENTITIES))
        headers = cloud_event_headers(
            request.request_id or f"{entity.name}@{now_ms}", EVENT_TYPE, f"/{self._domain}", now_ms, entity.name
        )
        sent = await self._writer.send(
            ENTITIES, entity.SerializeToString(), partition=partition, key=entity.name.encode(), headers=headers
        )
        stored = await acknowledged(sent, ACKNOWLEDGE_SECONDS)
        await self._registry.wait_for(stored.partition, stored.offset)
        if request.request_id:
            self._requests[request.request_id] = entity
            if len(self._requests) > REMEMBERED_REQUESTS:
                self._requests.popitem(last=False)
        return entity


def find_violations(domain: str, request: UpsertEntityRequest) -> Iterator[Violation]:
    """What is wrong with a request to create or replace an entity of a domain."""
    if not request.HasField("entity"):
        yield Violation("entity", "", "is missing")
        return
    entity = request.entity
    match = ENTITY_NAME.fullmatch(entity.name)
    if match is None:
        yield Violation("entity.name", entity.name, "must be cities/{city}/domains/{domain}/entities/{entity}")
    elif match["domain"] != domain:
        yield Violation("entity.name", entity.name, f"must be of the domain {domain}")
    if not _TYPE.fullmatch(entity.type):
        yield Violation("entity.type", entity.type, "must be 1 to 64 of a-z, 0-9 and '_', a letter first")
    if len(entity.display_name) > MAX_DISPLAY_NAME:
        yield Violation("entity.display_name", entity.display_name, f"must have at most {MAX_DISPLAY_NAME} characters")
    if entity.HasField("position"):
        yield from _find_in_position(entity)
    yield from _find_in_attributes(entity)
    if request.request_id and not _is_uuid(request.request_id):
        yield Violation("request_id", request.request_id, "must be empty or a UUID")


def _find_in_position(entity: Entity) -> Iterator[Violation]:
    for name, value, most in (
        ("latitude", entity.position.latitude, 90),
        ("longitude", entity.position.longitude, 180),
    ):
        if not -most <= value <= most:  # NaN is not
            yield Violation(f"entity.position.{name}", str(value), f"must be -{most} to {most} degrees")


def _find_in_attributes(entity: Entity) -> Iterator[Violation]:
    for field, names in (("numbers", sorted(entity.numbers)), ("labels", sorted(entity.labels))):
        if len(names) > MAX_ATTRIBUTES:
            yield Violation(f"entity.{field}", f"{len(names)} of them", f"must be at most {MAX_ATTRIBUTES}")
        for name in names:
            if not _ATTRIBUTE.fullmatch(name):
                yield Violation(f"entity.{field}", name, "a name must be 1 to 64 letters, digits, '_', '.', ':', '-'")
    for name, number in sorted(entity.numbers.items()):
        if not math.isfinite(number):
            yield Violation(f"entity.numbers[{name}]", str(number), "must be a finite number")
    for name, label in sorted(entity.labels.items()):
        if len(label) > MAX_LABEL:
            yield Violation(f"entity.labels[{name}]", label, f"must have at most {MAX_LABEL} characters")


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True
