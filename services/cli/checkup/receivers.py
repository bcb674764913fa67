"""Notifications that their receivers have not taken, and that nobody has sent again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from services.cli.checkup import checks
from services.cli.checkup.finding import Finding
from services.cli.undelivered import read_put_aside


async def read_undelivered(kafka: str) -> dict[str, int]:
    """How many each receiver has still to be told of. LogError: Kafka does not answer."""
    return dict(Counter(put_aside.receiver for put_aside in await read_put_aside(kafka) if not put_aside.sent_again))


def judge_receivers(undelivered: Mapping[str, int]) -> Iterator[Finding]:
    """A finding for each receiver."""
    for receiver, count in sorted(undelivered.items()):
        yield checks.UNDELIVERED.found(f"{receiver} was not told of {count:,} notifications", receiver=receiver)
