"""Report: a stream of single observations in, one answer at its end, when Kafka has the good ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from services.core.frame import Problem
from services.runtime import metrics, tracing
from services.runtime.api.collector import Collector, Tally
from services.runtime.api.names import read_parent
from services.runtime.api.report_frames import rejections_of
from services.runtime.contracts import FrameContract
from services.runtime.errors import Violation, invalid_argument, unavailable
from services.runtime.grpc_server import Context
from services.runtime.rows import RowFault, row_of_message
from urban.common.v1.service_pb2 import ReportResponse

# Observations of one call that are not acknowledged yet; then the stream waits.
MAX_OUTSTANDING = 8192


class RowReports:
    """Serves Report of one domain."""

    def __init__(self, contracts: Mapping[str, FrameContract], collectors: Mapping[str, Collector]) -> None:
        """Both by kind."""
        self._contracts = contracts
        self._collectors = collectors

    async def serve(self, requests: AsyncIterator[Any], context: Context) -> ReportResponse:
        """INVALID_ARGUMENT where there were observations and none was good; UNAVAILABLE where the log failed."""
        span = tracing.current()
        tally = Tally(origin=span.origin if span is not None else None)
        city = ""
        index = 0
        async for request in requests:
            city = read_parent(request.parent) if request.parent or not city else city
            self._take(city, request, tally, index)
            index += 1
            await _wait_until(tally, MAX_OUTSTANDING)
        await _wait_until(tally, 0)
        problems = tally.problems()
        if problems and not tally.accepted:
            violations = (Violation(f"observations[{p.index}].{p.field}", p.value, p.reason) for p in problems)
            raise invalid_argument(violations, f"none of {tally.rejected} observations was good: {problems[0]}")
        return ReportResponse(accepted=tally.accepted, rejected=tally.rejected, rejections=rejections_of(problems))

    def _take(self, city: str, request: Any, tally: Tally, index: int) -> None:
        kind = request.WhichOneof("observation")
        try:
            if kind is None:
                raise RowFault("observation", "", f"must be one of {', '.join(self._contracts)}")
            row = row_of_message(self._contracts[kind], city, getattr(request, kind))
        except RowFault as fault:
            tally.reject(Problem(index, fault.field, fault.value, fault.reason))
            if kind is not None:
                metrics.REPORTED.labels(self._contracts[kind].domain, kind, "rejected").inc()
            return
        self._collectors[kind].add(row, tally, index)


async def _wait_until(tally: Tally, outstanding: int) -> None:
    """Returns when no more than so many observations are outstanding."""
    while tally.failure is None and tally.outstanding > outstanding:
        tally.settled.clear()
        await tally.settled.wait()
    if tally.failure is not None:
        raise unavailable(f"{tally.failure}; {tally.accepted} observations were accepted before")
