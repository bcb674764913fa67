"""One run of `urban replay`: reads, sends, shows how far it has come, and says what was refused."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO

from services.cli.output import say
from services.cli.recording_outcome import Outcome
from services.core.kind import Domain, Kind
from services.core.pseudonym import Pseudonyms
from services.core.sources import SPAN
from services.feeds.recordings.block import Refusal
from services.feeds.recordings.numbering import NumberedFrame, Span, step_of
from services.feeds.recordings.player import Player
from services.feeds.recordings.reading import Plan, Reading, Tally
from services.feeds.sender import FrameSender
from services.runtime.contracts import FrameContract
from services.runtime.rows import time_text

# Refused observations of a file that are told one by one; the others are counted.
TOLD = 10
PROGRESS_INTERVAL_S = 2.0


class Run:
    """A recording, and where its refusals go."""

    def __init__(
        self,
        domain: Domain,
        kinds: Sequence[Kind],
        files: Sequence[Path],
        form: str,
        city: str,
        span: Span,
        sort: bool,
        zone: str,
        errors: Path | None,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._domain, self._kinds, self._city, self._errors = domain, kinds, city, errors
        self._tally = Tally(self._refuse)
        self._told: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._error_file: IO[str] | None = None
        self._outcome = Outcome(dry_run=False)
        self._entities: set[str] = set()
        self._shown = 0  # times that progress was shown
        self._reading = Reading(Plan(domain, kinds, files, city, form, span, sort, zone, pseudonyms), self._tally, say)

    def rehearse(self) -> Outcome:
        """Read all of it and send nothing."""
        self._outcome.dry_run = True
        began = time.monotonic()
        with self._open_errors():
            for numbered in self._reading.frames():
                self._count(numbered)
                self._progress(time.monotonic() - began)
        return self._conclude(time.monotonic() - began)

    def play(self, address: str, speed: float | None, *, register: bool, final: bool) -> Outcome:
        """Send it to the service at this address. grpc.RpcError: it refuses the stream."""
        with self._open_errors():
            return asyncio.run(self._play(address, speed, register, final))

    async def _play(self, address: str, speed: float | None, register: bool, final: bool) -> Outcome:
        began = time.monotonic()
        sender = FrameSender(self._domain.name, address, self._city, in_flight=SPAN)
        contracts = {kind.name: FrameContract.of(self._domain.name, kind) for kind in self._kinds}
        player = Player(sender, contracts, self._tally.refuse, self._count, speed, final=final)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            self._tally.stopped = True
            player.stop()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
        entities = list(self._reading.entities()) if register else []
        showing = asyncio.ensure_future(self._show(began, sender, player))
        try:
            await player.play(self._reading.frames(), entities)
        finally:
            showing.cancel()
        outcome = self._outcome
        outcome.accepted, outcome.registered, outcome.stopped = sender.accepted, player.registered, player.stopped
        if player.stopped and player.resume_ms is not None:
            step_ms = max(step_of(kind) for kind in self._kinds)
            outcome.resume_ms = player.resume_ms // step_ms * step_ms
        return self._conclude(time.monotonic() - began)

    async def _show(self, began: float, sender: FrameSender, player: Player) -> None:
        while True:
            await asyncio.sleep(PROGRESS_INTERVAL_S)
            reached = "-" if player.reached_ms is None else time_text(player.reached_ms)
            seconds = time.monotonic() - began
            self._tell(
                seconds,
                f"{reached}  {sender.accepted:,} of {sender.sent:,} accepted, {sender.accepted / seconds:,.0f}/s",
            )

    def _progress(self, seconds: float) -> None:
        """Of a rehearsal, every so often."""
        if seconds >= PROGRESS_INTERVAL_S * (1 + self._shown):
            self._shown += 1
            self._tell(seconds, f"{sum(self._outcome.observations.values()):,} observations")

    def _tell(self, seconds: float, what: str) -> None:
        tally = self._tally
        share = f"{100 * tally.bytes_read / tally.bytes_total:3.0f} % read" if tally.bytes_total else "         "
        line = f"{seconds:6.0f} s  {share}  {what}, {sum(tally.refused.values()):,} refused"
        if sys.stderr.isatty():
            print(f"\r{line}\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            say(line)

    def _count(self, numbered: NumberedFrame) -> None:
        outcome, frame = self._outcome, numbered.frame
        outcome.observations[numbered.kind] = outcome.observations.get(numbered.kind, 0) + len(frame)
        outcome.frames += 1
        first_ms, last_ms = int(frame.time_ms.min()), int(frame.time_ms.max())
        outcome.first_ms = first_ms if outcome.first_ms is None else min(first_ms, outcome.first_ms)
        outcome.last_ms = last_ms if outcome.last_ms is None else max(last_ms, outcome.last_ms)
        self._entities.update(frame.entity_ids)

    def _refuse(self, refusal: Refusal) -> None:
        if self._error_file is not None:
            print(json.dumps(asdict(refusal), ensure_ascii=False), file=self._error_file)
        self._reasons[f"{refusal.field}: {refusal.reason}"] += 1
        self._told[refusal.file] += 1
        if self._told[refusal.file] <= TOLD:
            say(str(refusal))
        elif self._told[refusal.file] == TOLD + 1:
            say(f"{refusal.file}: more are refused; they are counted, and --errors FILE writes down each")

    def _open_errors(self) -> ExitStack:
        stack = ExitStack()
        if self._errors is not None:
            self._error_file = stack.enter_context(self._errors.open("w", encoding="utf-8"))
        return stack

    def _conclude(self, seconds: float) -> Outcome:
        if sys.stderr.isatty():
            say("")
        outcome = self._outcome
        outcome.seconds = round(seconds, 3)
        outcome.entities = len(self._entities)
        outcome.empty = self._tally.empty
        outcome.files = dict(self._tally.refused)
        outcome.refused = sum(outcome.files.values())
        outcome.reasons = dict(self._reasons.most_common(TOLD))
        return outcome
