"""`python -m tests.faults.subscriber PORT FILE`: a subscriber of windows in a process of its own, that can be stopped.

It goes on wherever a stream ended, and notes in FILE, a JSON object a line, what it is sent and how streams end.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, TextIO

import grpc

from services.runtime.api.watch import RESUME_TOKEN_KEY
from tests.contract.calls import Client, info_of
from tests.integration.processor.city import NAME

STREAM_S = 600.0
RETRY_S = 0.2
# What is not read fills up soon, whatever gRPC has learned of the line.
SMALL_WINDOW = (("grpc.http2.lookahead_bytes", 65_536), ("grpc.http2.bdp_probe", 0))
PASSING = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


def key_of(start_s: int, entity_id: str, early: bool) -> str:
    """One for each row of a frame."""
    return f"{start_s}/{entity_id}{'/early' if early else ''}"


async def follow(port: int, notes: TextIO) -> None:
    """Until the process is ended."""
    client = Client("traffic", port, SMALL_WINDOW)
    request = client.request("WatchWindows")
    token = ""

    def note(**what: Any) -> None:
        print(json.dumps({"time_ms": time.time_ns() // 1_000_000, **what}), file=notes, flush=True)

    while True:
        asked = request(parent=f"cities/{NAME}", include_early=True, resume_token=token)
        call = client.WatchWindows(asked, timeout=STREAM_S)
        try:
            token = str(dict(await call.initial_metadata()).get(RESUME_TOKEN_KEY, token))
            note(began=token)
            async for response in call:
                token = response.resume_token
                note(windows=[key_of(w.start_time.seconds, w.entity_id, w.early) for w in response.windows])
            token = str(dict(await call.trailing_metadata()).get(RESUME_TOKEN_KEY, token))
        except grpc.aio.AioRpcError as error:
            cut = error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            told = info_of(error) if cut else None
            note(ended=error.code().name, reason=told.reason if told else "", text=error.details())
            if error.code() not in PASSING:
                raise
            token = told.metadata["resume_token"] if told else token
            await asyncio.sleep(RETRY_S)


def main(port: str, file: str) -> None:
    with Path(file).open("w") as notes:
        asyncio.run(follow(int(port), notes))


if __name__ == "__main__":
    main(*sys.argv[1:])
