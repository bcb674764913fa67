"""Asks a Kafka broker for the members of its cluster, with one Metadata request and no client library."""

from __future__ import annotations

import socket
import struct

METADATA_KEY = 3
METADATA_VERSION = 1
CLIENT_ID = b"urban-local"
LARGEST_ANSWER_BYTES = 1 << 20


def live_brokers(host: str, port: int, timeout_s: float = 2.0) -> set[int]:
    """Node ids of the brokers that this one knows to be alive.

    Raises OSError when it does not answer within `timeout_s` seconds, ValueError when the answer is not Kafka's.
    """
    request = struct.pack(">hhih", METADATA_KEY, METADATA_VERSION, 1, len(CLIENT_ID)) + CLIENT_ID
    request += struct.pack(">i", 0)  # no topics wanted
    with socket.create_connection((host, port), timeout_s) as connection:
        connection.sendall(struct.pack(">i", len(request)) + request)
        (size,) = struct.unpack(">i", _read(connection, 4))
        if not 8 <= size <= LARGEST_ANSWER_BYTES:
            raise ValueError(f"{host}:{port} does not speak Kafka: an answer of {size} bytes")
        return _node_ids(_read(connection, size))


def _read(connection: socket.socket, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise ConnectionError("the broker closed the connection")
        parts += part
    return bytes(parts)


def _node_ids(answer: bytes) -> set[int]:
    """Node ids out of a Metadata answer of version 1: correlation id, then (id, host, port, rack) of each broker."""
    try:
        _, count = struct.unpack_from(">ii", answer)
        position, nodes = 8, set()
        for _ in range(count):
            (node,) = struct.unpack_from(">i", answer, position)
            nodes.add(node)
            position = _after_string(answer, position + 4) + 4
            position = _after_string(answer, position)
    except struct.error as error:
        raise ValueError(f"not a Metadata answer: {error}") from error
    return nodes


def _after_string(answer: bytes, position: int) -> int:
    length: int = struct.unpack_from(">h", answer, position)[0]
    return position + 2 + max(length, 0)
