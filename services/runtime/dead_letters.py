"""What is put aside: records that were refused, with the reasons, and the guard against a flood of them."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import structlog
from aiokafka.structs import ConsumerRecord
from numpy.typing import NDArray

from services.core.frame import Problem
from services.runtime.catalogue import RECORD_BYTES
from services.runtime.log import Headers, record_size
from services.runtime.records import TIME

log = structlog.get_logger(__name__)

# A record counts as bad where nothing of it could be taken. One broken device is no flood: it must be more than half
# of what a partition gets, for so long that a gateway's burst or a day's replay of odd rows is over by then.
WINDOW_RECORDS = 1_000
MAXIMUM_SHARE = 0.5
# Without one good record in between: a wrong topic, a wrong version or a wrong clock. At one frame of each of a few
# gateways a second, a minute of it; the window need not be full.
MAXIMUM_IN_A_ROW = 250
# Entities beyond the limit of a partition, or that nobody told of, are refused for good reasons, and in any number: no
# flood of bad records.
LIMIT = "limit"
UNKNOWN = "unknown"
NO_FLOOD = frozenset((LIMIT, UNKNOWN))
# Of a record that is put aside whole. Larger ones come about by compression alone: some kB on the topic, some GB here.
LARGEST_LETTER_BYTES = RECORD_BYTES
LONGEST_ERROR = 1_000
ALL_ROWS = "all"


class TooManyBadRecordsError(RuntimeError):
    """A flood of records that cannot be taken: somebody has to look before more is put aside."""


class DeadLetter:
    """What was refused of one record: all of it, or some of its observations."""

    def __init__(self, record: ConsumerRecord, observations: int) -> None:
        """`observations`: how many the record holds."""
        self.record = record
        self.observations = observations
        self.error_class = ""
        self.problems: list[Problem] = []
        self.rows: NDArray[np.int64] = np.empty(0, np.int64)  # indices in the record, ascending

    def add(self, error_class: str, problems: Sequence[Problem], rows: NDArray[np.int64]) -> None:
        """Refused observations; the first class names the record."""
        self.error_class = self.error_class or error_class
        self.problems.extend(problems)
        self.rows = np.union1d(self.rows, rows)

    @property
    def count(self) -> int:
        """Observations refused."""
        return len(self.rows)

    @property
    def error(self) -> str:
        """Field, value and reason of the first observation refused."""
        if not self.problems:
            return self.error_class
        first = self.problems[0]
        text = f"{first.field} = {first.value}: {first.reason}" if first.value else f"{first.field}: {first.reason}"
        return text[:LONGEST_ERROR]

    @property
    def size_bytes(self) -> int:
        """Key, value and headers of the record, uncompressed."""
        r = self.record
        return record_size(r.key, r.value, r.headers)

    @property
    def left_out(self) -> bool:
        """Whether the record is too large to be put aside: then the letter says where it lies, and no more."""
        return self.size_bytes > LARGEST_LETTER_BYTES

    @property
    def id(self) -> str:
        """Where the record lies: the same record gives the same again."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def key(self) -> bytes | None:
        """The record's key; the letter's id where there would be neither key nor value: nobody can write that."""
        key: bytes | None = None if self.left_out else self.record.key
        return self.id.encode() if key is None and self.value is None else key

    @property
    def value(self) -> bytes | None:
        """The record's value, untouched."""
        return None if self.left_out else self.record.value

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
            # All of them, for who sends them again; of a record that could not be read, whatever it holds.
            "urban_rows": ALL_ROWS if self.count >= self.observations else write_rows(self.rows),
            "ce_id": self.id,
        }
        if self.left_out:
            told["urban_left_out_bytes"] = str(self.size_bytes)
        # Its own headers too: without its content type, JSON is not told from protobuf.
        own = () if self.left_out else r.headers
        return [*own, *((name, text.encode()) for name, text in told.items())]


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


def write_rows(rows: NDArray[np.int64]) -> str:
    """Ascending indices as ranges: "0-4,7". The worst, every second one of 65,536, makes 190 kB."""
    borders = np.flatnonzero(np.diff(rows) > 1)
    firsts = rows[np.concatenate(([0], borders + 1))].tolist() if len(rows) else []
    lasts = rows[np.concatenate((borders, [len(rows) - 1]))].tolist() if len(rows) else []
    return ",".join(f"{a}-{b}" if b > a else str(a) for a, b in zip(firsts, lasts, strict=True))


def read_rows(text: str) -> NDArray[np.int64]:
    """The indices that `write_rows` wrote. ValueError: it did not."""
    pairs = [part.partition("-") for part in text.split(",") if part]
    parts = [np.arange(int(first), int(last or first) + 1) for first, _, last in pairs]
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


class FloodGuard:
    """Watches the records of one partition, in their order: a function of the log, as the checkpoint holds it.

    A worker that stopped at a flood stops at the same record again, until somebody has mended what floods, or lets it
    pass.
    """

    def __init__(self, partition: str, *, stop: bool = True) -> None:
        """`stop` False: a flood is told in the log, once, and put aside like any other bad record."""
        self._partition, self._stop = partition, stop
        self._bad: deque[bool] = deque(maxlen=WINDOW_RECORDS)
        self._sum = 0
        self._in_a_row = 0
        self._flooding = False

    @property
    def share(self) -> float:
        """Bad records among the last ones, 0 to 1."""
        return self._sum / len(self._bad) if self._bad else 0.0

    def look_at_all(self, offsets: Sequence[int], sizes: Sequence[int], letters: Mapping[int, DeadLetter]) -> None:
        """Records of so many observations each, in their order, and the letters of some, by place. See `look`."""
        good = sum(1 for size in sizes if size)
        if not letters and good >= WINDOW_RECORDS:
            # Only the last ones count, and all of them are good.
            self._bad = deque([False] * WINDOW_RECORDS, WINDOW_RECORDS)
            self._sum = self._in_a_row = 0
            self._flooding = False
            return
        for place, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
            self.look(offset, size, letters.get(place))

    def look(self, offset: int, observations: int, letter: DeadLetter | None) -> None:
        """A record of so many observations, and what was refused of it. TooManyBadRecordsError: it is a flood."""
        if not observations:
            return  # heartbeats come between whatever floods
        bad = letter is not None and letter.count >= observations and letter.error_class not in NO_FLOOD
        self._count(bad)
        flood = self._in_a_row > MAXIMUM_IN_A_ROW or (
            len(self._bad) == WINDOW_RECORDS and self._sum > MAXIMUM_SHARE * WINDOW_RECORDS
        )
        # A good record ends no worker: what is mended may go on.
        if letter is not None and bad and flood:
            self._tell_flood(offset, letter)
        self._flooding = flood

    def to_array(self) -> NDArray[np.uint8]:
        """Of a checkpoint: bad or not, of the last records. Shape: (n,), n at most 1,000."""
        return np.array(self._bad, np.uint8)

    def put(self, told: NDArray[np.uint8]) -> None:
        """What `to_array` told."""
        for bad in told.tolist():
            self._count(bool(bad))

    def _count(self, bad: bool) -> None:
        if len(self._bad) == WINDOW_RECORDS:
            self._sum -= self._bad[0]
        self._bad.append(bad)
        self._sum += bad
        self._in_a_row = self._in_a_row + 1 if bad else 0

    def _tell_flood(self, offset: int, letter: DeadLetter) -> None:
        text = (
            f"{self._partition} at offset {offset}: of the last {len(self._bad)} records {self._sum} were refused, "
            f"{self._in_a_row} in a row, the last one for {letter.error}"
        )
        if self._stop:
            raise TooManyBadRecordsError(
                f"{text}. Mend what writes them, or let them pass with URBAN_DEAD_LETTER_FLOOD=pass"
            )
        if not self._flooding:
            log.error("dead_letter_flood", text=text)
