"""The job in stock Faust, with a hopping table as its documentation has it; `--help` lists what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import mode.loop

mode.loop.use("uvloop")  # before Faust is imported, or it has no effect

import faust  # noqa: E402

from tests.benchmarks.peers.jobs import records  # noqa: E402
from tests.benchmarks.peers.jobs.arguments import Given, read_arguments  # noqa: E402

CLEANUP_S = 1.0  # the default of 30 s would only tell the same later

Window = tuple[float, float]


def decoder(encoding: str) -> Callable[[bytes], Iterable[tuple[str, int, float]]]:
    """A record's observations."""
    if encoding == "frames":
        return records.all_of_frame()
    one = records.of_json if encoding == "json" else records.one_of_frame()
    return lambda record: (one(record),)


def add(total: list[float], value: float) -> list[float]:
    """A new list, as a table must be told of the change."""
    return records.fold(list(total), value) if total else records.first(value)


def build(given: Given) -> faust.App:
    """The whole application."""
    app = faust.App(
        given.group,
        broker=f"kafka://{given.kafka}",
        store="memory://",
        datadir=str(given.folder),
        topic_partitions=4,
        broker_commit_interval=given.checkpoint_s,
        table_cleanup_interval=CLEANUP_S,
        stream_wait_empty=False,
        web_enabled=False,
    )
    source = app.topic(given.topic, value_type=bytes, value_serializer="raw", key_type=bytes, key_serializer="raw")
    results = app.topic(given.results, value_serializer="json")
    decode = decoder(given.encoding)
    event_time_s = 0.0

    async def close(key: tuple[str, Window], total: list[float]) -> None:
        name, (start_s, _) = key
        await results.send(key=name, value=records.result(name, round(start_s * 1000), total))

    table = app.Table("windows", default=list, partitions=4, on_window_close=close)
    hopping: Any = table.hopping(
        timedelta(milliseconds=records.WINDOW_MS),
        timedelta(milliseconds=records.HOP_MS),
        expires=timedelta(milliseconds=records.DISORDER_MS),
    )
    windows = hopping.relative_to(lambda _event: event_time_s)

    @app.agent(source)
    async def observe(stream: Any) -> None:
        nonlocal event_time_s
        async for event in stream.events():
            for name, time_ms, value in decode(event.value):
                event_time_s = time_ms / 1000
                windows[name].apply(add, value, event)

    return app


if __name__ == "__main__":
    faust.Worker(build(read_arguments()), loglevel="WARN").execute_from_commandline()
