"""Packets of HJ 212, the standard by which China's monitors of pollution transmit data, out of a stream of bytes.

A packet is `##`, the length of its data segment in four digits, the segment, its CRC in four hexadecimal digits, and
CR LF. HJ 212-2017 (6.3, annex A), the same in HJ/T 212-2005 and HJ 212-2025; the texts were not at hand: what stands
here is from transcriptions that agree, and the CRC gives 1C80 for the standard's own example. HJ 212-2025, in force
since 2026-01-01, may encipher the data area, which is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO

from services.runtime.rows import clip

EDITION_2005, EDITION_2017, EDITION_2025 = 0, 1, 2
"""What the bits of `Flag` above the lowest two say; a packet without `Flag` is of the first."""

MARK = b"##"
_END = b"\r\n"
_LENGTH_DIGITS = _CRC_DIGITS = 4
_HEAD = len(MARK) + _LENGTH_DIGITS
_CHUNK = 1 << 18
_PARTED = 0b10  # of Flag: the packet is one of several, and tells PNUM and PNO
_FACTOR_FIELD = re.compile(r"[;,]")
_HEXADECIMAL = re.compile(r"[0-9A-F]{4}")


@dataclass(frozen=True)
class Packet:
    """What a whole packet tells. Its password is not taken."""

    number: int  # from 1, of all that begin in the stream
    system: str  # ST: 31 is a source that pollutes the air, 22 a station of air quality
    command: str  # CN: 2011 is data in real time, 2051 of minutes, 2061 of hours, 2031 of days
    station: str  # MN
    edition: int
    part: int  # PNO, from 1
    parts: int  # PNUM
    told: Mapping[str, str]  # the data area: DataTime, a21026-Rtd, a21026-Flag


class PacketFault(ValueError):
    """A packet, or a field of one, that cannot be taken: where, which field, its value and why."""

    def __init__(self, number: int, field: str, value: str, reason: str) -> None:
        super().__init__(f"packet {number}: {field} = {value!r}: {reason}")
        self.number, self.field, self.value, self.reason = number, field, clip(value), reason


def crc_of(segment: bytes) -> int:
    """Check of a data segment: 16 bits, 0xFFFF before, polynomial 0xA001; each byte meets the upper eight bits only."""
    found = 0xFFFF
    for byte in segment:
        found = _CRC[found >> 8 ^ byte]
    return found


def _shifted(found: int) -> int:
    for _ in range(8):
        found = found >> 1 ^ (0xA001 if found & 1 else 0)
    return found


_CRC = tuple(_shifted(byte) for byte in range(256))


def read_packets(
    file: IO[bytes], tell: Callable[[int], None], pass_over: Callable[[int], None]
) -> Iterator[Packet | PacketFault]:
    """The packets of a stream in their order, with a fault in the place of each that is broken; the next is looked for.

    `tell` learns how many bytes were read, `pass_over` how many of them belong to no packet and are not blank.
    """
    held, number, broken = _Held(file, tell), 0, False
    while held.fill(1):
        begin = held.data.find(MARK)
        if begin < 0 and held.data.endswith(MARK[:1]) and held.fill(len(held.data) + 1):
            continue
        if begin == 0 and held.fill(_HEAD) and held.data.startswith(MARK[:1], len(MARK)):
            # Of more than two such signs the last two are the mark.
            begin = 1
        if begin != 0:
            rest = b"".join(held.drop(begin if begin > 0 else len(held.data)).split())
            # What follows a packet of which nobody knows where it ends is its own.
            if rest and not broken:
                pass_over(len(rest))
            continue
        number += 1
        found, length = _read_packet(held, number)
        broken = length == len(MARK)
        held.drop(length)
        yield found


class _Held:
    """The next bytes of a stream."""

    def __init__(self, file: IO[bytes], tell: Callable[[int], None]) -> None:
        self._file, self._tell = file, tell
        self.data = b""
        self.place = 0  # of the first of them in the stream, from 0

    def fill(self, count: int) -> bool:
        """Whether so many are there."""
        while len(self.data) < count:
            chunk = self._file.read(_CHUNK)
            self._tell(len(chunk))
            if not chunk:
                return False
            self.data += chunk
        return True

    def drop(self, count: int) -> bytes:
        found, self.data = self.data[:count], self.data[count:]
        self.place += len(found)
        return found


def _read_packet(held: _Held, number: int) -> tuple[Packet | PacketFault, int]:
    """What begins here, and how many bytes it has: those of the mark alone where its length cannot be right."""
    lost, at = len(MARK), f"the packet that begins at byte {held.place}"
    held.fill(_HEAD)
    digits = held.data[len(MARK) : _HEAD].decode("ascii", "replace")
    if not (len(digits) == _LENGTH_DIGITS and digits.isascii() and digits.isdigit()):
        return PacketFault(number, "length", digits, f"must be four digits, in {at}"), lost
    end = _HEAD + int(digits)
    if not held.fill(end + _CRC_DIGITS):
        there = max(0, len(held.data) - _HEAD)
        return PacketFault(number, "length", digits, f"only {there} bytes follow, in {at}"), lost
    held.fill(end + _CRC_DIGITS + len(_END))
    segment, told = held.data[_HEAD:end], held.data[end : end + _CRC_DIGITS].decode("ascii", "replace").upper()
    ended = held.data[end + _CRC_DIGITS :].startswith(_END)
    length = end + _CRC_DIGITS + (len(_END) if ended else 0)
    if told != (expected := f"{crc_of(segment):04X}"):
        # What stands there instead may be anything. Where its end is in its place, the next packet begins behind it.
        shown = told if _HEXADECIMAL.fullmatch(told) else ""
        return PacketFault(number, "CRC", shown, f"must be {expected}, in {at}"), length if ended else lost
    try:
        return _parse(segment.decode(), number), length
    except UnicodeDecodeError as error:
        return PacketFault(number, "data segment", "", f"is no text at its byte {error.start}, in {at}"), length
    except PacketFault as fault:
        return fault, length


def _parse(segment: str, number: int) -> Packet:
    head, begun, area = segment.partition("CP=&&")
    area, ended, _ = area.partition("&&")
    if not (begun and ended):
        raise PacketFault(number, "CP", "", "must begin and end with &&")
    fields = {name.strip(" ,").upper(): value.strip() for name, _, value in (f.partition("=") for f in head.split(";"))}
    for name in ("ST", "CN", "MN"):
        if not fields.get(name):
            raise PacketFault(number, name, "", "is missing")
    flag = _whole(fields, "FLAG", 0, number)
    part = parts = 1
    if flag & _PARTED:
        part, parts = _whole(fields, "PNO", 1, number), _whole(fields, "PNUM", 1, number)
        if not 1 <= part <= parts:
            raise PacketFault(number, "PNO", str(part), f"must be 1 to {parts}")
    told: dict[str, str] = {}
    for item in filter(None, map(str.strip, _FACTOR_FIELD.split(area))):
        name, sign, value = item.partition("=")
        if not sign:
            # It may be anything, also enciphered.
            raise PacketFault(number, "CP", "", f"{len(area)} characters are no fields with values{_enciphered(flag)}")
        if name in told:
            raise PacketFault(number, name, value, "is told twice")
        told[name] = value.strip()
    return Packet(number, fields["ST"], fields["CN"], fields["MN"], flag >> 2, part, parts, told)


def _enciphered(flag: int) -> str:
    return "; HJ 212-2025 enciphers them, and they must be deciphered first" if flag >> 2 >= EDITION_2025 else ""


def _whole(fields: Mapping[str, str], name: str, otherwise: int, number: int) -> int:
    text = fields.get(name, "")
    if not text:
        return otherwise
    if not (text.isascii() and text.isdigit()):
        raise PacketFault(number, name, text, "must be a whole number")
    return int(text)
