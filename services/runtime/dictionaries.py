"""Dictionaries of entity ids that gateways send again and again, recognised by their bytes before a frame is read.

A dictionary of 256 ids costs more to read than all numbers of its frame. On the wire it is a run of whole fields, so
a record without that run is the same frame without its dictionary.
"""

from __future__ import annotations

from services.core.frame import LastingIds
from services.runtime.wire_fields import HEADER_TAG, IDS_TAG

# Shorter ones are read as fast as they are recognised.
_SHORTEST = 8
# Tells the dictionaries of a city's gateways apart: some three ids.
_KEY_BYTES = 64
_MOST_IDS = 262_144


class RawDictionaries:
    """Remembers dictionaries of one topic; who sends one twice is recognised from the third time on."""

    def __init__(self) -> None:
        self._known: dict[bytes, tuple[bytes, tuple[str, ...]]] = {}
        self._ids = 0
        # Met once, by key: one that never comes again is soon forgotten. When it comes again its first ids are kept, as
        # the engine has those already.
        self._met: dict[bytes, tuple[str, ...]] = {}
        self._met_ids = 0

    def split(self, value: bytes) -> tuple[bytes, tuple[str, ...]]:
        """A record without its dictionary, and the dictionary; the record itself and () where it is not known."""
        begin = _end_of_header(value)
        known = self.find(value, begin, len(value))
        if known is None:
            return value, ()
        ids, end = known
        return value[:begin] + value[end:], ids

    def find(self, data: bytes, begin: int, end: int) -> tuple[tuple[str, ...], int] | None:
        """The dictionary that begins there, and where it ends; None: it is not known. `end`: of the record."""
        raw, ids = self._known.get(data[begin : begin + _KEY_BYTES], (b"", ()))
        if not raw or not data.startswith(raw, begin, end):
            return None
        return ids, begin + len(raw)

    def learn(self, value: bytes, ids: tuple[str, ...]) -> None:
        """What was read of a record whose dictionary was not known."""
        begin = _end_of_header(value)
        if not begin or len(ids) < _SHORTEST:
            return
        key = value[begin : begin + _KEY_BYTES]
        met = self._met.get(key, ())
        if met != ids:
            if self._met_ids > _MOST_IDS:
                self._met.clear()
                met, self._met_ids = (), 0
            self._met[key] = ids
            self._met_ids += len(ids) - len(met)
            return
        raw = b"".join(_field_of(entity_id) for entity_id in ids)
        if not value.startswith(raw, begin):
            return  # its ids do not stand together, or not right behind the header
        if self._ids + len(ids) > _MOST_IDS:
            self._known.clear()
            self._ids = 0
        self._ids += len(ids) - len(self._known.get(key, (b"", ()))[1])
        self._known[key] = (raw, LastingIds(met))
        del self._met[key]
        self._met_ids -= len(ids)


def _end_of_header(value: bytes) -> int:
    """Where the header ends, if the record begins with one of less than 16 KiB and ids follow; else 0."""
    if len(value) < 3 or value[0] != HEADER_TAG:
        return 0
    end = 2 + value[1] if value[1] < 0x80 else 3 + (value[1] & 0x7F | value[2] << 7)
    if value[1] >= 0x80 and value[2] >= 0x80:
        return 0
    return end if end < len(value) and value[end] == IDS_TAG else 0


def _field_of(entity_id: str) -> bytes:
    text = entity_id.encode()
    length = len(text)
    if length < 0x80:
        return bytes((IDS_TAG, length)) + text
    return bytes((IDS_TAG, length & 0x7F | 0x80, length >> 7)) + text if length < 0x4000 else b""
