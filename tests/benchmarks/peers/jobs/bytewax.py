"""The job in Bytewax; `--help` lists what it is told."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource, KafkaSourceMessage
from bytewax.dataflow import Dataflow
from bytewax.operators import KeyedStream
from bytewax.operators.windowing import EventClock, SlidingWindower, fold_window
from bytewax.outputs import DynamicSink, StatelessSinkPartition
from bytewax.recovery import RecoveryConfig, init_db_dir
from bytewax.run import cli_main

from tests.benchmarks.peers.jobs import records
from tests.benchmarks.peers.jobs.arguments import Given, read_arguments
from tests.benchmarks.peers.jobs.clickhouse_client import RowWriter

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MESSAGES_A_POLL = 5_000
ROWS_AN_INSERT = 20_000
LONGEST_WAIT = timedelta(seconds=1)

Timed = tuple[datetime, float]


class TableSink(DynamicSink[Any]):  # type: ignore[misc]
    """A custom sink as the documentation shows one; what comes are lists of rows."""

    def __init__(self, url: str, table: str) -> None:
        self._url, self._table = url, table

    def build(self, step_id: str, worker_index: int, worker_count: int) -> StatelessSinkPartition[Any]:
        return TablePartition(RowWriter(self._url, self._table))


class TablePartition(StatelessSinkPartition[Any]):  # type: ignore[misc]
    """One worker's inserts."""

    def __init__(self, rows: RowWriter) -> None:
        self._rows = rows

    def write_batch(self, items: list[Any]) -> None:
        for batch in items:
            self._rows.write(batch)


def decoder(encoding: str) -> Callable[[list[Any]], Iterable[tuple[str, Timed]]]:
    """Messages as keyed and timed values, a whole batch at once."""
    if encoding == "json":

        def of_json(messages: list[KafkaSourceMessage[Any, Any]]) -> Iterable[tuple[str, Timed]]:
            for message in messages:
                row = orjson.loads(message.value)
                yield row["entity_id"], (datetime.fromisoformat(row["time"]), row["value"])

        return of_json
    if encoding == "protobuf":
        decode_one = records.one_of_frame()

        def of_protobuf(messages: list[KafkaSourceMessage[Any, Any]]) -> Iterable[tuple[str, Timed]]:
            for message in messages:
                name, time_ms, value = decode_one(message.value)
                yield name, (EPOCH + timedelta(milliseconds=time_ms), value)

        return of_protobuf
    decode_all = records.all_of_frame()

    def of_frames(messages: list[KafkaSourceMessage[Any, Any]]) -> Iterable[tuple[str, Timed]]:
        for message in messages:
            for name, time_ms, value in decode_all(message.value):
                yield name, (EPOCH + timedelta(milliseconds=time_ms), value)

    return of_frames


def windows(values: KeyedStream[Timed]) -> KeyedStream[tuple[int, list[float]]]:
    """Final sums by window."""
    clock = EventClock(
        ts_getter=lambda timed: timed[0],
        wait_for_system_duration=timedelta(milliseconds=records.DISORDER_MS),
        # The input is a fixed backlog: only its own times may move the watermarks on. With the clock of the machine, a
        # run slower than the city would drop good observations as late.
        now_getter=lambda: EPOCH,
        to_system_utc=lambda _: None,
    )
    windower = SlidingWindower(
        length=timedelta(milliseconds=records.WINDOW_MS),
        offset=timedelta(milliseconds=records.HOP_MS),
        align_to=EPOCH,
    )
    # The order of values does not matter to these sums, and not keeping it saves a queue and a sort.
    return fold_window("windows", values, clock, windower, _empty, _add, _merge, ordered=False).down


def _empty() -> list[float]:
    return [0, 0.0, float("inf"), float("-inf")]


def _add(total: list[float], timed: Timed) -> list[float]:
    return records.fold(total, timed[1])


def _merge(one: list[float], other: list[float]) -> list[float]:
    raise NotImplementedError("sliding windows never merge")


def _row(item: tuple[str, tuple[int, list[float]]]) -> dict[str, Any]:
    name, (window, total) = item
    return records.result(name, window * records.HOP_MS, total)


def build(given: Given) -> Dataflow:
    """The whole dataflow."""
    flow = Dataflow("benchmark")
    source = KafkaSource([given.kafka], [given.topic], tail=False, batch_size=MESSAGES_A_POLL)
    messages = op.input("observations", flow, source)
    values = op.flat_map_batch("decode", messages, decoder(given.encoding))
    rows = op.map("rows", windows(values), _row)
    if given.sink == "kafka":
        made = op.map("encode", rows, lambda row: KafkaSinkMessage(row["entity_id"].encode(), orjson.dumps(row)))
        op.output("results", made, KafkaSink([given.kafka], given.results))
    else:
        keyed = op.key_on("together", rows, lambda _: "all")
        batches = op.collect("batches", keyed, timeout=LONGEST_WAIT, max_size=ROWS_AN_INSERT)
        op.output("results", op.key_rm("apart", batches), TableSink(given.clickhouse, given.results))
    return flow


def main() -> None:
    """Until the backlog is worked off, then idle until SIGTERM: the results are awaited by others."""
    given = read_arguments()
    recovery = None
    if given.durable:
        folder = given.folder / "recovery"
        folder.mkdir()
        init_db_dir(folder, given.workers)
        recovery = RecoveryConfig(folder)
    cli_main(
        build(given),
        workers_per_process=given.workers,
        epoch_interval=timedelta(seconds=given.checkpoint_s),
        recovery_config=recovery,
    )
    signal.pause()


if __name__ == "__main__":
    main()
