"""A HyperLogLog in plain loops: 4,096 registers, SplitMix64, the improved raw estimator of Ertl."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

REGISTERS, REST_BITS = 4_096, 52
_BITS = (1 << 64) - 1


def hash_number(value: float) -> int:
    (bits,) = struct.unpack("<Q", struct.pack("<d", value + 0.0))
    bits = (bits + 0x9E3779B97F4A7C15) & _BITS
    bits = ((bits ^ bits >> 30) * 0xBF58476D1CE4E5B9) & _BITS
    bits = ((bits ^ bits >> 27) * 0x94D049BB133111EB) & _BITS
    return int(bits ^ bits >> 31)


def count_distinct(values: Iterable[float]) -> float:
    """About how many different numbers there are."""
    registers = [0] * REGISTERS
    for value in values:
        hashed = hash_number(value)
        index, rest = hashed >> REST_BITS, hashed & ((1 << REST_BITS) - 1)
        registers[index] = max(registers[index], REST_BITS - rest.bit_length() + 1)
    empty = registers.count(0)
    if empty == REGISTERS:
        return 0.0
    full = registers.count(REST_BITS + 1)
    z = math.fsum(2.0**-rank for rank in registers if 0 < rank <= REST_BITS)
    z += REGISTERS * tau(1 - full / REGISTERS) * 2.0**-REST_BITS + REGISTERS * sigma(empty / REGISTERS)
    return float(round(REGISTERS * REGISTERS / (2 * math.log(2)) / z))


def sigma(x: float) -> float:
    total, factor, before = x, 1.0, -1.0
    while total != before:
        x, before = x * x, total
        total, factor = total + x * factor, 2 * factor
    return total


def tau(x: float) -> float:
    if x in (0, 1):
        return 0.0
    total, factor, before = 1 - x, 1.0, -1.0
    while total != before:
        x, factor, before = math.sqrt(x), factor / 2, total
        total -= (1 - x) ** 2 * factor
    return total / 3
