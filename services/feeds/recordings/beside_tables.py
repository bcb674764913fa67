"""Files that tell what happened, and tables beside them by which it is understood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from services.feeds.recordings.block import Block, Names
from services.feeds.recordings.numbering import identify
from services.feeds.recordings.opening import Item
from services.feeds.recordings.stream import Stream


def streams_of(
    told: Sequence[Item], tables: Sequence[Item], read: Callable[[Item, Names], Iterator[Block]]
) -> list[Stream]:
    """A stream of each file that tells something; by another table it is another recording."""
    by = sorted(item.content().digest for item in tables)
    streams = []
    for item in told:
        names, content = Names(), item.content()
        identity = identify(content.digest, *by)
        streams.append(Stream(item.name, identity, names, read(item, names), sorted=False, size=content.size))
    return streams
