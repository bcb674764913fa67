"""Resume tokens: where a subscriber stands in the topics that it follows, to the item inside a record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from services.runtime.api.names import decode_token, encode_token
from services.runtime.errors import invalid_field


class Place(NamedTuple):
    """What a subscriber is sent next of one partition."""

    offset: int
    sent: int = 0  # items of the record at that offset that it was already sent


# By topic and partition.
Places = dict[str, dict[int, Place]]


def encode_places(places: Mapping[str, Mapping[int, Place]]) -> str:
    """The token; of one topic and between two records it is what tokens were before they knew items."""
    parts: list[object] = []
    for topic, partitions in places.items():
        found = [[p, *place] if place.sent else [p, place.offset] for p, place in sorted(partitions.items())]
        parts += [topic, found]
    return encode_token(parts)


def decode_places(topics: Sequence[str], token: str) -> Places:
    """The places of exactly these topics; INVALID_ARGUMENT where the token is of others, or none of ours."""
    found = decode_token("resume_token", token)
    parts = found if isinstance(found, list) else []
    named, partitions = parts[::2], parts[1::2]
    whole = len(named) == len(partitions) and all(isinstance(p, list) and all(map(_is_place, p)) for p in partitions)
    if not whole or named[:1] != [topics[0]]:
        raise invalid_field("resume_token", token, "is no token of this method")
    if named != list(topics):
        raise invalid_field("resume_token", token, "belongs to a request with another choice of include_early")
    return {
        topic: {partition: Place(*place) for partition, *place in places}
        for topic, places in zip(topics, partitions, strict=True)
    }


def _is_place(given: object) -> bool:
    numbers = given if isinstance(given, list) else []
    return len(numbers) in (2, 3) and all(type(n) is int and 0 <= n < 2**63 for n in numbers)  # no bool
