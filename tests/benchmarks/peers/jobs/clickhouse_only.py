"""The job in ClickHouse: a consumer passes bytes on, a view makes panes, a query adds up windows that are closed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable

import clickhouse_connect
import orjson
from clickhouse_connect.driver.client import Client
from confluent_kafka import Consumer, Message, TopicPartition

from tests.benchmarks.peers.jobs import records
from tests.benchmarks.peers.jobs.arguments import Given, read_arguments

OBSERVATIONS_AN_INSERT = 100_000  # of one partition: 20 s of event time, much less than the minute that a window takes
LONGEST_WAIT_S = 1.0
MESSAGES_A_POLL = 10_000
LOOKED_AT = 256  # of the last observations of a batch, for how far event time has come

# What of a ReadingFrame is inserted; the engine skips other fields.
FRAME_SCHEMA = """syntax = "proto3";
message Frame {
  repeated string entity_ids = 2;
  repeated fixed32 entity = 3;
  sfixed64 base_time_ms = 4;
  repeated fixed32 time_offset_ms = 5;
  repeated float value = 16;
}
"""
JSON_SETTINGS = {"date_time_input_format": "best_effort"}
FRAME_SETTINGS = {
    "format_schema_source": "string",
    "format_schema": FRAME_SCHEMA,
    "format_schema_message_name": "Frame",
}


class Lane:
    """One partition: what was read of it and is not inserted yet, and how far its windows are told."""

    def __init__(self, given: Given, client: Client, partition: int) -> None:
        self.partition = partition
        self.inserted_offset = 0  # all before it is inserted
        self.began_s = 0.0
        self._frames = given.encoding != "json"
        self._format = "Protobuf" if self._frames else "JSONEachRow"
        self._settings = FRAME_SETTINGS if self._frames else JSON_SETTINGS
        self._rows_a_message = 256 if given.encoding == "frames" else 1
        self._latest_ms = latest_in_frames() if self._frames else latest_in_json
        self._client = client
        self._results = given.results
        self._values: list[bytes] = []
        self._read_offset = 0
        self._told_to_ms = 0  # windows that end here or earlier are told

    def add(self, message: Message) -> None:
        value = message.value()
        assert value is not None
        if not self._values:
            self.began_s = time.monotonic()
        self._values.append(value)
        offset = message.offset()
        assert offset is not None
        self._read_offset = offset + 1

    @property
    def due(self) -> bool:
        """Whether it is time for an insert."""
        full = len(self._values) * self._rows_a_message >= OBSERVATIONS_AN_INSERT
        return full or bool(self._values and time.monotonic() - self.began_s >= LONGEST_WAIT_S)

    def insert(self) -> None:
        """Into the table that feeds the view; then tell the windows that are closed by it."""
        values, self._values = self._values, []
        block = b"".join(delimited(values)) if self._frames else b"\n".join(values)
        raw = f"benchmark.raw_{self.partition}"
        self._client.raw_insert(raw, insert_block=block, fmt=self._format, settings=self._settings)
        watermark_ms = self._latest_ms(values[-LOOKED_AT:]) - records.DISORDER_MS
        closed_ms = watermark_ms // records.HOP_MS * records.HOP_MS
        if closed_ms > self._told_to_ms:
            self._tell(closed_ms)
            self._told_to_ms = closed_ms
        self.inserted_offset = self._read_offset

    def _tell(self, closed_ms: int) -> None:
        """Every window that ends in (told, closed]: its panes added up. What comes later for it is never read: late."""
        hop, window = records.HOP_MS, records.WINDOW_MS
        self._client.command(
            f"INSERT INTO {self._results}"
            f" SELECT entity_id, start, sum(n) AS count, sum(total), min(least), max(greatest), sum(total) / count"
            f" FROM (SELECT entity_id, arrayJoin(range(pane_ms - {window - hop}, pane_ms + 1, {hop})) AS start,"
            f" n, total, least, greatest FROM benchmark.panes WHERE partition = {self.partition}"
            f" AND pane_ms >= {self._told_to_ms - window + hop} AND pane_ms < {closed_ms})"
            f" WHERE start > {self._told_to_ms - window} AND start <= {closed_ms - window}"
            f" GROUP BY entity_id, start"
        )


def delimited(values: Iterable[bytes]) -> Iterable[bytes]:
    """Messages as the format Protobuf has them: each behind its length as a varint."""
    for value in values:
        length = len(value)
        prefix = bytearray()
        while length > 127:
            prefix.append(length & 127 | 128)
            length >>= 7
        prefix.append(length)
        yield bytes(prefix)
        yield value


def latest_in_json(values: list[bytes]) -> int:
    """The latest of the times, in ms."""
    return max(records.milliseconds(orjson.loads(value)["time"]) for value in values)


def latest_in_frames() -> Callable[[list[bytes]], int]:
    """The same for frames."""
    parse = records.frame_type().FromString

    def latest(values: list[bytes]) -> int:
        frames = [parse(value) for value in values[-8:]]
        return int(max(frame.base_time_ms + max(frame.time_offset_ms) for frame in frames))

    return latest


def work(given: Given) -> None:
    """Until SIGTERM."""
    asked = False

    def stop(*_: object) -> None:
        nonlocal asked
        asked = True

    signal.signal(signal.SIGTERM, stop)
    client = clickhouse_connect.get_client(dsn=given.clickhouse, autogenerate_session_id=False)
    consumer = Consumer(
        {
            "bootstrap.servers": given.kafka,
            "group.id": given.group,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([given.topic])
    lanes: dict[int, Lane] = {}
    committed_s = time.monotonic()
    while not asked:
        for message in consumer.consume(MESSAGES_A_POLL, 0.2):
            if message.error() is not None:
                raise RuntimeError(f"{given.topic}: {message.error()}")
            partition = message.partition()
            assert partition is not None
            if partition not in lanes:
                lanes[partition] = Lane(given, client, partition)
            lanes[partition].add(message)
            if lanes[partition].due:
                lanes[partition].insert()
        for lane in lanes.values():
            if lane.due:
                lane.insert()
        if time.monotonic() - committed_s > given.checkpoint_s:
            offsets = [TopicPartition(given.topic, p, lane.inserted_offset) for p, lane in lanes.items()]
            consumer.commit(offsets=offsets, asynchronous=False)
            committed_s = time.monotonic()
    consumer.close()


if __name__ == "__main__":
    work(read_arguments())
