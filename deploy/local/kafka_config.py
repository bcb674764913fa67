"""The settings of an embedded Kafka node, for a small machine and data that persist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import LOOPBACK

MIB = 1 << 20


@dataclass(frozen=True)
class NodePorts:
    """Loopback ports of one node: for clients and for the KRaft quorum."""

    broker: int
    controller: int
    tls: int = 0  # for clients with a certificate; 0: no such listener

    def __post_init__(self) -> None:
        if self.broker == self.controller:
            raise ValueError(f"one port for both broker and controller: {self.broker}")


@dataclass(frozen=True)
class TlsListener:
    """A second listener: by TLS, for who has a certificate of `authority`, and may do what ACLs say.

    A client's name is the common name (CN) of its certificate. The listener in the clear stays, for the brokers
    themselves and whoever sets up the ACLs: who comes by it may do everything.
    """

    keystore: Path  # the broker's key (PKCS 8) and certificate, one after the other, in PEM
    authority: Path  # PEM


def tls_properties(ports: NodePorts, tls: TlsListener) -> dict[str, str]:
    """What such a listener adds to a node's properties."""
    return {
        "listeners": f"PLAINTEXT://{LOOPBACK}:{ports.broker},CONTROLLER://{LOOPBACK}:{ports.controller}"
        f",SSL://{LOOPBACK}:{ports.tls}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{ports.broker},SSL://{LOOPBACK}:{ports.tls}",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(tls.keystore),
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(tls.authority),
        "listener.name.ssl.ssl.client.auth": "required",
        "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
    }


def node_properties(
    node: int, ports: Mapping[int, NodePorts], data: Path, overrides: Mapping[str, str] | None = None
) -> dict[str, str]:
    """server.properties of node number `node` of the cluster in `ports` (node id → ports), with data in `data`.

    The quorum is static and named by address here and not in the stored metadata, so ports may differ on every start.
    """
    nodes = len(ports)
    in_sync = "2" if nodes > 1 else "1"
    mine = ports[node]
    return {
        "process.roles": "broker,controller",
        "node.id": str(node),
        "controller.quorum.voters": ",".join(f"{n}@{LOOPBACK}:{p.controller}" for n, p in sorted(ports.items())),
        "listeners": f"PLAINTEXT://{LOOPBACK}:{mine.broker},CONTROLLER://{LOOPBACK}:{mine.controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{mine.broker}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": str(data),
        "auto.create.topics.enable": "false",
        "default.replication.factor": str(nodes),
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": str(nodes),
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": str(nodes),
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": str(nodes),
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(8 * MIB),
        "replica.fetch.max.bytes": str(9 * MIB),
        "log.retention.hours": "168",
        "log.segment.bytes": str(128 * MIB),
        "log.retention.check.interval.ms": "60000",
        "log.cleaner.dedupe.buffer.size": str(16 * MIB),
        "num.network.threads": "2",
        "num.io.threads": "4",
        # The broker counts as ready at the first answered heartbeat after it caught up; 2 s is long on a laptop.
        "broker.heartbeat.interval.ms": "500",
        # A killed node is let in again only when its former session has run out; alone it has nobody to protect.
        "broker.session.timeout.ms": "4000" if nodes == 1 else "9000",
        **(overrides or {}),
    }


def write_properties(path: Path, properties: Mapping[str, str]) -> None:
    """Write a Java properties file, one `key=value` a line."""
    lines = (f"{key}={_escape(value)}\n" for key, value in properties.items())
    path.write_text("".join(lines), encoding="utf-8")


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")
