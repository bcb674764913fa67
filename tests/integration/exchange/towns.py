"""Two cities at one border: each with a Kafka, a ClickHouse and a correlation of its own, which may all die at once."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import clickhouse_connect
import h3.api.basic_int as h3
import trustme
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from deploy.local.kafka import KafkaSettings
from deploy.local.kafka_config import TlsListener
from deploy.local.servers import Endpoints, LocalServers, ServerSettings
from services.core.exchange import RESOLUTION
from services.core.geometry import cell_of
from services.core.signals import Signal
from services.correlation.exchange_wire import Told, read_report
from services.runtime.catalogue import EXCHANGE, NEIGHBOUR_REPORTS
from services.runtime.migrations import migrate
from tests.certificates import write_folder, write_keystore
from tests.core.correlation.city import HOUR, NOON, QUEEN_STREET, congestion, crowding
from tests.integration.correlation.city import Record, produce, read_topic, reports, written
from tests.integration.correlation.conftest import Service

WEST, EAST = "westbank", "eastbank"
BRIDGE = cell_of(*QUEEN_STREET, RESOLUTION)
BORDER = sorted(f"{cell:x}" for cell in h3.grid_disk(BRIDGE, 2))
INLAND_M = 25_000
WAIT_S = 30.0


def event(city: str, hour: int, entity: str, north_m: float = 0.0) -> list[Signal]:
    """A crowd and a jam beside it, so many hours after noon: an incident once that city's time has passed them."""
    start_ms = NOON + hour * HOUR
    crowd = crowding(f"{entity}-gate", start_ms, north_m=north_m, city=city)
    road = congestion(f"{entity}-road", start_ms, north_m=north_m + 100, city=city)
    return [replace(crowd, attributes=(("building", f"{entity}-house"),)), road]


class Town:
    """One of them; strangers may come to its Kafka by TLS, with a certificate of its own authority."""

    def __init__(self, name: str, folder: Path, cache: Path) -> None:
        self.name, self.folder, self._cache = name, folder, cache
        self._servers: LocalServers | None = None
        self._authority = trustme.CA()
        self.endpoints: Endpoints
        self.service: Service

    def start_servers(self, ports: tuple[int, int] = (0, 0)) -> None:
        """On these ports, where the neighbour looks for them."""
        kafka, clickhouse = ports
        authority = self.folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(authority))
        tls = TlsListener(write_keystore(self.folder / "broker.pem", self._authority, "127.0.0.1"), authority)
        settings = ServerSettings(
            kafka=KafkaSettings(first_port=kafka, tls=tls),
            clickhouse_port=clickhouse,
            clickhouse_fsync=False,
            clickhouse_memory_mib=1024,
            cache=self._cache,
        )
        self._servers = LocalServers(self.folder / "servers", settings)
        self.endpoints = self._servers.start()

    def by_tls(self) -> str:
        """Where its Kafka is spoken to by TLS: another place after each start."""
        assert self._servers is not None
        assert self._servers.kafka is not None
        return self._servers.kafka.bootstrap_tls

    def let_in(self, neighbour: str) -> Path:
        """A certificate for a neighbour, who may read what is told to neighbours and nothing else; its folder."""
        reading = AclBinding(
            ResourceType.TOPIC,
            EXCHANGE,
            ResourcePatternType.LITERAL,
            f"User:{neighbour}",
            "*",
            AclOperation.READ,
            AclPermissionType.ALLOW,
        )
        admin = AdminClient({"bootstrap.servers": self.endpoints.kafka})
        for granted in admin.create_acls([reading]).values():
            granted.result(WAIT_S)
        return write_folder(self.folder / f"for-{neighbour}", self._authority, neighbour)

    def start_service(self, neighbour: Town, by_tls: bool) -> None:
        """`by_tls`: the neighbour is heard by TLS, with a certificate of the neighbour's authority."""
        kafka, more = neighbour.endpoints.kafka, ""
        if by_tls:
            kafka, more = neighbour.by_tls(), f'tls = "{neighbour.let_in(self.name)}"\n'
        file = self.folder / "neighbours.toml"
        file.write_text(
            f'city = "{self.name}"\n\n[[neighbour]]\nname = "{neighbour.name}"\n'
            f'kafka = "{kafka}"\n{more}border = {json.dumps(BORDER)}\n'
        )
        self.service = Service(self.endpoints, self.folder, settings={"URBAN_NEIGHBOURS": str(file)})
        self.service.start()
        migrate(self.endpoints.clickhouse)

    def kill(self) -> None:
        """kill -9 of everything it has, at once."""
        assert self._servers is not None
        children = [*self._servers.children(), *([self.service.child] if self.service.child else [])]
        for child in children:
            child.kill()
        for child in children:
            child.wait(30)

    def come_back(self) -> None:
        """The same servers at the same addresses, and the service."""
        assert self._servers is not None
        self._servers.stop()  # nothing runs any more: it gives its folder free
        was = self.endpoints
        self.start_servers((int(was.kafka.rpartition(":")[2]), int(was.clickhouse.rpartition(":")[2])))
        assert (self.endpoints.kafka, self.endpoints.clickhouse) == (was.kafka, was.clickhouse)
        self.service.start()

    def stop(self) -> None:
        if self._servers is not None:
            self._servers.stop()

    def see(self, *signals: Signal, until_hour: int) -> None:
        """Signals on its topic, and its processors say that they have passed an hour."""
        produce(self.endpoints.kafka, [*written(*signals), *reports(NOON + until_hour * HOUR)])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with clickhouse_connect.get_client(dsn=self.endpoints.clickhouse) as client:
            return [tuple(row) for row in client.query(query).result_rows]

    def incidents(self) -> dict[str, str]:
        """State by id, as analysts read them."""
        return dict(self.rows("SELECT toString(id), state FROM urban.v_incidents"))

    def shared(self) -> dict[str, dict[str, Any]]:
        """What is shared, by id, as analysts read it; without the number of the version, which each city counts."""
        found = {}
        for id_, city, document in self.rows("SELECT toString(id), city, document FROM urban.v_shared_incidents"):
            assert city == self.name
            found[id_] = json.loads(document)
            del found[id_]["revision"]
        return found

    def records(self, topic: str) -> list[Record]:
        return read_topic(self.endpoints.kafka, topic)

    def told(self) -> list[Told]:
        return [read_report(value) for _, _, value, _ in self.records(EXCHANGE)]

    def heard(self) -> list[Told]:
        return [read_report(value) for _, _, value, _ in self.records(NEIGHBOUR_REPORTS)]

    def metric(self, name: str) -> dict[str, float]:
        """Samples of a metric of the service, by their line."""
        port = json.loads((self.folder / f"ready-{self.service.starts - 1}.json").read_text())["metrics"]
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)}
