"""The body of a checkpoint gives back what went in, and equal states give equal bytes."""

from __future__ import annotations

import numpy as np
import pytest

from services.runtime.checkpoints import pack, unpack


def test_arrays_and_texts_come_back_as_they_were():
    arrays = {
        "f": np.array([[1.5, np.nan], [-0.0, np.inf]]),
        "i": np.array([-(2**63), 2**63 - 1]),
        "none": np.empty((0, 3), np.float32),
        "flag": np.array([True, False]),
    }
    texts = {"ids": ["a", "", "ü"], "none": []}
    found, words = unpack(pack(arrays, texts))
    assert words == texts
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert found[name].tobytes() == array.tobytes()
        found[name].fill(0)  # it is ours to write to


def test_the_order_in_which_a_state_is_told_does_not_show():
    one, other = np.arange(5), np.arange(3.0)
    assert pack({"a": one, "b": other}, {"x": ["1"], "y": []}) == pack({"b": other, "a": one}, {"y": [], "x": ["1"]})


def test_an_array_of_objects_or_of_other_byte_order_is_refused():
    with pytest.raises(ValueError, match="array a"):
        pack({"a": np.array([object()])}, {})
    with pytest.raises(ValueError, match="array a"):
        pack({"a": np.arange(3, dtype=">i4")}, {})
