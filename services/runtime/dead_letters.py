"""What is put aside: records that were refused, with the reasons, and the guard against a flood of them."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa
from aiokafka.structs import ConsumerRecord

from services.core.frame import Problem
from services.runtime.log import Headers
from services.runtime.records import TIME

# So many records in a row of which nothing could be taken are no bad sensor but a wrong topic or a wrong version.
MAXIMUM_BAD_RECORDS = 10_000


class TooManyBadRecordsError(RuntimeError):
    """A flood of records that cannot be taken: somebody has to look before more is put aside."""


class DeadLetter:
    """What was refused of one record: all of it, or some of its observations."""

    def __init__(self, record: ConsumerRecord) -> None:
        self.record = record
        self.error_class = ""
        self.count = 0
        self.problems: list[Problem] = []

    def add(self, error_class: str, problems: Sequence[Problem], count: int) -> None:
        """Refused observations; the first class names the record."""
        self.error_class = self.error_class or error_class
        self.problems.extend(problems)
        self.count += count

    @property
    def error(self) -> str:
        """Field, value and reason of the first observation refused."""
        if not self.problems:
            return self.error_class
        first = self.problems[0]
        return f"{first.field} = {first.value}: {first.reason}" if first.value else f"{first.field}: {first.reason}"

    @property
    def indices(self) -> list[int]:
        return [p.index for p in self.problems[:100]]

    def headers(self) -> Headers:
        """Where the record came from and why it was refused. The same record gives the same `ce_id` again."""
        r = self.record
        told = {
            "urban_topic": r.topic,
            "urban_partition": str(r.partition),
            "urban_offset": str(r.offset),
            "urban_timestamp_ms": str(r.timestamp),
            "urban_error_class": self.error_class,
            "urban_error": self.error,
            "urban_observations": str(self.count),
            "urban_indices": json.dumps(self.indices),
            "ce_id": f"{r.topic}/{r.partition}/{r.offset}",
        }
        # Its own headers too: without its content type, JSON is not told from protobuf.
        return [*r.headers, *((name, text.encode()) for name, text in told.items())]


def dead_letters_table(kind: str, letters: Sequence[DeadLetter]) -> pa.Table:
    """Rows of `<domain>.dead_letters`."""
    return pa.table(
        {
            "kind": pa.array([kind] * len(letters), pa.string()),
            "topic": pa.array([d.record.topic for d in letters], pa.string()),
            "kafka_partition": pa.array([d.record.partition for d in letters], pa.uint32()),
            "kafka_offset": pa.array([d.record.offset for d in letters], pa.int64()),
            "kafka_time": pa.array([max(d.record.timestamp, 0) for d in letters], TIME),
            "error_class": pa.array([d.error_class for d in letters], pa.string()),
            "error": pa.array([d.error for d in letters], pa.string()),
            "observations": pa.array([d.count for d in letters], pa.uint32()),
            "indices": pa.array([d.indices for d in letters], pa.list_(pa.uint32())),
            "size_bytes": pa.array([len(d.record.value or b"") for d in letters], pa.uint32()),
        }
    )


class FloodGuard:
    """Counts the records of one partition of which nothing could be taken, as long as no other comes between."""

    def __init__(self, partition: str) -> None:
        self._partition = partition
        self._in_a_row = 0

    def look(self, offset: int, observations: int, letter: DeadLetter | None) -> None:
        """A record of so many observations, and what was refused of it. TooManyBadRecordsError: it is a flood."""
        if not observations:
            return  # heartbeats come between whatever floods
        if letter is None or letter.count < observations:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        if self._in_a_row > MAXIMUM_BAD_RECORDS:
            raise TooManyBadRecordsError(
                f"{self._partition} up to offset {offset}: {self._in_a_row} records in a row were refused, "
                f"the last one for {letter.error}"
            )
