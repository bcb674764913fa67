"""A keyed hash becomes two exact numbers; a raw id becomes none, and is not repeated in the refusal."""

from __future__ import annotations

import hashlib
import hmac

import numpy as np
import pytest

from services.community.domain import PASSAGE
from services.core.pseudonym import LEAST, MOST, numbers_of

DIGEST = hmac.new(b"key of a city and its epoch", b"badge 4711", hashlib.sha256).hexdigest()


def test_the_first_104_bits_come_back_from_the_two_numbers():
    high, low = numbers_of([DIGEST, "0" * 63 + "a", "f" * 64])
    told = [f"{int(h - LEAST):013x}{int(lo - LEAST):013x}" for h, lo in zip(high, low, strict=True)]
    assert told == [DIGEST[:26], "0" * 26, "f" * 26]
    for values in (high, low):
        assert ((values >= LEAST) & (values <= MOST)).all()
        assert (values == np.floor(values)).all()


@pytest.mark.parametrize("raw", ["110105199003071234", "Li Wei", "4711", "", DIGEST.upper(), DIGEST[:-1], "1" * 64])
def test_a_raw_id_is_refused_and_not_repeated(raw):
    with pytest.raises(ValueError, match=r"at \[1\]") as refused:
        numbers_of([DIGEST, raw])
    assert not raw or raw not in str(refused.value)


@pytest.mark.parametrize("raw", [4711.0, 13_912_345_678.0, 110_105_199_003_071_234.0])
def test_numbers_of_badges_phones_and_identity_cards_are_out_of_bounds(raw):
    for name in ("person_a", "person_b"):
        column = PASSAGE.column(name)
        assert not column.minimum <= raw <= column.maximum
