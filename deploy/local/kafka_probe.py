"""Asks a Kafka broker for the members of its cluster, with one Metadata request and no client library."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

METADATA_KEY = 3
METADATA_VERSION = 2  # the first that tells the cluster's id
CLIENT_ID = b"urban-local"
LARGEST_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True)
class Cluster:
    """What a broker says of the cluster that it is in."""

    id: str
    brokers: frozenset[int]  # node ids of those that it knows to be alive


def live_brokers(host: str, port: int, timeout_s: float = 2.0) -> set[int]:
    """Node ids of the brokers that this one knows to be alive; raises as `ask_cluster`."""
    return set(ask_cluster(host, port, timeout_s).brokers)


def ask_cluster(host: str, port: int, timeout_s: float = 2.0) -> Cluster:
    """The cluster of the broker on this port.

    Raises OSError when it does not answer within `timeout_s` seconds, ValueError when the answer is not Kafka's.
    """
    request = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, 1, len(CLIENT_ID)) + CLIENT_ID
    request += struct.pack(">i", 0)  # no topics wanted
    with socket.create_connection((host, port), timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _read(connection, 4))
        if not 8 <= size <= LARGEST_ANSWER_BYTES:
            raise ValueError(f"{host}:{port} does not speak Kafka: an answer of {size} bytes")
        return _cluster(_read(connection, size))


def _read(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("the broker closed the connection")
        parts += part
    return bytes(parts)


def _cluster(answer: bytes) -> Cluster:
    """Out of a Metadata answer of version 2: correlation id, (id, host, port, rack) of each broker, cluster id."""
    try:
        _, count = struct.unpack_from(">ii", answer)
        position, nodes = 8, set()
        for _ in range(count):
            (node,) = struct.unpack_from(">i", answer, position)
            nodes.add(node)
            position = _after_string(answer, position + 4) + 4
            position = _after_string(answer, position)
        end = _after_string(answer, position)
        return Cluster(answer[position + 2 : end].decode(), frozenset(nodes))
    except (struct.error, UnicodeDecodeError) as error:
        raise ValueError(f"not a Metadata answer: {error}") from error


def _after_string(answer: bytes, position: int) -> int:
    length: int = struct.unpack_from(">h", answer, position)[0]
    return position + 2 + max(length, 0)
