"""Taking texts gives what Arrow's own `take` gives, whatever they are."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from services.runtime.slot_names import SlotNames
from services.runtime.texts import Texts
from urban.common.v1.window_pb2 import WindowFrame


@given(st.lists(st.text(max_size=12)), st.data())
def test_any_of_any_texts(texts: list[str], data: st.DataObject):
    places = st.integers(0, len(texts) - 1) if texts else st.nothing()
    chosen = np.array(data.draw(st.lists(places) if texts else st.just([])), np.int64)
    known = Texts(text.encode() for text in texts)
    wanted = pa.array(texts, pa.string()).take(pa.array(chosen))
    assert len(known) == len(texts)
    assert known.take_array(chosen).equals(wanted)
    assert known.take(chosen) == "".join(wanted.to_pylist()).encode()


def test_the_longest_stands_anywhere():
    for texts in (["x" * 128, "a", "b"], ["a", "b", "x" * 128], ["", "", "c"], ["", ""]):
        places = np.arange(len(texts))[::-1]
        assert Texts(text.encode() for text in texts).take_array(places).to_pylist() == texts[::-1]


def test_ids_of_any_length_are_told_with_and_without_the_head_of_their_field():
    ids = ["a" * 127, "b" * 128, "", "c", "d" * 126]
    names = SlotNames(["oslo"] * len(ids), ids)
    places = np.array([4, 1, 3, 0, 2, 1])
    assert names.take_ids(places).to_pylist() == [ids[place] for place in places]
    message = WindowFrame.FromString(names.take_id_fields(places))
    assert list(message.entity_ids) == [ids[place] for place in places]


_MAKES_WINDOWS = """
import sys
from services.runtime.memory import leave_out_pandas
leave_out_pandas()
import numpy as np
from services.core.kind import Window
from services.core.windows import WindowBatch
from services.runtime.records import window_frames, windows_table
two = np.arange(2)
batch = WindowBatch(Window("1m", 60_000), ("oslo",) * 2, ("a", "b"), two, two, two.astype("u4"), {"m": two * 1.0})
assert windows_table(batch, 0)["entity_id"].to_pylist() == ["a", "b"]
assert len(list(window_frames("d", "k", 0, 0, batch))) == 1
print("pyarrow.compute" in sys.modules)
"""


def test_windows_are_sent_without_arrows_library_of_computations():
    done = subprocess.run([sys.executable, "-c", _MAKES_WINDOWS], capture_output=True, text=True, timeout=120)
    assert done.stdout == "False\n", done.stderr
