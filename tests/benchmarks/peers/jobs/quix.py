"""The job in Quix Streams; `--help` lists what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from quixstreams import Application
from quixstreams.dataframe import StreamingDataFrame
from quixstreams.models import Deserializer
from quixstreams.sinks import BatchingSink, SinkBatch

from tests.benchmarks.peers.jobs import records
from tests.benchmarks.peers.jobs.arguments import Given, read_arguments
from tests.benchmarks.peers.jobs.clickhouse_client import RowWriter


class OneReading(Deserializer):  # type: ignore[misc]
    """A custom deserializer: the bytes of a record as a reading."""

    def __init__(self, decode: Callable[[bytes], records.Reading]) -> None:
        super().__init__()
        self._decode = decode

    def __call__(self, value: bytes, ctx: object) -> records.Reading:
        return self._decode(value)


class ClickHouseSink(BatchingSink):  # type: ignore[misc]
    """A custom sink as the documentation shows one: a batch for each checkpoint and partition."""

    def __init__(self, url: str, table: str) -> None:
        super().__init__()
        self._rows = RowWriter(url, table)

    def write(self, batch: SinkBatch) -> None:
        self._rows.write([item.value for item in batch])


def readings(app: Application, topic: str, encoding: str) -> StreamingDataFrame:
    """A data frame of values by entity, in event time."""
    if encoding == "frames":
        decode = records.all_of_frame()
        rows = app.dataframe(app.topic(topic, value_deserializer="bytes", key_deserializer="bytes"))

        def split(record: bytes, _key: Any, _time_ms: int, headers: Any) -> Any:
            return [(value, name.encode(), time_ms, headers) for name, time_ms, value in decode(record)]

        # Every entity of a frame is of the frame's own partition already, so the way through a repartition topic
        # that `group_by` would take is not needed; this is how it does it itself where it knows that.
        stream = rows.stream.add_transform(split, expand=True)
        split_rows = rows.__dataframe_clone__(stream=stream, stream_id=f"{rows.stream_id}--entity")
        rows._registry.register_groupby(source_sdf=rows, new_sdf=split_rows, register_new_root=False)
        return split_rows
    decode_one = records.of_json if encoding == "json" else records.one_of_frame()
    single = app.topic(
        topic,
        value_deserializer=OneReading(decode_one),
        key_deserializer="bytes",
        timestamp_extractor=lambda value, _headers, _time_ms, _kind: value.time_ms,
    )
    return app.dataframe(single).apply(lambda reading: reading.value)


def windows(values: StreamingDataFrame) -> StreamingDataFrame:
    """Final rows."""
    hopping = values.hopping_window(
        records.WINDOW_MS,
        records.HOP_MS,
        grace_ms=records.DISORDER_MS,
        on_late=lambda *_: False,  # says that a late observation needs no line in the log
    )
    # One reduction instead of four aggregations: a third of the cost. Windows of a silent entity close with the others
    # of its partition.
    final = hopping.reduce(reducer=records.fold, initializer=records.first).final(closing_strategy="partition")

    def row(window: dict[str, Any], key: bytes, _time_ms: int, _headers: Any) -> dict[str, Any]:
        return records.result(key.decode(), window["start"], window["value"])

    return final.apply(row, metadata=True)


def build(given: Given) -> Application:
    """The whole application."""
    app = Application(
        broker_address=given.kafka,
        consumer_group=given.group,
        auto_offset_reset="earliest",
        commit_interval=given.checkpoint_s,
        state_dir=given.folder / "state",
        use_changelog_topics=given.durable,
        loglevel="WARNING",
    )
    rows = windows(readings(app, given.topic, given.encoding))
    if given.sink == "kafka":
        rows.to_topic(app.topic(given.results, value_serializer="json", key_serializer="bytes"))
    else:
        rows.sink(ClickHouseSink(given.clickhouse, given.results))
    return app


if __name__ == "__main__":
    build(read_arguments()).run()
