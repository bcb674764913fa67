"""The signals that rules hold, laid down once in parts of the log: a checkpoint writes those that are new.

A rule holds many signals for hours, and every checkpoint needs all of them. So each lies in a part, a record of its own
that many checkpoints share, and a checkpoint says of each part which of its signals which rule holds. The newest are in
the checkpoint itself, in its open stretch, until they are enough for a part. What nobody holds any more goes with its
part; what is left of a part that is mostly gone moves into the open stretch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.core.correlation.state import SignalChanges
from services.core.signals import Signal
from services.correlation.intake import read_signal
from services.runtime.packing import pack, unpack
from services.runtime.part_writer import PartWriter, WrittenPart
from services.runtime.records import signal_message
from urban.common.v1.signal_pb2 import Signal as SignalMessage

# A stretch of so many signals becomes a part, and is one at the latest with so many.
SMALLEST_PART, LARGEST_PART = 2_048, 16_384
# A part of which nobody holds more than this share is not worth its record.
_LEAST_SHARE = 0.25
# Of more parts those that have least left move, unless they are large.
MOST_PARTS = 64
# So many signals are written before others on the loop get their turn.
_TURN_SIGNALS = 256

Bits = NDArray[np.uint8]


class _Held:
    """A signal that somebody holds, and its place."""

    __slots__ = ("holders", "message", "place", "signal", "stretch")

    def __init__(self, signal: Signal, stretch: Stretch, place: int) -> None:
        self.signal, self.stretch, self.place = signal, stretch, place
        self.holders = 0
        self.message: bytes | None = None  # until it is in a part that is packed

    def write(self) -> bytes:
        return self.message or signal_message(self.signal).SerializeToString(deterministic=True)


class Stretch:
    """Some signals in a row, and who holds which of them."""

    def __init__(self) -> None:
        self.signals: list[_Held | None] = []  # None: nobody holds it any more
        self.held = dict[Hashable, bytearray]()  # by holder 1 or 0 for each signal, as far as it goes
        self.live = 0
        self.value: bytes | None = None  # packed, from when it is a part until it is written
        self.written: WrittenPart | None = None

    def bits(self, holder: Hashable) -> bytes:
        """1 or 0 for each signal."""
        return bytes(self.held.get(holder, b"")).ljust(len(self.signals), b"\0")

    def mark(self, holder: Hashable, place: int) -> None:
        bits = self.held.setdefault(holder, bytearray())
        if len(bits) <= place:
            bits.extend(bytes(place + 1 - len(bits)))
        bits[place] = 1

    def messages(self) -> list[bytes]:
        """The messages, empty where nobody holds the signal any more. They are kept for the next checkpoint."""
        found = []
        for held in self.signals:
            if held is None:
                found.append(b"")
            else:
                held.message = held.write()
                found.append(held.message)
        return found

    async def pack(self) -> bytes:
        """The part; others on the loop get their turn."""
        messages = []
        for begin in range(0, len(self.signals), _TURN_SIGNALS):
            for held in self.signals[begin : begin + _TURN_SIGNALS]:
                messages.append(b"" if held is None else held.write())
                if held is not None:
                    held.message = None
            await asyncio.sleep(0)
        return pack(_arrays(messages), {})


class Held(NamedTuple):
    """What a checkpoint says of the signals that rules hold."""

    parts: tuple[Stretch, ...]  # those that are, or have to be, in the log
    messages: Sequence[bytes]  # of the open stretch
    sizes: Sequence[int]  # signals of each part, and of the open stretch behind them
    bits: Sequence[Bits]  # by holder, a bit for each of these signals

    async def write(self, writer: PartWriter) -> list[tuple[int, WrittenPart]]:
        """Writes the parts that are not in the log yet; gives all of them by their place."""
        new = [part for part in self.parts if part.written is None]
        for part, number in zip(new, writer.free_numbers(len(new)), strict=True):
            part.written = await writer.put(number, part.value or await part.pack())
            part.value = None
        return [(place, part.written) for place, part in enumerate(self.parts) if part.written is not None]

    def put(self, names: Sequence[str], arrays: dict[str, NDArray[Any]]) -> None:
        """Adds it to the arrays of a checkpoint; by holder the name of its array."""
        arrays |= _arrays(self.messages)
        arrays["stretches"] = np.array(self.sizes, "<u4")
        arrays |= zip(names, self.bits, strict=True)


class HeldSignals:
    """What is known between checkpoints: who holds what, and where it lies."""

    def __init__(self, stretches: Sequence[Stretch] = (), entries: Mapping[int, _Held] | None = None) -> None:
        """`stretches`: of a checkpoint, the open one last; `entries`: its signals, by `id` of the object."""
        self._parts, self._open = list(stretches[:-1]), stretches[-1] if stretches else Stretch()
        self._entries = dict(entries or {})
        self._holders = dict[Hashable, dict[str, _Held]]()  # by signal id
        self._restored = bool(entries)

    def take(self, changes: Mapping[Any, SignalChanges]) -> Held:
        """What a checkpoint has to say now. `changes`: of every holder that there still is; others are forgotten."""
        for holder in self._holders.keys() - changes.keys():
            self._forget(holder)
        for holder, change in changes.items():
            self._change(holder, change)
        if self._restored:
            # A rule need not want all that its checkpoint had.
            self._restored = False
            for held in [held for held in self._entries.values() if not held.holders]:
                self._drop(held)
        self._tidy()
        if len(self._open.signals) >= SMALLEST_PART:
            self._close()
        stretches = (*self._parts, self._open)
        bits = [
            np.packbits(np.frombuffer(b"".join(stretch.bits(holder) for stretch in stretches), np.uint8))
            for holder in changes
        ]
        sizes = [len(stretch.signals) for stretch in stretches]
        return Held(tuple(self._parts), self._open.messages(), sizes, bits)

    def _change(self, holder: Hashable, change: SignalChanges) -> None:
        mine = self._holders.setdefault(holder, {})
        for signal_id in change.gone:
            if (held := mine.pop(signal_id, None)) is not None:
                self._release(holder, held)
        for signal in change.new:
            before = mine.get(signal.id)
            if before is not None:
                if before.signal is signal:
                    continue
                self._release(holder, before)
            # Rules that hold a signal hold the same object: that of its record.
            held = self._entries.get(id(signal)) or self._add(signal)
            held.stretch.mark(holder, held.place)
            held.holders += 1
            mine[signal.id] = held

    def _add(self, signal: Signal) -> _Held:
        held = self._entries[id(signal)] = _Held(signal, self._open, len(self._open.signals))
        self._append(held)
        return held

    def _append(self, held: _Held) -> None:
        self._open.signals.append(held)
        self._open.live += 1
        if len(self._open.signals) >= LARGEST_PART:
            self._close()

    def _release(self, holder: Hashable, held: _Held) -> None:
        held.stretch.held[holder][held.place] = 0
        held.holders -= 1
        if not held.holders:
            self._drop(held)

    def _drop(self, held: _Held) -> None:
        held.stretch.signals[held.place] = None
        held.stretch.live -= 1
        del self._entries[id(held.signal)]

    def _forget(self, holder: Hashable) -> None:
        for held in self._holders.pop(holder).values():
            self._release(holder, held)
        for stretch in (*self._parts, self._open):
            stretch.held.pop(holder, None)

    def _close(self) -> None:
        self._parts.append(self._open)
        self._open = Stretch()

    def _tidy(self) -> None:
        """Moves what is left of parts that are mostly gone, or too many."""
        for part in [p for p in self._parts if p.live < _LEAST_SHARE * len(p.signals)]:
            self._move(part)
        by_left = sorted(self._parts, key=lambda part: part.live)
        for part in by_left[: max(0, len(self._parts) - MOST_PARTS)]:
            if part.live < LARGEST_PART // 2:
                self._move(part)
        if self._open.live < _LEAST_SHARE * len(self._open.signals):
            before, self._open = self._open, Stretch()
            self._parts.append(before)
            self._move(before)

    def _move(self, part: Stretch) -> None:
        self._parts.remove(part)
        for held in part.signals:
            if held is None:
                continue
            before = held.place
            held.stretch, held.place = self._open, len(self._open.signals)
            for holder, bits in part.held.items():
                if before < len(bits) and bits[before]:
                    held.stretch.mark(holder, held.place)
            self._append(held)


def held_in(
    arrays: Mapping[str, NDArray[Any]], names: Sequence[str], parts: Mapping[int, bytes]
) -> tuple[HeldSignals, list[tuple[Signal, ...]]]:
    """What `Held` laid down; by holder its signals, by id. A signal that several hold is one object."""
    if "stretches" in arrays:
        sizes = arrays["stretches"].tolist()
        held_by = [np.flatnonzero(np.unpackbits(arrays[name], count=sum(sizes))).tolist() for name in names]
    else:
        # As layout 4 has it: no parts, and by holder the places of its signals, by id.
        sizes = [len(arrays["signal_sizes"])]
        held_by = [arrays[name].tolist() for name in names]
    wanted = {place for mine in held_by for place in mine}
    stretches: list[Stretch] = []
    every: list[_Held | None] = []
    for place in range(len(sizes)):
        stretch = Stretch()
        stretch.value = parts.get(place)
        messages = _messages(unpack(stretch.value)[0] if stretch.value is not None else arrays)
        begin = len(every)
        for number, message in enumerate(messages):
            signal = read_signal(SignalMessage.FromString(message)) if begin + number in wanted else None
            stretch.signals.append(None if signal is None else _Held(signal, stretch, number))
        stretch.live = sum(held is not None for held in stretch.signals)
        every += stretch.signals
        stretches.append(stretch)
    entries = {id(held.signal): held for held in every if held is not None}
    signals = [[held.signal for place in mine if (held := every[place]) is not None] for mine in held_by]
    if "stretches" in arrays:
        signals = [sorted(mine, key=lambda signal: signal.id) for mine in signals]
    return HeldSignals(stretches, entries), [tuple(mine) for mine in signals]


def _arrays(messages: Sequence[bytes]) -> dict[str, NDArray[Any]]:
    sizes = np.array([len(message) for message in messages], "<u4")
    return {"signals": np.frombuffer(b"".join(messages), np.uint8), "signal_sizes": sizes}


def _messages(arrays: Mapping[str, NDArray[Any]]) -> list[bytes]:
    data, ends = arrays["signals"].tobytes(), np.cumsum(arrays["signal_sizes"]).tolist()
    return [data[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=False)]
