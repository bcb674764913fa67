"""The city by TLS: every role comes to Kafka with a certificate of its own, and may do there what it must."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import trustme
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, TopicAuthorizationFailedError
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType

from deploy.k8s.kafka import users
from deploy.k8s.roles import City as Deployed
from deploy.local.kafka import KafkaSettings
from deploy.local.kafka_config import TlsListener
from deploy.local.process import Child
from deploy.local.servers import LocalServers, ServerSettings
from services.cli.domains import find_domains
from services.runtime.catalogue import SIGNALS, observations, shared_topics
from services.runtime.certificates import ClientContext
from services.runtime.grpc_client import VARIABLE, open_aio_channel
from services.runtime.topics import ensure_topics
from services.traffic.domain import ROAD_FLOW, TRAFFIC
from tests.certificates import write_folder, write_keystore
from tests.contract.calls import PATIENCE_SECONDS, Client, collect
from tests.integration.domains.test_alone import ROWS, requests
from tests.integration.processor.city import WAIT_S, City, empty_city

HOST = "127.0.0.1"
AUTHORITY_FILE = "ca.pem"
ROLES = (
    *((TRAFFIC.name, role) for role in ("api", "processor", "archiver")),
    *(("correlation", role) for role in ("api", "processor", "responder")),
)
_OPERATIONS = {"Read": "READ", "Write": "WRITE", "Describe": "DESCRIBE", "DescribeConfigs": "DESCRIBE_CONFIGS"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(
    tmp_path_factory: pytest.TempPathFactory, download_cache: Path, authority: trustme.CA
) -> Iterator[LocalServers]:
    folder = tmp_path_factory.mktemp("secured")
    authority.cert_pem.write_to_path(str(folder / AUTHORITY_FILE))
    tls = TlsListener(write_keystore(folder / "broker.pem", authority, HOST), folder / AUTHORITY_FILE)
    settings = ServerSettings(
        kafka=KafkaSettings(first_port=0, tls=tls), clickhouse_port=0, clickhouse_fsync=False, cache=download_cache
    )
    servers = LocalServers(folder, settings)
    servers.start()
    try:
        yield servers
    finally:
        servers.stop()


def _grant(kafka: str) -> None:
    """What the KafkaUsers of components/kafka-strimzi may do, as its operator would grant it."""
    admin = AdminClient({"bootstrap.servers": kafka})
    acls = [
        AclBinding(
            ResourceType.GROUP if acl["resource"]["type"] == "group" else ResourceType.TOPIC,
            acl["resource"]["name"],
            ResourcePatternType.LITERAL,
            f"User:{user['metadata']['name']}",
            "*",
            AclOperation[_OPERATIONS[operation]],
            AclPermissionType.ALLOW,
        )
        for user in users(Deployed(find_domains()))
        for acl in user["spec"]["authorization"]["acls"]
        for operation in acl["operations"]
    ]
    for granted in admin.create_acls(acls).values():
        granted.result(WAIT_S)


@pytest.fixture
async def city(secured: LocalServers, tmp_path: Path) -> AsyncIterator[City]:
    async with empty_city(secured.endpoints(), tmp_path) as city:
        await asyncio.to_thread(_grant, city.kafka)
        yield city


@asynccontextmanager
async def _by_tls(url: str, authority: trustme.CA) -> AsyncIterator[int]:
    """A port of loopback where the server behind `url` is spoken to by TLS: the embedded one has none itself."""
    server = urlsplit(url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection(server.hostname, server.port)
        await asyncio.gather(pass_on(reader, back_writer), pass_on(back_reader, writer))

    async with await asyncio.start_server(serve, HOST, 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


async def _start(city: City, kafka: str, clickhouse: str, authority: trustme.CA, service: str, role: str) -> Child:
    """A role with certificates of its own name; returns when it is ready."""
    name = f"{service}-{role}"
    ready = city.folder / f"{name}.json"
    child = city.start(
        role,
        service,
        URBAN_KAFKA=kafka,
        URBAN_CLICKHOUSE=clickhouse,
        URBAN_KAFKA_TLS=str(write_folder(city.folder / f"kafka-{name}", authority, name)),
        URBAN_GRPC_TLS=str(write_folder(city.folder / f"grpc-{name}", authority, name, HOST)),
        URBAN_CLOCK="replay",
        URBAN_READY_FILE=str(ready),
    )

    async def is_ready() -> bool:
        if child.poll() is not None:
            raise AssertionError(f"{name} has ended:\n{child.tail()}")
        return ready.exists()

    await city.until(is_ready, f"{name} is ready")
    return child


async def test_an_observation_comes_through_with_each_role_s_own_rights(
    secured: LocalServers, city: City, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
):
    assert secured.kafka is not None
    await city.prepare()
    await ensure_topics(city.kafka, shared_topics(()))
    async with _by_tls(city.clickhouse_url, authority) as port:
        kafka = secured.kafka.bootstrap_tls
        url = f"https://{HOST}:{port}/?ca_cert={secured.root / AUTHORITY_FILE}"
        children = {
            f"{service}-{role}": await _start(city, kafka, url, authority, service, role) for service, role in ROLES
        }
        monkeypatch.setenv(VARIABLE, str(write_folder(city.folder / "caller", authority, "caller")))
        api = json.loads((city.folder / "traffic-api.json").read_text())["grpc"]
        client = Client(TRAFFIC.name, api, channel=open_aio_channel(f"{HOST}:{api}"))
        try:
            answers, error = await collect(client.ReportFrames(requests(client, TRAFFIC), timeout=PATIENCE_SECONDS))
            assert error is None
            assert [answer.accepted for answer in answers] == [ROWS] * len(TRAFFIC.kinds)
        finally:
            await client.channel.close(None)

        async def stored() -> bool:
            window = ROAD_FLOW.windows[0].name
            windows = await city.query(
                f"SELECT sum(revision) FROM traffic.road_flow_windows FINAL WHERE window = '{window}'"
            )
            rows = await city.query("SELECT count() FROM traffic.road_flow FINAL")
            return (windows, rows) == ([(ROWS,)], [(ROWS,)])

        await city.until(stored, "all observations are in windows and in the archive")
        for name, child in children.items():
            assert child.poll() is None, f"{name} has ended:\n{child.tail()}"
            assert "AuthorizationFailed" not in child.log.read_text(), name
        assert [child.stop(WAIT_S) for child in children.values()] == [0] * len(children)


async def test_a_role_has_no_other_one_s_rights(secured: LocalServers, city: City, authority: trustme.CA):
    """An archiver reads observations and may not write a signal; who has no certificate is not let in at all."""
    assert secured.kafka is not None
    await city.prepare()
    context = ClientContext.of(write_folder(city.folder / "archiver", authority, "traffic-archiver"))
    where = {"bootstrap_servers": secured.kafka.bootstrap_tls, "security_protocol": "SSL"}
    topic = observations("traffic", "road_flow")
    consumer = AIOKafkaConsumer(topic, **where, ssl_context=context)
    await consumer.start()
    try:
        assert consumer.assignment()
    finally:
        await consumer.stop()
    async with AIOKafkaProducer(**where, ssl_context=context) as producer:
        for forbidden in (SIGNALS, topic):
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(forbidden, b"x", partition=0)
    stranger = ClientContext.of(write_folder(city.folder / "stranger", trustme.CA(), "traffic-archiver"))
    outsider = AIOKafkaConsumer(topic, **where, ssl_context=stranger)
    with pytest.raises(KafkaConnectionError):
        await outsider.start()
    await outsider.stop()
