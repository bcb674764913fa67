"""`urban send`: observations from lines of JSON to the service of their domain."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from services.cli.addresses import NothingRunsError, find_addresses
from services.cli.domains import find_kind
from services.cli.output import DEFAULT_CITY, CityOption, RootOption, fail, say

if TYPE_CHECKING:
    import grpc

    from services.cli.rows import ReadLine, RejectedLine
    from services.core.kind import Kind

# A response names at most 1,000 refused observations, so that with this many a call every one is named.
LINES_PER_CALL = 1_000
# Lines of a pipe that is written to slowly are sent after this time.
LINGER_S = 0.5

_INDEX = re.compile(r"observations\[(\d+)\]\.?(.*)")

Line = tuple[int, str]


def send(
    kind: Annotated[str, typer.Argument(metavar="DOMAIN.KIND", help='Kind of observation, "traffic.road_flow".')],
    file: Annotated[str, typer.Argument(help="File of JSON lines, each one row message; '-' for standard input.")],
    city: CityOption = DEFAULT_CITY,
    root: RootOption = None,
) -> None:
    """Send observations and say which were refused, by line, field, value and reason; exit status 1 if any was."""
    import grpc

    from services.cli.calls import in_words, open_stub

    try:
        domain, found = find_kind(kind)
        with _open(file) as lines, open_stub(find_addresses(root), domain.name) as stub:
            sender = RowSender(stub, domain.name, found, city)
            for batch in batches(lines):
                for rejected in sender.send(batch):
                    say(str(rejected))
    except (ValueError, NothingRunsError, OSError) as error:
        fail(str(error))
    except grpc.RpcError as error:
        fail(in_words(error))
    print(f"{sender.accepted:,} accepted, {sender.rejected:,} rejected")
    if sender.rejected:
        raise typer.Exit(1)


def _open(file: str) -> AbstractContextManager[IO[str]]:
    return nullcontext(sys.stdin) if file == "-" else Path(file).open(encoding="utf-8", errors="replace")


def batches(lines: Iterable[str], size: int = LINES_PER_CALL, linger_s: float = LINGER_S) -> Iterator[list[Line]]:
    """Numbered lines that are not blank, in groups of `size` at most; a slow source is not waited for."""
    queue: SimpleQueue[Line | BaseException | None] = SimpleQueue()

    def read() -> None:
        try:
            for numbered in enumerate(lines, start=1):
                queue.put(numbered)
        except (OSError, ValueError) as error:
            queue.put(error)
        queue.put(None)

    threading.Thread(target=read, name="lines", daemon=True).start()
    batch: list[Line] = []
    while True:
        try:
            item = queue.get(timeout=linger_s if batch else None)
        except Empty:
            yield batch
            batch = []
            continue
        if isinstance(item, BaseException):
            raise item
        if item is None:
            break
        if item[1].strip():
            batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


class RowSender:
    """Sends rows of one kind by Report and counts what came of them."""

    def __init__(self, stub: Any, domain: str, kind: Kind, city: str) -> None:
        from services.cli.calls import messages_of
        from services.runtime.contracts import FrameContract

        self.accepted = 0
        self.rejected = 0
        self._stub, self._city = stub, city
        self._request = messages_of(domain).ReportRequest
        self._contract = FrameContract.of(domain, kind)

    def send(self, lines: list[Line]) -> list[RejectedLine]:
        """Send what can be read of these lines; returns every refused line, in order."""
        from services.cli.rows import RejectedLine, read_line

        read = [read_line(self._contract, self._city, *line) for line in lines]
        rejected = [line for line in read if isinstance(line, RejectedLine)]
        by_city: dict[str, list[ReadLine]] = {}
        for line in read:
            if not isinstance(line, RejectedLine):
                by_city.setdefault(line.city, []).append(line)
        for rows in by_city.values():
            rejected += self._report(rows)
        self.rejected += len(rejected)
        return sorted(rejected, key=lambda found: found.number)

    def _report(self, rows: list[ReadLine]) -> list[RejectedLine]:
        import grpc

        from services.cli.calls import ANSWER_TIMEOUT_S
        from services.cli.rows import RejectedLine

        kind = self._contract.kind.name
        requests = (self._request(parent=f"cities/{line.city}", **{kind: line.row}) for line in rows)
        try:
            response = self._stub.Report(requests, timeout=ANSWER_TIMEOUT_S)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return self._refused(rows, error)
        self.accepted += response.accepted
        return [RejectedLine(rows[r.index].number, r.field, r.value, r.reason) for r in response.rejections]

    def _refused(self, rows: list[ReadLine], error: grpc.RpcError) -> list[RejectedLine]:
        """Why a call was refused in which no row was good."""
        from services.cli.calls import in_words, violations_of
        from services.cli.rows import RejectedLine

        named = {
            index: RejectedLine(rows[index].number, field, *_split(text))
            for index, field, text in (_read_violation(*violation) for violation in violations_of(error))
            if 0 <= index < len(rows)
        }
        if len(named) == len(rows):
            return [named[index] for index in sorted(named)]
        if len(rows) == 1:
            return [RejectedLine(rows[0].number, "line", "", in_words(error))]
        # An error has room for a few names only: ask in halves, which is safe, for nothing was taken.
        half = len(rows) // 2
        return self._report(rows[:half]) + self._report(rows[half:])


def _read_violation(field: str, description: str) -> tuple[int, str, str]:
    """Index of the observation (-1: none told), its field and the description of one violation."""
    found = _INDEX.fullmatch(field)
    return (int(found[1]), found[2], description) if found else (-1, field, description)


def _split(description: str) -> tuple[str, str]:
    """Value and reason of a description "400.0: must be at most 300 km/h"."""
    value, colon, reason = description.partition(": ")
    return (value, reason) if colon else ("", description)
