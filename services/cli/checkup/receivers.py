"""Notifications that their receivers have not taken, and that nobody has sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from services.cli.checkup import checks
from services.cli.checkup.finding import Finding
from services.cli.log_view import LogView
from services.cli.undelivered import read_topic
from services.runtime.catalogue import NOTIFICATIONS
from urban.correlation.v1.notification_pb2 import Notification


async def read_undelivered(kafka: str) -> dict[str, int]:
    """How many each receiver has still to be told of. LogError: Kafka does not answer."""
    put_aside = {Notification.FromString(r.value or b"").id: r for r in await read_topic(kafka)}
    if not put_aside:
        return {}
    async with LogView(kafka) as log:
        oldest_ms = min(record.timestamp_ms for record in put_aside.values())
        first = await log.offset_at(NOTIFICATIONS, 0, oldest_ms)
        end = (await log.held(NOTIFICATIONS, 0)).end
        async for record in log.read(NOTIFICATIONS, 0, first, end):
            id_ = Notification.FromString(record.value or b"").id
            # `urban undelivered replay` writes it there again; where that fails, it is put aside anew.
            if id_ in put_aside and put_aside[id_].timestamp_ms <= record.timestamp_ms:
                del put_aside[id_]
    return dict(Counter(Notification.FromString(record.value).receiver for record in put_aside.values()))


def judge_receivers(undelivered: Mapping[str, int]) -> Iterator[Finding]:
    """A finding for each receiver."""
    for receiver, count in sorted(undelivered.items()):
        yield checks.UNDELIVERED.found(f"{receiver} was not told of {count:,} notifications", receiver=receiver)
