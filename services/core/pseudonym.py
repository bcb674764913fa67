"""People as keyed hashes, and nothing else: HMAC-SHA-256 under a key of city and epoch, which is kept elsewhere.

Who controls access computes the hash and sends its first 104 bits as two numbers, 2⁵² plus 52 bits each. So a column of
numbers carries it, exactly, and a raw id in its place (a number of a badge, a phone or an identity card, of up to 15 or
from 17 digits on) lies outside the bounds and is refused like any other value that cannot be.

`Pseudonyms` computes the hash where raw ids are imported. An epoch is so many days of UTC since 1970-01-01: somebody is
one person within it and another one in the next, and who loses the key of one has not lost the others.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from services.core.kind import DAY_MS

Float64Array = NDArray[np.float64]

# The columns of a person who did something at a time in ms since 1970; ValueError says why there are none.
PersonColumns = Callable[[str, int], dict[str, int]]

# Longer than the 21 days after which who it was is erased: what is stored lies in two epochs at most. A proposal.
ROTATION_DAYS = 28
# What HMAC-SHA-256 makes use of (RFC 2104, section 3: a key should be as long as the hash).
LEAST_KEY_BYTES = 32
# Longer than any number of a card or a name; what is longer is another column.
LONGEST_ID = 256

# Bounds of both columns: between them every double is a whole number.
LEAST = float(2**52)
MOST = float(2**53)

_HEX_DIGITS = 13  # 52 bits
_DIGEST = re.compile(r"[0-9a-f]{64}")


def numbers_of(digests: Sequence[str]) -> tuple[Float64Array, Float64Array]:
    """The two numbers of each HMAC-SHA-256, given as 64 lower-case hexadecimal digits. Shapes: (n,).

    ValueError names the places of those that are no such hash, and never what stands there: it may be a raw id.
    """
    wrong = [place for place, digest in enumerate(digests) if not is_digest(digest)]
    if wrong:
        raise ValueError(f"no HMAC-SHA-256 in 64 hexadecimal digits at {wrong[:10]}: a raw id is not taken")
    high = [int(digest[:_HEX_DIGITS], 16) for digest in digests]
    low = [int(digest[_HEX_DIGITS : 2 * _HEX_DIGITS], 16) for digest in digests]
    return LEAST + np.array(high, np.float64), LEAST + np.array(low, np.float64)


def is_digest(text: str) -> bool:
    """Whether a text may be such a hash. Of 64 digits without a letter it is not: there is one in 10¹³."""
    return _DIGEST.fullmatch(text) is not None and not text.isdigit()


def columns_of(digest: str) -> dict[str, int]:
    """The columns `person_a` and `person_b` of one HMAC-SHA-256, as whole numbers; none where it is empty.

    ValueError where it is no such hash, and never what stands there.
    """
    if not digest:
        return {}
    if not is_digest(digest):
        raise ValueError("person is no HMAC-SHA-256 in 64 hexadecimal digits: a raw id is not taken")
    high, low = numbers_of([digest])
    return {"person_a": int(high[0]), "person_b": int(low[0])}


def take_digest(text: str, time_ms: int) -> dict[str, int]:
    """Of those who hold no key: the columns of what is a keyed hash already, at whatever time."""
    return columns_of(text)


@dataclass(frozen=True)
class Pseudonyms:
    """Computes the keyed hashes of the people of one city. The keys of its epochs follow from one secret."""

    secret: bytes = field(repr=False)
    city: str
    rotation_days: int = ROTATION_DAYS

    def __post_init__(self) -> None:
        if len(self.secret) < LEAST_KEY_BYTES:
            raise ValueError(f"the secret must have {LEAST_KEY_BYTES} bytes or more, not {len(self.secret)}")
        if self.rotation_days < 1:
            raise ValueError(f"an epoch must last a day or more, not {self.rotation_days}")

    @property
    def fingerprint(self) -> str:
        """Another one where the hashes are others; it does not tell the secret."""
        about = f"fingerprint\x1f{self.city}\x1f{self.rotation_days}"
        return hmac.new(self.secret, about.encode(), hashlib.sha256).hexdigest()[:16]

    def epoch_of(self, time_ms: int) -> int:
        """Number of the epoch of a time in ms since 1970."""
        return time_ms // (self.rotation_days * DAY_MS)

    def digest(self, raw_id: str, time_ms: int) -> str:
        """HMAC-SHA-256 of an id under the key of the city and of the epoch of that time, 64 hexadecimal digits.

        The id is taken as it is written, without space around it: `4711` and `04711` are two people. ValueError where
        it is empty or too long, and never what stands there.
        """
        text = raw_id.strip()
        if not 0 < len(text) <= LONGEST_ID:
            raise ValueError(f"the id of a person must have 1 to {LONGEST_ID} characters")
        key = _key_of(self.secret, self.city, self.rotation_days, self.epoch_of(time_ms))
        return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def columns(self, text: str, time_ms: int) -> dict[str, int]:
        """The columns of one person; none where the text is empty. What is a keyed hash already stays what it is."""
        return columns_of(text if not text or is_digest(text) else self.digest(text, time_ms))


@lru_cache(maxsize=1_024)
def _key_of(secret: bytes, city: str, rotation_days: int, epoch: int) -> bytes:
    return hmac.new(secret, f"person\x1f{city}\x1f{rotation_days}\x1f{epoch}".encode(), hashlib.sha256).digest()
